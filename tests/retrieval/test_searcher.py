"""The bundled runbooks' searcher: built once, embedded once per machine, never half."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest

from kubetriage.contracts.api import SearchRequest
from kubetriage.retrieval.searcher import FolderSearcher, RetrievalUnavailableError, bundled_folder, open_bundled

QUERY = SearchRequest(query="memory limit")


class Lengths:
    """An embedder of two dimensions that keeps what it was asked."""

    name = "lengths"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        return numpy.array([[1.0, len(text) / 1000] for text in texts], dtype=numpy.float32)

    @property
    def documents(self) -> int:
        return sum("Runbook" in text for text in self.asked)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBETRIAGE_CACHE", str(tmp_path / "cache"))
    books = tmp_path / "books"
    books.mkdir()
    for name in ("memory", "disk"):
        (books / f"{name}.md").write_text(f"# Runbook {name}\n\nAbout the {name} limit.\n")
    return books


def cached(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "kubetriage").iterdir())


async def test_concurrent_first_searches_build_one_index(folder: Path) -> None:
    embedder = Lengths()
    searcher = FolderSearcher(folder, embedder)
    answers = await asyncio.gather(*(searcher.search(QUERY) for _ in range(6)))
    assert {answer.passages[0].path for answer in answers} == {"memory.md"}
    assert embedder.documents == 2


async def test_a_second_start_embeds_no_document_again(folder: Path, tmp_path: Path) -> None:
    first, second = Lengths(), Lengths()
    one = await FolderSearcher(folder, first).search(QUERY)
    assert await FolderSearcher(folder, second).search(QUERY) == one
    assert (first.documents, second.documents) == (2, 0)
    assert len(cached(tmp_path)) == 1


async def test_changed_runbooks_are_embedded_again(folder: Path) -> None:
    await FolderSearcher(folder, Lengths()).search(QUERY)
    (folder / "disk.md").write_text("# Runbook disk\n\nSomething else.\n")
    again = Lengths()
    await FolderSearcher(folder, again).search(QUERY)
    assert again.documents == 2


@pytest.mark.parametrize("damage", [b"", b"no array", b"\x93NUMPY\x01\x00", b"PK\x03\x04"], ids=repr)
async def test_a_damaged_file_is_made_anew(folder: Path, tmp_path: Path, damage: bytes) -> None:
    one = await FolderSearcher(folder, Lengths()).search(QUERY)
    cached(tmp_path)[0].write_bytes(damage)
    again = Lengths()
    assert await FolderSearcher(folder, again).search(QUERY) == one
    assert again.documents == 2
    assert len(cached(tmp_path)) == 1
    third = Lengths()
    await FolderSearcher(folder, third).search(QUERY)
    assert third.documents == 0


async def test_an_array_of_another_shape_is_not_taken(folder: Path, tmp_path: Path) -> None:
    await FolderSearcher(folder, Lengths()).search(QUERY)
    numpy.save(cached(tmp_path)[0], numpy.float32(1))
    assert (await FolderSearcher(folder, Lengths()).search(QUERY)).passages


async def test_a_cache_that_cannot_be_written_does_not_matter(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBETRIAGE_CACHE", "/proc/nowhere")
    assert (await FolderSearcher(folder, Lengths()).search(QUERY)).passages


async def test_without_weights_it_is_bm25_alone(folder: Path) -> None:
    answer = await FolderSearcher(folder, None).search(QUERY)
    assert answer.embedder == "bm25"
    assert answer.passages[0].path == "memory.md"


async def test_an_empty_folder_says_so_and_a_later_search_finds_what_came(tmp_path: Path) -> None:
    searcher = FolderSearcher(tmp_path, None)
    with pytest.raises(RetrievalUnavailableError, match="no runbooks"):
        await searcher.search(QUERY)
    (tmp_path / "memory.md").write_text("# Memory\n\nThe memory limit.\n")
    assert (await searcher.search(QUERY)).passages


async def test_the_folder_can_be_named_in_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (bundled_folder() / "oom-killed.md").is_file()
    monkeypatch.setenv("KUBETRIAGE_RUNBOOKS", str(folder))
    monkeypatch.setattr("kubetriage.retrieval.searcher.find_weights", lambda: None)
    searcher = open_bundled()
    assert {passage.path for passage in (await searcher.search(QUERY)).passages} == {"memory.md", "disk.md"}
    await searcher.aclose()


def test_the_embedder_reports_to_nobody_and_leaves_the_home_alone(tmp_path: Path) -> None:
    """onnxruntime's wheels keep a device id below the home folder and send events, unless told not to."""
    script = "from kubetriage.retrieval.searcher import default_embedder as d; e = d(); assert e; e.embed(['a'])"
    given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "KUBETRIAGE_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", script], env=given, check=True, timeout=120)
    assert not (tmp_path / "home").exists()
