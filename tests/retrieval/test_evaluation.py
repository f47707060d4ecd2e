"""The measure of runbook search, and a floor below which the bundled runbooks must not fall."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubetriage.evaluation.retrieval import Query, read_queries, score
from kubetriage.retrieval.runbooks import Chunk, read_runbooks
from kubetriage.retrieval.search import RunbookIndex
from kubetriage.retrieval.searcher import bundled_folder

QUERIES = Path(__file__).with_name("queries.jsonl")


def test_the_figures_are_what_their_names_say() -> None:
    # "word" is in all five documents, so that they come in their order; "absent" is in none.
    names = ("a.md", "b.md", "c.md", "d.md", "e.md")
    index = RunbookIndex([Chunk(path=name, title="t", heading="h", text="word") for name in names])
    queries = [Query("word", frozenset({name})) for name in ("a.md", "b.md", "d.md")]
    found, wrong = score(index, [*queries, Query("absent", frozenset({"a.md"}))])
    assert (found.queries, found.at_1, found.at_3, found.at_5) == (4, 0.25, 0.5, 0.75)
    assert found.mrr == pytest.approx((1 + 1 / 2 + 1 / 4) / 4)
    assert [(query.text, list(instead)) for query, instead in wrong] == [
        ("word", ["a.md", "b.md", "c.md"]),
        ("word", ["a.md", "b.md", "c.md"]),
        ("absent", []),
    ]


def test_every_label_names_a_runbook() -> None:
    there = {path.name for path in bundled_folder().glob("*.md")}
    assert {path for query in read_queries(QUERIES) for path in query.relevant} <= there


def test_the_bundled_runbooks_are_found_without_weights() -> None:
    """Far enough below the figures of docs/retrieval.md for a runbook to be rewritten."""
    found, _ = score(RunbookIndex(list(read_runbooks(bundled_folder()))), read_queries(QUERIES))
    assert found.at_5 >= 0.88
    assert found.at_1 >= 0.8
