"""The files of a bundle, whether it is a folder or an archive. Nothing is ever unpacked to disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from kubetriage.cluster.errors import BundleFormatError

# Far above real bundles (a few hundred MB of logs), far below what a bomb unpacks to (bytes).
LARGEST_ARCHIVE = 2 * 2**30
MOST_FILES = 200_000
# Logs and JSON shrink 10 to 60 times; what grows more than this, beyond a harmless size, is a bomb.
LARGEST_RATIO = 200
HARMLESS_SIZE = 64 * 2**20
_OPENERS = ((b"\x1f\x8b", gzip.open), (b"\xfd7zXZ\x00", lzma.open), (b"BZh", bz2.open))


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
    except (
        tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
        EOFError, OSError, ValueError, RuntimeError, NotImplementedError,
    ) as error:  # fmt: skip
        raise BundleFormatError(f"{path.name!r} is no readable archive: {error}") from error


class _Guarded:
    """Counts what an archive unpacks to while it does, headers included."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._left = most

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BundleFormatError("the archive unpacks to far more than a bundle holds")
        return data


def _most(path: Path) -> int:
    """Bytes that an archive of this size may unpack to."""
    return min(LARGEST_ARCHIVE, max(HARMLESS_SIZE, LARGEST_RATIO * path.stat().st_size))


def _read_tar(path: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    with path.open("rb") as file:
        magic = file.read(6)
    guarded: Any = _Guarded  # tarfile's stream mode needs read() only, its types ask for more
    opener: Any = next((known for start, known in _OPENERS if magic.startswith(start)), open)
    with (
        opener(path, "rb") as stream,
        tarfile.open(fileobj=guarded(stream, _most(path)), mode="r|", bufsize=2**18) as archive,
    ):
        for count, member in enumerate(archive):
            _check(member.name, count)
            if not member.isreg() or member.issparse():
                continue  # folders need nothing; links and devices have no place in a bundle
            content = archive.extractfile(member)
            if content is not None:
                contents[_normal(member.name)] = content.read()
    return contents


def _read_zip(path: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    left = _most(path)
    with zipfile.ZipFile(path) as archive:
        for count, info in enumerate(archive.infolist()):
            _check(info.filename, count)
            if info.is_dir():
                continue
            left -= info.file_size
            if left < 0:
                raise BundleFormatError("the archive unpacks to far more than a bundle holds")
            contents[_normal(info.filename)] = archive.read(info)
    return contents


def _check(name: str, count: int) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts:
        raise BundleFormatError(f"the archive holds a path that leads out of it: {name!r}")
    if count >= MOST_FILES:
        raise BundleFormatError(f"the archive holds more than {MOST_FILES} files")


def _normal(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))
