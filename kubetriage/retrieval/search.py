"""Runbook search in memory: BM25 and, where there are weights, cosine, fused; exact alerts first."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence, Set
from typing import Any, Protocol

from kubetriage.contracts.api import Passage, SearchRequest, SearchResponse
from kubetriage.retrieval.runbooks import Chunk, readable
from kubetriage.retrieval.tokens import expand, tokenize

# Share of BM25 in the fused score; flat between .25 and .35 (docs of the measurement: ADR 0006).
BM25_SHARE = 0.3
LAY_SHARE = 0.5
# More than any fused score: an exact alert is always first.
PINNED = 2.0
_WORD = re.compile(r"\w+")


class Embedder(Protocol):
    """Texts to unit vectors of one length."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Any: ...


class RunbookIndex:
    """An index over chunks; immutable.

    ``vectors``: the chunks' own, shape (chunks, dimensions); without them an embedder makes them here.
    """

    def __init__(self, chunks: Sequence[Chunk], embedder: Embedder | None = None, *, vectors: Any = None) -> None:
        import bm25s  # noqa: PLC0415 - 0.3 s that only a search pays

        self._chunks = tuple(chunks)
        self._embedder = embedder
        self._bm25 = bm25s.BM25()
        if self._chunks:
            self._bm25.index([_tokens_of(chunk) for chunk in self._chunks], show_progress=False)
        if vectors is None and embedder and self._chunks:
            vectors = embedder.embed([chunk.embedded_text for chunk in self._chunks])
        self._vectors = vectors

    @property
    def embedder(self) -> str:
        return self._embedder.name if self._embedder is not None else "bm25"

    def search(self, request: SearchRequest, allowed_namespaces: Collection[str] | None = None) -> SearchResponse:
        """The best chunk of each of the ``k`` best documents.

        ``allowed_namespaces``: those of the caller (None: all); another namespace's runbook is not found.
        Both namespace filters hold for all parts of the search. A runbook with a subject is found when the query names
        the subject or one of the runbook's alerts.
        """
        named = {word.lower() for word in (request.alert or "", *_WORD.findall(request.query)) if word}
        allowed = [
            index
            for index, chunk in enumerate(self._chunks)
            if _is_for(chunk, request.namespace) and _is_allowed(chunk, allowed_namespaces) and _is_meant(chunk, named)
        ]
        scores = self._scores(request.query) if allowed else []
        best: dict[str, tuple[float, int]] = {}
        for index in allowed:
            chunk = self._chunks[index]
            score = float(scores[index]) + (PINNED if named & set(chunk.alerts) else 0.0)
            if score > best.get(chunk.path, (0.0, -1))[0]:
                best[chunk.path] = (score, index)
        ranked = sorted(best.values(), key=lambda entry: (-entry[0], entry[1]))[: request.k]
        passages = tuple(_passage(self._chunks[index], min(score, 1.0)) for score, index in ranked)
        return SearchResponse(query=request.query, passages=passages, embedder=self.embedder)

    def _scores(self, query: str) -> Any:
        import numpy  # noqa: PLC0415 - see __init__

        lexical = self._lexical(tokenize(query)) + LAY_SHARE * self._lexical(expand(query))
        top = lexical.max()
        lexical = lexical / top if top > 0 else lexical
        if self._embedder is None or self._vectors is None:
            return lexical
        vector = self._embedder.embed([readable(query)])[0]
        cosine = numpy.asarray(self._vectors @ vector)
        return BM25_SHARE * lexical + (1 - BM25_SHARE) * cosine

    def _lexical(self, tokens: Sequence[str]) -> Any:
        import numpy  # noqa: PLC0415 - see __init__

        known = [token for token in tokens if token in self._bm25.vocab_dict]
        if not known:
            return numpy.zeros(len(self._chunks))
        return numpy.asarray(self._bm25.get_scores(known), dtype=float)


def _is_for(chunk: Chunk, namespace: str | None) -> bool:
    """A runbook without namespaces is for all."""
    return namespace is None or not chunk.namespaces or namespace in chunk.namespaces


def _is_allowed(chunk: Chunk, namespaces: Collection[str] | None) -> bool:
    return namespaces is None or not chunk.namespaces or not set(namespaces).isdisjoint(chunk.namespaces)


def _is_meant(chunk: Chunk, named: Set[str]) -> bool:
    return not chunk.subject or chunk.subject in named or not named.isdisjoint(chunk.alerts)


def _tokens_of(chunk: Chunk) -> list[str]:
    title = tokenize(f"{chunk.title} {' '.join(chunk.alerts)}")
    return [*title, *title, *tokenize(chunk.heading), *tokenize(chunk.text)]


def _passage(chunk: Chunk, score: float) -> Passage:
    return Passage(
        path=chunk.path,
        title=chunk.title,
        heading=chunk.heading,
        text=chunk.text,
        score=round(score, 4),
        alerts=chunk.alerts,
    )
