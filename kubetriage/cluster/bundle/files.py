"""The files of a bundle, whether it is a folder or an archive. Nothing is ever unpacked to disk."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from kubetriage.cluster.errors import BundleFormatError

# Far above real bundles (a few hundred MB of logs), far below what a bomb unpacks to (bytes).
LARGEST_ARCHIVE = 2 * 2**30
MOST_FILES = 200_000


class BundleFiles(Protocol):
    """Relative POSIX paths to contents. ``read`` raises KeyError for a path that is not there."""

    def paths(self) -> list[str]: ...

    def read(self, path: str) -> bytes: ...


class FolderFiles:
    """A folder. Links that lead out of it are not followed."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._paths = sorted(
            path.relative_to(self._root).as_posix()
            for path in self._root.rglob("*")
            if path.is_file() and path.resolve().is_relative_to(self._root)
        )

    def paths(self) -> list[str]:
        return self._paths

    def read(self, path: str) -> bytes:
        try:
            return (self._root / path).read_bytes()
        except OSError as error:
            raise KeyError(path) from error


class ArchiveFiles:
    """The regular files of an archive, in memory. Paths that climb out are refused as a whole."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents

    def paths(self) -> list[str]:
        return sorted(self._contents)

    def read(self, path: str) -> bytes:
        return self._contents[path]


def open_files(path: Path) -> BundleFiles:
    """A folder, ``.tar`` (gz, xz, bz2) or ``.zip``. Raises BundleFormatError."""
    if path.is_dir():
        return FolderFiles(path)
    if not path.is_file():
        raise BundleFormatError(f"no bundle at {path.name!r}: the file does not exist")
    try:
        if zipfile.is_zipfile(path):
            return ArchiveFiles(_read_zip(path))
        return ArchiveFiles(_read_tar(path))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise BundleFormatError(f"{path.name!r} is no readable archive: {error}") from error


def _read_tar(path: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    total = 0
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.isfile():
                continue  # folders need nothing; links and devices have no place in a bundle
            total += member.size
            _check(member.name, total, len(contents))
            stream = archive.extractfile(member)
            if stream is not None:
                contents[_normal(member.name)] = stream.read()
    return contents


def _read_zip(path: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    total = 0
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            total += info.file_size
            _check(info.filename, total, len(contents))
            contents[_normal(info.filename)] = archive.read(info)
    return contents


def _check(name: str, total: int, count: int) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts:
        raise BundleFormatError(f"the archive holds a path that leads out of it: {name!r}")
    if total > LARGEST_ARCHIVE or count > MOST_FILES:
        raise BundleFormatError(
            f"the archive unpacks to more than {LARGEST_ARCHIVE // 2**30} GiB or {MOST_FILES} files"
        )


def _normal(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))
