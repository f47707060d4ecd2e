"""The measure of runbook search, and a floor below which the bundled runbooks must not fall."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kubetriage.evaluation.retrieval import Score, main, measure, read_cases, score
from kubetriage.retrieval.runbooks import read_runbooks
from kubetriage.retrieval.search import RunbookIndex
from kubetriage.retrieval.searcher import bundled_folder

QUERIES = Path(__file__).with_name("queries.jsonl")


def test_the_figures_are_what_their_names_say() -> None:
    assert score([1, 2, 4, None]) == Score(4, 0.25, 0.5, 0.75, (1 + 1 / 2 + 1 / 4) / 4)


@pytest.mark.parametrize(
    "line", ["no json", "[]", '{"query": "x"}', '{"query": "x", "relevant": []}', '{"query": "x", "relevant": 1}']
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"query": "x", "relevant": ["a.md"]}\n\n' + line)
    with pytest.raises(ValueError, match=re.escape("queries.jsonl, line 3: no ")):
        read_cases(queries)


def test_a_label_that_names_no_runbook_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"query": "x", "relevant": ["gone.md"]}\n')
    (tmp_path / "here.md").write_text("# Here\n\ntext\n")
    assert main([str(tmp_path), str(queries)]) == 2
    assert capsys.readouterr().err == "no runbooks: gone.md\n"


def test_the_bundled_runbooks_are_found_without_weights() -> None:
    """Far enough below the figures of docs/retrieval.md for a runbook to be rewritten."""
    chunks = list(read_runbooks(bundled_folder()))
    cases = read_cases(QUERIES)
    assert {path for case in cases for path in case.relevant} <= {chunk.path for chunk in chunks}
    scores = measure(RunbookIndex(chunks), cases)
    assert scores["all"].recall_5 >= 0.85
    assert scores["alert"].recall_1 >= 0.95
    assert scores["error"].recall_3 >= 0.95
