"""From Markdown files over a real Chroma to passages."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import numpy
import pytest

from kubetriage.contracts.api import SearchRequest
from kubetriage.retrieval.chroma_store import ChromaSearcher, ChromaStore
from kubetriage.retrieval.searcher import RetrievalUnavailableError
from kubetriage.telemetry.exporting import exported_spans
from rag_ingest.ingest import SERVICE, ingest
from rag_ingest.metrics import Metrics
from rag_ingest.reading import read_paths
from rag_ingest.service import Watch
from rag_ingest.settings import Settings
from tests.collector import Collector
from tests.processes import ROOT, eventually, start_service, stop
from tests.retrieval.conftest import ChromaServer

OOM = "---\ntitle: Killed for memory\nalerts: [KubeContainerOOMKilled]\n---\n# x\n\n## Fix\n\nRaise the memory limit.\n"
IMAGE = "# Image cannot be pulled\n\n## Fix\n\nCorrect the image tag.\n"
PRIVATE = "---\ntitle: Payments desk\nnamespaces: [payments]\n---\n# y\n\nCall the payments desk about the ledger.\n"


class Letters:
    """An embedder that counts letters, and its calls."""

    def __init__(self) -> None:
        self.name = f"letters-{uuid4().hex[:8]}"  # a collection of its own
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> Any:
        self.embedded += len(texts)
        rows = [[text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnop"] for text in texts]
        vectors = numpy.array(rows, dtype=numpy.float32)
        return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    books = tmp_path / "books"
    (books / "team").mkdir(parents=True)
    (books / "oom.md").write_text(OOM)
    (books / "image.md").write_text(IMAGE)
    (books / "team" / "private.md").write_text(PRIVATE)
    return books


@pytest.fixture
async def letters() -> Letters:
    return Letters()


@pytest.fixture
async def store(chroma: ChromaServer, letters: Letters) -> AsyncIterator[ChromaStore]:
    store = ChromaStore(chroma.url, letters)
    yield store
    await store.aclose()


async def found(searcher: ChromaSearcher, query: str, **more: Any) -> list[str]:
    response = await searcher.search(SearchRequest(query=query, **more))
    return [passage.path for passage in response.passages]


async def test_a_second_ingest_writes_nothing_and_one_edit_one_chunk(
    store: ChromaStore, folder: Path, letters: Letters
) -> None:
    first = (await ingest(store, [folder], source="ops")).summary
    assert (first.documents, first.added, first.removed) == (3, first.chunks, 0)
    embedded = letters.embedded
    again = (await ingest(store, [folder], source="ops")).summary
    assert (again.added, again.unchanged, again.removed) == (0, first.chunks, 0)
    assert letters.embedded == embedded
    (folder / "image.md").write_text(IMAGE.replace("Correct", "Repair"))
    edited = (await ingest(store, [folder], source="ops")).summary
    assert (edited.added, edited.removed) == (1, 1)
    assert letters.embedded == embedded + 1


async def test_an_ingest_is_a_span_with_its_counts(store: ChromaStore, folder: Path, collector: Collector) -> None:
    async with exported_spans(SERVICE):
        summary = (await ingest(store, [folder], source="counted")).summary
    (span,) = collector.spans
    assert (span.service, span.name, span.failed) == ("ingest", "ingest", False)
    counts = {"documents": 3, "chunks": summary.chunks, "added": summary.added, "removed": 0}
    expected = {f"kubetriage.ingest.{name}": count for name, count in counts.items()}
    assert span.attributes == {"kubetriage.ingest.source": "counted", **expected}


async def test_what_is_gone_from_the_folder_is_gone_from_the_collection(store: ChromaStore, folder: Path) -> None:
    await ingest(store, [folder], source="ops")
    (folder / "oom.md").unlink()
    assert (await ingest(store, [folder], source="ops")).summary.removed == 1
    assert "ops/oom.md" not in await found(ChromaSearcher(store), "memory limit", k=50)


async def test_two_sources_leave_each_other_alone(store: ChromaStore, folder: Path, tmp_path: Path) -> None:
    await ingest(store, [folder], source="ops")
    other = tmp_path / "other.md"
    other.write_text(OOM)
    await ingest(store, [other], source="bundled")
    other.write_text(IMAGE)
    await ingest(store, [other], source="bundled")
    paths = await found(ChromaSearcher(store), "memory limit", k=50)
    assert set(paths) == {"ops/oom.md", "ops/image.md", "ops/team/private.md", "other.md"}


async def test_search_finds_by_alert_and_keeps_other_namespaces_out(store: ChromaStore, folder: Path) -> None:
    await ingest(store, [folder], source="bundled")
    searcher = ChromaSearcher(store)
    assert (await found(searcher, "what now", alert="KubeContainerOOMKilled"))[0] == "oom.md"
    assert "team/private.md" in await found(searcher, "payments desk ledger")
    assert "team/private.md" in await found(searcher, "payments desk ledger", namespace="payments")
    assert "team/private.md" not in await found(searcher, "payments desk ledger", namespace="shop")
    for namespaces, visible in ((("shop",), False), (("shop", "payments"), True), ((), False)):
        seen = await searcher.search(SearchRequest(query="payments desk ledger"), namespaces)
        assert ("team/private.md" in [passage.path for passage in seen.passages]) is visible, namespaces


async def test_a_reader_notices_an_ingest(store: ChromaStore, folder: Path) -> None:
    await ingest(store, [folder], source="bundled")
    searcher = ChromaSearcher(store, refresh_seconds=0)
    await found(searcher, "memory")
    (folder / "new.md").write_text("# Disk is full\n\nDelete old images from the disk.\n")
    await ingest(store, [folder], source="bundled")
    assert (await found(searcher, "disk is full"))[0] == "new.md"


async def test_without_an_embedder_bm25_alone_finds(chroma: ChromaServer, folder: Path) -> None:
    store = ChromaStore(chroma.url, None)
    await ingest(store, [folder], source="bundled")
    assert (await found(ChromaSearcher(store), "image tag"))[0] == "image.md"
    await store.aclose()


async def test_before_the_first_ingest_it_says_what_to_do(store: ChromaStore) -> None:
    with pytest.raises(RetrievalUnavailableError, match="run `kubetriage ingest`"):
        await found(ChromaSearcher(store), "memory")


async def test_files_that_cannot_be_read_are_named_not_dropped_in_silence(store: ChromaStore, folder: Path) -> None:
    (folder / "binary.md").write_bytes(b"\xff\xfe\x00 not text")
    (folder / "draft.md").write_text("---\ndraft: true\n---\n# z\n\ntext\n")
    (folder / "huge.md").write_text("x" * 2_100_000)
    (folder / "notes.txt").write_text("no runbook")
    done = await ingest(store, [folder], source="bundled")
    assert dict(done.skipped) == {
        "binary.md": "not UTF-8 text",
        "draft.md": "a draft, or empty",
        "huge.md": "larger than 2 MB",
    }
    assert done.summary.documents == 3


async def test_one_bad_file_does_not_stop_the_others(store: ChromaStore, folder: Path) -> None:
    (folder / "month.md").write_text("---\ndate: 2026-13-45\n---\n# z\n\ntext\n")
    (folder / "deep.md").write_text(f"---\nx: {'[' * 3000}\n---\n# z\n\ntext\n")
    (folder / "typo.md").write_text("---\ntitle: z\nnamespaces: [payments\n---\n# z\n\nA secret of payments.\n")
    (folder / "gone.md").symlink_to("nowhere")
    done = await ingest(store, [folder], source="bundled")
    assert done.summary.documents == 3
    said = dict(done.skipped)
    assert said.keys() == {"month.md", "deep.md", "typo.md", "gone.md"}
    assert said["month.md"] == "its front matter cannot be read (month must be in 1..12)"
    assert said["typo.md"] == "its front matter is not YAML, line 3"
    assert said["gone.md"] == "a link to nowhere"


def test_a_mounted_configmap_shows_each_runbook_once(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    (mount / "..2026_11_23").mkdir(parents=True)
    (mount / "..2026_11_23" / "oom.md").write_text(OOM)
    (mount / "..data").symlink_to("..2026_11_23")
    (mount / "oom.md").symlink_to("..data/oom.md")
    reading = read_paths([mount])
    assert {chunk.path for chunk in reading.chunks} == {"oom.md"}
    assert not reading.skipped


def test_several_folders_do_not_mix_their_files(tmp_path: Path) -> None:
    for team, text in (("a", OOM), ("b", IMAGE)):
        (tmp_path / team).mkdir()
        (tmp_path / team / "README.md").write_text(text)
    (tmp_path / "c" / "b").mkdir(parents=True)
    (tmp_path / "c" / "b" / "README.md").write_text(PRIVATE)
    reading = read_paths([tmp_path / "a", tmp_path / "b", tmp_path / "b" / "README.md", tmp_path / "c" / "b"])
    assert {(chunk.path, chunk.title) for chunk in reading.chunks} == {
        ("a/README.md", "Killed for memory"),
        ("b/README.md", "Image cannot be pulled"),
    }
    assert [path for path, _ in reading.skipped] == ["b/README.md"]
    assert "--source" in reading.skipped[0][1]


async def test_a_watch_outlives_whatever_breaks(
    store: ChromaStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(Settings(paths=(folder,), source="ops"), store, Metrics())

    async def broken(*_args: Any, **_more: Any) -> None:
        raise KeyError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr(store, "sync", broken)
        assert not await watch.once()
        assert watch.state == "a fault of ours: KeyError"
    assert await watch.once()
    assert watch.state == "ok"


async def test_an_empty_folder_never_empties_the_collection(store: ChromaStore, folder: Path, tmp_path: Path) -> None:
    await ingest(store, [folder], source="bundled")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="no runbook"):
        await ingest(store, [empty], source="bundled")
    assert await found(ChromaSearcher(store), "memory limit")


async def test_a_dead_chroma_is_told_quickly_and_a_warm_reader_goes_on(
    own_chroma: ChromaServer, folder: Path, letters: Letters
) -> None:
    store = ChromaStore(own_chroma.url, letters)
    await ingest(store, [folder], source="bundled")
    warm = ChromaSearcher(store, refresh_seconds=0)
    await found(warm, "memory")
    stop(own_chroma.process)
    began = time.monotonic()
    with pytest.raises(RetrievalUnavailableError, match="does not answer"):
        await found(ChromaSearcher(store), "memory")
    assert time.monotonic() - began < 10
    assert await found(warm, "memory limit")
    own_chroma.start()
    assert await found(ChromaSearcher(store), "memory limit")
    await store.aclose()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "rag_ingest", *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_the_command_says_what_it_did_and_what_is_wrong(chroma: ChromaServer, folder: Path, tmp_path: Path) -> None:
    done = run(str(folder), "--chroma", chroma.url, "--source", f"t{uuid4().hex[:8]}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 runbooks, 3 chunks: 3 added, 0 unchanged, 0 removed in ")
    missing = run(str(tmp_path / "nope"), "--chroma", chroma.url)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "nope does not exist" in missing.stderr
    down = run(str(folder), "--chroma", "http://127.0.0.1:9")
    assert down.returncode == 1
    assert down.stderr == "ingest: Chroma at 127.0.0.1:9 does not answer (ConnectError); is it running?\n"
    wrong = run(str(folder), "--source", "Not A Name")
    assert wrong.returncode == 2
    assert "KUBETRIAGE_INGEST_SOURCE" in wrong.stderr


async def test_watch_mode_serves_health_and_valid_metrics(
    http: aiohttp.ClientSession, chroma: ChromaServer, folder: Path, tmp_path: Path
) -> None:
    settings = {
        "chroma_url": chroma.url,
        "paths": folder,
        "source": f"t{uuid4().hex[:8]}",
        "watch": 1,
        "interval_seconds": 1,
    }
    running = start_service("rag_ingest", "KUBETRIAGE_INGEST_", tmp_path, settings)

    async def text_of(path: str) -> str:
        async with http.get(running.url + path) as answer:
            return await answer.text()

    async def counts(line: str) -> bool:
        return line in await text_of("/metrics")

    try:
        await eventually(lambda: counts("kubetriage_ingest_documents 3.0"), 20)
        assert '"ok"' in await text_of("/readyz")
        (folder / "fourth.md").write_text("# Fourth\n\ntext\n")
        await eventually(lambda: counts("kubetriage_ingest_documents 4.0"), 20)
        metrics = await text_of("/metrics")
    finally:
        running.process.terminate()
        status = await asyncio.to_thread(running.process.wait, 10)
    # uvicorn ends in order and then lets the signal have its way.
    assert status in {0, -signal.SIGTERM}
    assert "Traceback" not in running.log.read_text()
    assert "Application shutdown complete" in running.log.read_text()
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    checked = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=metrics.encode(), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
