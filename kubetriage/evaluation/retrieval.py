"""How well runbook search ranks: labelled queries against a folder.

``python -m kubetriage.evaluation.retrieval FOLDER QUERIES`` prints the table of docs/retrieval.md. QUERIES is JSON
lines of ``{"query": ..., "relevant": [paths below FOLDER], "style": ...}``; ``style`` may be left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubetriage.contracts.api import SearchRequest
from kubetriage.retrieval.runbooks import read_runbooks
from kubetriage.retrieval.search import RunbookIndex
from kubetriage.retrieval.searcher import default_embedder

_DEPTH = 50  # a relevant document further down counts as not found
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Case:
    """A query and the paths of the documents that answer it."""

    query: str
    relevant: frozenset[str]
    style: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Recall: the share of queries with at least one relevant document among the first 1, 3 and 5; and the
    mean of one over the rank of the first relevant document."""

    queries: int
    recall_1: float
    recall_3: float
    recall_5: float
    reciprocal_rank: float


def read_cases(path: Path) -> tuple[Case, ...]:
    """Raises OSError, and ValueError that names the line."""
    cases = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            case = Case(str(entry["query"]), frozenset(entry["relevant"]), str(entry.get("style", "")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path.name}, line {number}: no query with its relevant documents") from error
        if not case.relevant:
            raise ValueError(f"{path.name}, line {number}: no relevant document")
        cases.append(case)
    return tuple(cases)


def rank(index: RunbookIndex, case: Case) -> int | None:
    """The place, from 1, of the first relevant document."""
    found = index.search(SearchRequest(query=case.query, k=_DEPTH)).passages
    return next((place for place, passage in enumerate(found, 1) if passage.path in case.relevant), None)


def score(ranks: Sequence[int | None]) -> Score:
    """Raises ValueError when there are none."""
    if not ranks:
        raise ValueError("nothing to score")

    def within(places: int) -> float:
        return sum(place is not None and place <= places for place in ranks) / len(ranks)

    reciprocal = sum(1 / place for place in ranks if place is not None) / len(ranks)
    return Score(len(ranks), within(1), within(3), within(5), reciprocal)


def measure(index: RunbookIndex, cases: Sequence[Case]) -> dict[str, Score]:
    """The score of each style, and of all."""
    ranks = [(case.style, rank(index, case)) for case in cases]
    styles = dict.fromkeys(style for style, _ in ranks if style)
    parts = {style: score([place for own, place in ranks if own == style]) for style in styles}
    return {**parts, _ALL: score([place for _, place in ranks])}


def main(arguments: Sequence[str]) -> int:
    """Prints a Markdown table; exit status 2 for wrong usage, a damaged file or a label that names no runbook."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m kubetriage.evaluation.retrieval FOLDER QUERIES\n")
        return 2
    chunks = list(read_runbooks(Path(arguments[0])))
    try:
        cases = read_cases(Path(arguments[1]))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    unknown = frozenset().union(*(case.relevant for case in cases)) - {chunk.path for chunk in chunks}
    if unknown or not cases:
        sys.stderr.write(f"no runbooks: {', '.join(sorted(unknown))}\n" if unknown else "no queries\n")
        return 2
    embedder = default_embedder()
    indexes = [RunbookIndex(chunks)] + ([RunbookIndex(chunks, embedder)] if embedder else [])
    lines = ["| search | queries | of them | R@1 | R@3 | R@5 | MRR |", "|---|---|---|---|---|---|---|"]
    for index in indexes:
        for style, got in measure(index, cases).items():
            figures = (got.recall_1, got.recall_3, got.recall_5, got.reciprocal_rank)
            columns = (index.embedder, style, str(got.queries), *(f"{figure:.3f}" for figure in figures))
            lines.append(f"| {' | '.join(columns)} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
