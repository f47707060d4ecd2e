"""Runbook search as services and the CLI use it, and the bundled runbooks searched in this process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import kubetriage
from kubetriage.contracts.api import SearchRequest, SearchResponse
from kubetriage.retrieval.minilm import MiniLm, cache_folder, find_weights
from kubetriage.retrieval.runbooks import Chunk, read_runbooks
from kubetriage.retrieval.search import Embedder, RunbookIndex


class RetrievalUnavailableError(Exception):
    """Runbooks cannot be searched now. The message says why and what to do."""

    code = "retrieval_unavailable"


class RunbookSearcher(Protocol):
    """Searches one collection of runbooks; safe to call concurrently."""

    async def search(self, request: SearchRequest, allowed_namespaces: Collection[str] | None = None) -> SearchResponse:
        """The best passages, best first. Raises RetrievalUnavailableError.

        ``allowed_namespaces``: those of the caller, None for all.
        """

    async def aclose(self) -> None:
        """Frees connections."""


def default_embedder() -> Embedder | None:
    """MiniLM where its weights are installed; None means BM25 alone."""
    weights = find_weights()
    return MiniLm(weights) if weights else None


def bundled_folder() -> Path:
    """The runbooks that come with Kubetriage; ``KUBETRIAGE_RUNBOOKS`` names another folder."""
    given = os.environ.get("KUBETRIAGE_RUNBOOKS")
    return Path(given) if given else Path(kubetriage.__file__).parent.parent / "runbooks"


def open_bundled(folder: Path | None = None) -> RunbookSearcher:
    """Searches a folder (None: the bundled runbooks) in this process. Nothing is read before the first search."""
    return FolderSearcher(folder or bundled_folder(), default_embedder())


class FolderSearcher:
    """An index over a folder, built at the first search, once."""

    def __init__(self, folder: Path, embedder: Embedder | None, progress: Callable[[str], None] | None = None) -> None:
        self._folder = folder
        self._progress = progress
        self._embedder = embedder
        self._index: RunbookIndex | None = None
        self._building = asyncio.Lock()

    async def search(self, request: SearchRequest, allowed_namespaces: Collection[str] | None = None) -> SearchResponse:
        async with self._building:
            if self._index is None:
                self._index = await asyncio.to_thread(self._build)
        # Embedding the query takes milliseconds of a core: not on the event loop.
        return await asyncio.to_thread(self._index.search, request, allowed_namespaces)

    async def aclose(self) -> None:
        self._index = None

    def _build(self) -> RunbookIndex:
        try:
            chunks = list(read_runbooks(self._folder))
        except (OSError, ValueError) as error:
            raise RetrievalUnavailableError(f"the runbooks in {self._folder} cannot be read: {error}") from error
        if not chunks:
            raise RetrievalUnavailableError(f"there are no runbooks (*.md) in {self._folder}")
        if self._embedder is None:
            return RunbookIndex(chunks)
        load(self._embedder)
        return RunbookIndex(chunks, self._embedder, vectors=stored_vectors(chunks, self._embedder, self._progress))


def load(embedder: Embedder) -> None:
    """Has the embedder load its model now: two searches at once must not both be the first to need it."""
    embedder.embed(["ready"])


def stored_vectors(chunks: Sequence[Chunk], embedder: Embedder, progress: Callable[[str], None] | None = None) -> Any:
    """The chunks' vectors, from a file of an earlier start where there is one: embedding takes seconds."""
    import numpy  # noqa: PLC0415 - only where vectors are made

    # Of what is embedded, not of the chunks' ids: how a text is made readable for the model may change too.
    texts = [chunk.embedded_text for chunk in chunks]
    identity = hashlib.sha256("\x00".join((embedder.name, *texts)).encode()).hexdigest()
    path = cache_folder() / f"vectors-{identity[:32]}.npy"
    try:
        with path.open("rb") as file:
            vectors = numpy.lib.format.read_array(file, allow_pickle=False)
        if vectors.ndim == 2 and len(vectors) == len(chunks):
            return vectors
    except (OSError, ValueError, EOFError):
        pass  # none yet, or a damaged one: made anew
    if progress is not None:
        progress(f"embedding {len(texts)} passages of the runbooks: some seconds, once")
    vectors = embedder.embed(texts)
    # A read-only or full disk costs the seconds again at the next start, no more.
    with contextlib.suppress(OSError):
        _write_whole(path, vectors)
    return vectors


def _write_whole(path: Path, vectors: Any) -> None:
    """Beside its place and then moved, so that two processes at once never see half a file."""
    import numpy  # noqa: PLC0415 - see stored_vectors

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as out:
        partial = Path(out.name)
        try:
            numpy.save(out, vectors)
            out.flush()
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
