"""From paths to chunks: which files are runbooks, and which could not be read. No Chroma in here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from kubetriage.retrieval.runbooks import LARGEST_FILE, Chunk, split_runbook

_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_SUFFIXES = frozenset({".md", ".markdown"})


@dataclass(frozen=True, slots=True)
class Reading:
    """``skipped``: (path, why) of files that were left out."""

    chunks: tuple[Chunk, ...]
    skipped: tuple[tuple[str, str], ...]


def read_paths(paths: Sequence[Path]) -> Reading:
    """The chunks of files and folders. Paths in chunks are relative to the folder that was given; with several
    folders the folder's name comes before them.

    Raises FileNotFoundError for a path that is not there.
    """
    chunks: list[Chunk] = []
    skipped: list[tuple[str, str]] = []
    taken: dict[str, Path] = {}
    for shown, path in _files(paths):
        real = path.resolve()
        if real in taken.values():
            continue  # given twice: a folder, and a file in it
        if shown in taken:
            skipped.append((shown, "another file has this path already: ingest it under a --source of its own"))
            continue
        taken[shown] = real
        try:
            found = split_runbook(shown, _text(path))
        except _UnusableError as error:
            skipped.append((shown, str(error)))
        else:
            chunks.extend(found)
            if not found:
                skipped.append((shown, "a draft, or empty"))
    return Reading(tuple(chunks), tuple(skipped))


class _UnusableError(Exception):
    """The message says why a file is left out."""


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    several = sum(path.is_dir() for path in paths) > 1
    for path in paths:
        if path.is_dir():
            before = f"{path.resolve().name}/" if several else ""
            yield from ((before + inside.relative_to(path).as_posix(), inside) for inside in _inside(path))
        elif path.exists():
            yield path.name, path
        else:
            raise FileNotFoundError(f"{path} does not exist")


def _inside(folder: Path) -> list[Path]:
    """Markdown below a folder. What is hidden stays out: ``.git``, and the real folder behind the links of a
    mounted ConfigMap, which would show every runbook twice and under a new path after each update."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and not path.is_dir())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise _UnusableError("a link to nowhere" if path.is_symlink() else "not a regular file")
        if path.stat().st_size > LARGEST_FILE:
            raise _UnusableError(f"larger than {LARGEST_FILE // 1_000_000} MB")
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _UnusableError("not UTF-8 text") from error
    except OSError as error:
        raise _UnusableError(error.strerror or "unreadable") from error
    _check_front_matter(text)
    return text


def _check_front_matter(text: str) -> None:
    """Damaged front matter would be searched as text: a draft would be found, and by all namespaces."""
    match = _FRONT.match(text)
    try:
        yaml.safe_load(match[1] if match else "")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 2}" if mark else ""
        raise _UnusableError(f"its front matter is not YAML{where}") from error
    except (ValueError, RecursionError) as error:
        # What YAML's parser lets through: a 13th month, brackets a thousand deep.
        raise _UnusableError(f"its front matter cannot be read ({error})") from error
