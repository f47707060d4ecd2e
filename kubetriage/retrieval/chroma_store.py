"""Runbooks in a Chroma server: writing what changed, and searching what is there.

One collection per embedder (vectors of two models must not meet). Search is exact in this process over
what the collection holds: for a team's thousands of chunks that is faster than a query over HTTP and finds
more than HNSW does (docs/retrieval.md), and BM25, which Chroma's server does not have, needs the texts anyway.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from kubetriage.contracts.api import SearchRequest, SearchResponse
from kubetriage.retrieval.runbooks import Chunk
from kubetriage.retrieval.search import Embedder, RunbookIndex
from kubetriage.retrieval.searcher import RetrievalUnavailableError, RunbookSearcher, default_embedder, load

BUNDLED = "bundled"
_PAGE = 1000  # chunks per request
_BATCH = 64  # chunks embedded and written at once: a step of the progress
_READ_SECONDS = 5.0  # of one request that a person waits for; chromadb's client has no deadline of its own
_WRITE_SECONDS = 30.0
_PATIENCE = 1.0  # how long a search that could answer from what it has waits for something newer
_NO_VECTOR = [1.0]  # Chroma wants a vector; without an embedder every chunk has the same
Progress = Callable[[int, int], None]
# (whether Chroma answered, seconds) of one request
OnRequest = Callable[[bool, float], None]
_log = structlog.get_logger("retrieval")


def _uncounted(_answered: bool, _seconds: float) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSummary:
    """What a sync did, in chunks; ``documents`` counts files."""

    documents: int
    chunks: int
    added: int
    unchanged: int
    removed: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.documents} runbooks, {self.chunks} chunks: {self.added} added, {self.unchanged} unchanged, "
            f"{self.removed} removed in {self.seconds:.1f} s"
        )


class ChromaStore:
    """The runbooks' collection of one Chroma server. Every method raises RetrievalUnavailableError."""

    def __init__(
        self,
        url: str,
        embedder: Embedder | None,
        *,
        read_seconds: float = _READ_SECONDS,
        on_request: OnRequest = _uncounted,
    ) -> None:
        self._url = url
        self._on_request = on_request
        self._read_seconds = read_seconds
        self._embedder = embedder
        self._client: Any = None

    @property
    def collection_name(self) -> str:
        return f"runbooks-{self._embedder.name if self._embedder else 'bm25'}"

    async def sync(
        self, chunks: Sequence[Chunk], *, source: str, progress: Progress = lambda _done, _all: None
    ) -> IngestSummary:
        """Makes ``source``'s part of the collection equal to ``chunks``; other sources stay as they are.

        New chunks are written before old ones go, so that a search in between misses nothing. A sync that
        breaks off is finished by the next one.
        """
        began = time.perf_counter()
        wanted = {f"{source}:{chunk.id}": chunk for chunk in chunks}
        async with self._reaching(_WRITE_SECONDS) as client:
            collection = await client.get_or_create_collection(
                self.collection_name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
            )
        present = await self._ids(collection, source)
        new = [(name, chunk) for name, chunk in wanted.items() if name not in present]
        gone = sorted(present - wanted.keys())
        # What a sync leaves behind that breaks off after its last write, so that the next one, which finds
        # nothing to write, still tells the readers.
        unfinished = bool((collection.metadata or {}).get("unfinished"))
        if new or gone:
            await self._mark(collection, unfinished=True)
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            vectors = await asyncio.to_thread(self._embed, [chunk for _, chunk in batch])
            async with self._reaching(_WRITE_SECONDS):
                await collection.upsert(
                    ids=[name for name, _ in batch],
                    embeddings=vectors,
                    documents=[chunk.text or chunk.heading for _, chunk in batch],
                    metadatas=[_metadata(chunk, source) for _, chunk in batch],
                )
            progress(start + len(batch), len(new))
        for start in range(0, len(gone), _PAGE):
            async with self._reaching(_WRITE_SECONDS):
                await collection.delete(ids=gone[start : start + _PAGE])
        if new or gone or unfinished:
            await self._mark(collection, unfinished=False)
        return IngestSummary(
            documents=len({chunk.path for chunk in chunks}),
            chunks=len(wanted),
            added=len(new),
            unchanged=len(wanted) - len(new),
            removed=len(gone),
            seconds=time.perf_counter() - began,
        )

    async def generation(self) -> str:
        """Changes whenever a sync changed something."""
        async with self._reaching() as client:
            collection = await self._existing(client)
            return str((collection.metadata or {}).get("generation"))

    async def read_index(self) -> RunbookIndex:
        """Everything that the collection holds, searchable."""
        chunks: list[Chunk] = []
        vectors: list[Any] = []
        async with self._reaching() as client:
            collection = await self._existing(client)
        async for page in self._pages(collection, include=["documents", "metadatas", "embeddings"]):
            chunks.extend(_chunk(text, about) for text, about in zip(page["documents"], page["metadatas"], strict=True))
            vectors.extend(page["embeddings"])
        if not chunks:
            raise _nothing_ingested()
        return await asyncio.to_thread(self._index, chunks, vectors)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client._server.__aexit__(None, None, None)

    def _index(self, chunks: list[Chunk], vectors: list[Any]) -> RunbookIndex:
        import numpy  # noqa: PLC0415 - only where vectors are used

        if self._embedder is None:
            return RunbookIndex(chunks)
        load(self._embedder)
        return RunbookIndex(chunks, self._embedder, vectors=numpy.asarray(vectors, dtype=numpy.float32))

    def _embed(self, chunks: Sequence[Chunk]) -> list[list[float]]:
        if self._embedder is None:
            return [_NO_VECTOR for _ in chunks]
        found: list[list[float]] = self._embedder.embed([chunk.embedded_text for chunk in chunks]).tolist()
        return found

    async def _existing(self, client: Any) -> Any:
        from chromadb.errors import NotFoundError  # noqa: PLC0415 - see _connect

        try:
            return await client.get_collection(self.collection_name, embedding_function=None)
        except NotFoundError as error:
            raise _nothing_ingested() from error

    async def _ids(self, collection: Any, source: str) -> set[str]:
        pages = self._pages(collection, include=[], where={"source": source})
        return {name async for page in pages for name in page["ids"]}

    async def _pages(self, collection: Any, **wanted: Any) -> AsyncIterator[Any]:
        """Everything, a deadline for each page: how much there is must not decide whether it can be read."""
        read = 0
        while True:
            async with self._reaching():
                page = await collection.get(**wanted, limit=_PAGE, offset=read)
            yield page
            read += len(page["ids"])
            if len(page["ids"]) < _PAGE:
                return

    async def _mark(self, collection: Any, *, unfinished: bool) -> None:
        async with self._reaching(_WRITE_SECONDS):
            await collection.modify(metadata={"generation": uuid4().hex, "unfinished": unfinished})

    @asynccontextmanager
    async def _reaching(self, seconds: float | None = None) -> AsyncIterator[Any]:
        """The client for one request, with a deadline and one error for whatever goes wrong."""
        began, answered = time.perf_counter(), False
        try:
            async with asyncio.timeout(seconds or self._read_seconds):
                if self._client is None:
                    self._client = await self._connect()
                yield self._client
            answered = True
        except RetrievalUnavailableError:
            answered = True  # it said that there is nothing
            raise
        except Exception as error:
            # chromadb passes on what httpx and its server raise.
            raise RetrievalUnavailableError(f"Chroma at {_shown(self._url)} {_trouble(error)}") from error
        finally:
            self._on_request(answered, time.perf_counter() - began)

    async def _connect(self) -> Any:
        try:
            import chromadb  # noqa: PLC0415 - half a second that only users of Chroma pay
            from chromadb.config import Settings  # noqa: PLC0415 - see above
        except ImportError as error:
            raise RetrievalUnavailableError("the package chromadb is not installed here") from error
        parts = urlsplit(self._url if "//" in self._url else f"//{self._url}")
        return await chromadb.AsyncHttpClient(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or (443 if parts.scheme == "https" else 8000),
            ssl=parts.scheme == "https",
            settings=Settings(anonymized_telemetry=False),
        )


