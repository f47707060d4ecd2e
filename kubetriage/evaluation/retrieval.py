"""How often the right runbook comes first: queries with their relevant documents against a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubetriage.contracts.api import SearchRequest
from kubetriage.retrieval.search import RunbookIndex

_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Query:
    """``relevant``: paths of the documents that answer it. ``style`` groups the figures."""

    text: str
    relevant: frozenset[str]
    style: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Shares of queries with a relevant document among the first 1, 3, 5; mean reciprocal rank within 10."""

    queries: int
    at_1: float
    at_3: float
    at_5: float
    mrr: float


def read_queries(path: Path) -> list[Query]:
    """From JSON lines: {"query": ..., "relevant": [paths], "style": ...}."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [Query(row["query"], frozenset(row["relevant"]), row.get("style", "")) for row in rows]


def score(index: RunbookIndex, queries: Iterable[Query]) -> tuple[Score, list[tuple[Query, Sequence[str]]]]:
    """The score, and the queries whose first document is wrong with what came instead."""
    ranks: list[int | None] = []
    wrong: list[tuple[Query, Sequence[str]]] = []
    for query in queries:
        found = index.search(SearchRequest(query=query.text, k=_DEPTH)).passages
        paths = [passage.path for passage in found]
        rank = next((number for number, path in enumerate(paths, 1) if path in query.relevant), None)
        ranks.append(rank)
        if rank != 1:
            wrong.append((query, paths[:3]))
    return _summary(ranks), wrong


def _summary(ranks: Sequence[int | None]) -> Score:
    count = max(len(ranks), 1)

    def within(k: int) -> float:
        return sum(rank is not None and rank <= k for rank in ranks) / count

    return Score(len(ranks), within(1), within(3), within(5), sum(1 / rank for rank in ranks if rank) / count)
