"""A real Chroma: what is written is what is searched, whatever stops or breaks in between."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy
import pytest

from kubetriage.contracts.api import SearchRequest
from kubetriage.retrieval.chroma_store import BUNDLED, ChromaSearcher, ChromaStore, connect_chroma
from kubetriage.retrieval.runbooks import Chunk, split_runbook
from kubetriage.retrieval.search import RunbookIndex
from kubetriage.retrieval.searcher import RetrievalUnavailableError, default_embedder
from tests.processes import free_port, stop
from tests.retrieval.conftest import ChromaServer

OOM = "---\ntitle: Killed for memory\nalerts: [KubeContainerOOMKilled]\n---\n# x\n\n## Fix\n\nRaise the memory limit.\n"
DISK = "# Disk is full\n\n## Fix\n\nDelete old images from the disk.\n"
PRIVATE = (
    "---\ntitle: Payments desk\nalerts: [PaymentsDown]\nnamespaces: [payments, ledger]\n---\nCall the payments desk.\n"
)
BOOKS = [
    chunk
    for path, text in (("oom.md", OOM), ("disk.md", DISK), ("team/private.md", PRIVATE))
    for chunk in split_runbook(path, text)
]


class Letters:
    """An embedder that counts letters; ``fail_after`` texts it breaks."""

    def __init__(self, dimensions: int = 16, name: str = "", fail_after: float = float("inf")) -> None:
        self.name = name or f"letters-{uuid4().hex[:8]}"  # a collection of its own
        self.dimensions = dimensions
        self.fail_after = fail_after
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> Any:
        self.embedded += len(texts)
        if self.embedded > self.fail_after:
            raise RuntimeError("the embedder broke")
        letters = "etaoinshrdlcumwf"[: self.dimensions]
        rows = [[text.lower().count(letter) + 0.01 for letter in letters] for text in texts]
        vectors = numpy.array(rows, dtype=numpy.float32)
        return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
async def store(chroma: ChromaServer) -> AsyncIterator[ChromaStore]:
    store = ChromaStore(chroma.url, Letters())
    yield store
    await store.aclose()


async def paths(searcher: ChromaSearcher, query: str, **more: Any) -> list[str]:
    response = await searcher.search(SearchRequest(query=query, **more))
    return [passage.path for passage in response.passages]


def numbered(count: int) -> list[Chunk]:
    return [Chunk(path=f"{n // 4}.md", title=f"Runbook {n // 4}", heading="Fix", text=f"step{n}") for n in range(count)]


async def test_a_search_through_chroma_is_the_search_in_memory(chroma: ChromaServer) -> None:
    embedder = default_embedder()
    store = ChromaStore(chroma.url, embedder)
    await store.sync(BOOKS, source=BUNDLED)
    searcher, memory = connect_chroma(chroma.url), RunbookIndex(BOOKS, embedder)
    for request in (
        SearchRequest(query="ran out of RAM"),
        SearchRequest(query="no space", alert="KubeContainerOOMKilled"),
        SearchRequest(query="payments", namespace="ledger", k=1),
        SearchRequest(query="payments", namespace="shop"),
    ):
        found, expected = await searcher.search(request), memory.search(request)
        assert found.embedder == expected.embedder
        assert [(one.path, one.text, one.alerts) for one in found.passages] == [
            (one.path, one.text, one.alerts) for one in expected.passages
        ]
        # Texts of a batch are padded together, so that vectors differ in the last digits.
        for one, other in zip(found.passages, expected.passages, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-3)
    await searcher.aclose()
    await store.aclose()


async def test_no_part_of_the_search_crosses_namespaces(store: ChromaStore) -> None:
    await store.sync(BOOKS, source=BUNDLED)
    searcher = ChromaSearcher(store)
    assert (await paths(searcher, "payments desk", namespace="ledger"))[0] == "team/private.md"
    for query in ("payments desk", "PaymentsDown"):
        found = await paths(searcher, query, namespace="shop", alert="PaymentsDown", k=50)
        assert set(found) == {"oom.md", "disk.md"}


async def test_a_collection_of_many_pages_is_written_read_and_emptied_whole(chroma: ChromaServer) -> None:
    store = ChromaStore(chroma.url, Letters())
    chunks = numbered(2100)
    steps: list[tuple[int, int]] = []
    done = await store.sync(chunks, source=BUNDLED, progress=lambda done, of: steps.append((done, of)))
    assert (done.documents, done.chunks, done.added) == (525, 2100, 2100)
    assert steps[-1] == (2100, 2100)
    assert (await paths(ChromaSearcher(store), "step2099"))[0] == "524.md"
    shrunk = await store.sync(chunks[:4], source=BUNDLED)
    assert (shrunk.added, shrunk.unchanged, shrunk.removed) == (0, 4, 2096)
    assert await paths(ChromaSearcher(store), "step", k=50) == ["0.md"]
    await store.aclose()


async def test_an_ingest_that_broke_off_is_finished_by_the_next(chroma: ChromaServer) -> None:
    embedder = Letters(fail_after=100)
    store, chunks = ChromaStore(chroma.url, embedder), numbered(150)
    with pytest.raises(RuntimeError):
        await store.sync(chunks, source=BUNDLED)
    embedder.fail_after = float("inf")
    done = await store.sync(chunks, source=BUNDLED)
    assert (done.added, done.unchanged) == (150 - 64, 64)
    await store.aclose()


async def test_readers_hear_of_an_ingest_whose_last_step_was_lost(
    store: ChromaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.sync(BOOKS[:1], source=BUNDLED)
    reader = ChromaSearcher(store, refresh_seconds=0)
    mark = store._mark

    async def lose_the_last(collection: Any, *, unfinished: bool) -> None:
        if not unfinished:
            raise RetrievalUnavailableError("gone")
        await mark(collection, unfinished=unfinished)
        assert await paths(reader, "disk", k=50) == ["oom.md"]  # read between the first step and the writing

    with monkeypatch.context() as patch:
        patch.setattr(store, "_mark", lose_the_last)
        with pytest.raises(RetrievalUnavailableError):
            await store.sync(BOOKS, source=BUNDLED)
    assert (await store.sync(BOOKS, source=BUNDLED)).added == 0
    assert (await paths(reader, "delete images from the disk"))[0] == "disk.md"


async def test_the_first_searches_share_one_read(store: ChromaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.sync(BOOKS, source=BUNDLED)
    reading, reads = store.read_index, 0

    async def counted() -> RunbookIndex:
        nonlocal reads
        reads += 1
        return await reading()

    monkeypatch.setattr(store, "read_index", counted)
    searcher = ChromaSearcher(store, refresh_seconds=0)
    # One that gives up does not take the read from the others.
    impatient = asyncio.create_task(paths(searcher, "memory"))
    others = [asyncio.create_task(paths(searcher, "memory limit")) for _ in range(8)]
    await asyncio.sleep(0)
    impatient.cancel()
    assert {found[0] for found in await asyncio.gather(*others)} == {"oom.md"}
    assert reads == 1


async def test_a_search_works_as_soon_as_something_is_ingested(store: ChromaStore) -> None:
    searcher = ChromaSearcher(store)
    with pytest.raises(RetrievalUnavailableError, match="no runbooks are ingested yet: run `kubetriage ingest`"):
        await paths(searcher, "memory")
    await store.sync(BOOKS, source=BUNDLED)
    assert await paths(searcher, "memory limit")


async def test_a_warm_reader_survives_a_restart_and_sees_what_came_after(own_chroma: ChromaServer) -> None:
    store = ChromaStore(own_chroma.url, Letters())
    await store.sync(BOOKS[:1], source=BUNDLED)
    warm = ChromaSearcher(store, refresh_seconds=0)
    assert await paths(warm, "memory") == ["oom.md"]
    stop(own_chroma.process)
    assert await paths(warm, "memory") == ["oom.md"]
    own_chroma.start()
    await store.sync(BOOKS, source=BUNDLED)
    assert (await paths(warm, "delete images from the disk"))[0] == "disk.md"
    await warm.aclose()


async def test_a_chroma_that_hangs_costs_a_search_little(own_chroma: ChromaServer) -> None:
    embedder = Letters()
    store = ChromaStore(own_chroma.url, embedder)
    await store.sync(BOOKS, source=BUNDLED)
    warm = ChromaSearcher(store, refresh_seconds=0)
    await paths(warm, "memory")
    own_chroma.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    answers = await asyncio.gather(*(paths(warm, "memory limit") for _ in range(5)))
    assert all(answers)
    assert time.monotonic() - began < 2
    cold = ChromaSearcher(ChromaStore(own_chroma.url, embedder, read_seconds=0.5))
    began = time.monotonic()
    with pytest.raises(RetrievalUnavailableError, match=r"does not answer \(TimeoutError\); is it running\?"):
        await paths(cold, "memory")
    assert time.monotonic() - began < 3
    await cold.aclose()
    await warm.aclose()


async def test_what_chroma_refuses_is_said_in_its_words(chroma: ChromaServer, store: ChromaStore) -> None:
    await store.sync(BOOKS[:1], source=BUNDLED)
    other = ChromaStore(chroma.url, Letters(dimensions=4, name=store.collection_name.removeprefix("runbooks-")))
    with pytest.raises(RetrievalUnavailableError, match=r"refuses: .*dimension"):
        await other.sync(BOOKS, source=BUNDLED)
    await other.aclose()


async def test_a_password_in_the_address_stays_secret() -> None:
    store = ChromaStore(f"http://user:hunter2@127.0.0.1:{free_port()}", None)
    with pytest.raises(RetrievalUnavailableError) as raised:
        await store.generation()
    assert "hunter2" not in str(raised.value)


def test_what_the_collection_is_called(tmp_path: Path) -> None:
    assert ChromaStore("http://x", None).collection_name == "runbooks-bm25"
    assert ChromaStore("http://x", Letters(name="minilm-l6-v2")).collection_name == "runbooks-minilm-l6-v2"