class ChromaSearcher:
    """Searches a store; looks every ``refresh_seconds`` at most, when asked, whether somebody ingested."""

    def __init__(self, store: ChromaStore, *, refresh_seconds: float = 5.0) -> None:
        self._store = store
        self._refresh_seconds = refresh_seconds
        self._index: RunbookIndex | None = None
        self._generation = ""
        self._looked = float("-inf")
        self._looking: asyncio.Task[RunbookIndex] | None = None

    async def search(self, request: SearchRequest, allowed_namespaces: Collection[str] | None = None) -> SearchResponse:
        """Raises RetrievalUnavailableError only before the first read: runbooks of a minute ago beat none."""
        index = await self._current()
        # Embedding the query takes milliseconds of a core: not on the event loop.
        return await asyncio.to_thread(index.search, request, allowed_namespaces)

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await self._store.aclose()

    async def _current(self) -> RunbookIndex:
        if self._index is None:
            # Everybody waits for the same read; who gives up does not stop it.
            return await asyncio.shield(self._look())
        if self._looking is None and time.monotonic() - self._looked >= self._refresh_seconds:
            await asyncio.wait({self._look()}, timeout=_PATIENCE)
        return self._index

    def _look(self) -> asyncio.Task[RunbookIndex]:
        if self._looking is None:
            self._looking = asyncio.create_task(self._refresh())
            self._looking.add_done_callback(self._looked_up)
        return self._looking

    def _looked_up(self, task: asyncio.Task[RunbookIndex]) -> None:
        self._looking = None
        self._looked = time.monotonic()
        # Asked for here too: those who waited may all be gone, and asyncio complains of errors nobody saw.
        error = None if task.cancelled() else task.exception()
        if error is not None and self._index is not None:
            _log.warning("runbooks may be out of date", reason=str(error), error_type=type(error).__name__)

    async def _refresh(self) -> RunbookIndex:
        # Asked before the read: what is written meanwhile is found at the next look.
        generation = await self._store.generation()
        if self._index is None or generation != self._generation:
            self._index = await self._store.read_index()
            self._generation = generation
        return self._index


