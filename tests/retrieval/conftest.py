"""A real Chroma server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.processes import free_port, stop, wait_for_port


@dataclass
class ChromaServer:
    port: int
    directory: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        chroma = Path(sys.executable).with_name("chroma")
        arguments = ["run", "--path", str(self.directory), "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen([str(chroma), *arguments], stdout=subprocess.DEVNULL)
        wait_for_port(self.port, self.process)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    server = ChromaServer(free_port(), tmp_path_factory.mktemp("chroma"))
    yield server
    stop(server.process)


@pytest.fixture
def own_chroma(tmp_path: Path) -> Iterator[ChromaServer]:
    """For tests that kill it."""
    server = ChromaServer(free_port(), tmp_path / "chroma")
    yield server
    stop(server.process)
