"""From paths to chunks: which files are runbooks, and which could not be read. No Chroma in here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubetriage.retrieval.runbooks import LARGEST_FILE, Chunk, split_runbook

_SUFFIXES = frozenset({".md", ".markdown"})


@dataclass(frozen=True, slots=True)
class Reading:
    """``skipped``: (path, why) of files that were left out."""

    chunks: tuple[Chunk, ...]
    skipped: tuple[tuple[str, str], ...]


def read_paths(paths: Sequence[Path]) -> Reading:
    """The chunks of files and folders. Paths in chunks are relative to the folder that was given.

    Raises FileNotFoundError for a path that is not there.
    """
    chunks: list[Chunk] = []
    skipped: list[tuple[str, str]] = []
    for shown, path in _files(paths):
        problem = _problem(path)
        if problem is None:
            found = split_runbook(shown, path.read_text("utf-8"))
            chunks.extend(found)
            problem = None if found else "a draft, or empty"
        if problem is not None:
            skipped.append((shown, problem))
    return Reading(tuple(chunks), tuple(skipped))


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if path.is_dir():
            inside = (one for one in path.rglob("*") if one.suffix.lower() in _SUFFIXES and one.is_file())
            yield from ((one.relative_to(path).as_posix(), one) for one in sorted(inside))
        elif path.is_file():
            yield path.name, path
        else:
            raise FileNotFoundError(f"{path} does not exist")


def _problem(path: Path) -> str | None:
    try:
        if path.stat().st_size > LARGEST_FILE:
            return f"larger than {LARGEST_FILE // 1_000_000} MB"
        path.read_text("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8 text"
    except OSError as error:
        return error.strerror or "unreadable"
    return None