def connect_chroma(url: str, *, refresh_seconds: float = 5.0, on_request: OnRequest = _uncounted) -> RunbookSearcher:
    """Searches what was ingested into the Chroma server at ``url``. Nothing is read before the first search."""
    store = ChromaStore(url, default_embedder(), on_request=on_request)
    return ChromaSearcher(store, refresh_seconds=refresh_seconds)


def _metadata(chunk: Chunk, source: str) -> dict[str, Any]:
    # Names have no commas; a list must not be empty in Chroma's metadata.
    return {
        "source": source,
        "path": chunk.path,
        "title": chunk.title,
        "heading": chunk.heading,
        "alerts": ",".join(chunk.alerts),
        "namespaces": ",".join(chunk.namespaces),
        "subject": chunk.subject,
    }


def _chunk(text: str, about: dict[str, Any]) -> Chunk:
    source, path = str(about["source"]), str(about["path"])
    return Chunk(
        path=path if source == BUNDLED else f"{source}/{path}",
        title=str(about["title"]),
        heading=str(about["heading"]),
        text=text,
        alerts=tuple(filter(None, str(about["alerts"]).split(","))),
        namespaces=tuple(filter(None, str(about["namespaces"]).split(","))),
        subject=str(about.get("subject", "")),  # an earlier version wrote none
    )


def _shown(url: str) -> str:
    """Without a password that somebody may have put into it."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    return f"{parts.hostname}:{parts.port or 8000}"


def _trouble(error: Exception) -> str:
    from chromadb.errors import ChromaError  # noqa: PLC0415 - see _connect

    if isinstance(error, ChromaError):
        return f"refuses: {str(error).partition(chr(10))[0][:200]}"
    return f"does not answer ({type(error).__name__}); is it running?"


def _nothing_ingested() -> RetrievalUnavailableError:
    return RetrievalUnavailableError("no runbooks are ingested yet: run `kubetriage ingest`")
