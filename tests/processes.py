"""The real parts as processes on loopback, and how tests ask them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[1]
KEY = "k" * 48  # the internal key of all services that tests start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the process ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("the process does not listen")


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.wait(10)
    if process.stdout:
        process.stdout.close()


@dataclass
class RedisServer:
    port: int
    directory: Path
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ()  # instead of a redis-server's own
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        usual = ("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes")
        self.process = subprocess.Popen(
            self.command or (*usual, *self.options),
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
        )
        wait_for_port(self.port, self.process)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@dataclass
class RunningService:
    """One of our services; ``log`` is what it wrote."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def end(self) -> None:
        stop(self.process)


def start_service(module: str, prefix: str, directory: Path, settings: dict[str, Any], port: int = 0) -> RunningService:
    """``python -m module`` with ``PREFIX_<SETTING>`` in its environment, once it listens."""
    port = port or free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("KUBETRIAGE_")},
        "PYTHONPATH": str(ROOT),
        f"{prefix}PORT": str(port),
        **{f"{prefix}{name.upper()}": str(value) for name, value in settings.items()},
    }
    log = directory / f"{module}-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-m", module], env=environment, stdout=output, stderr=output)
    try:
        wait_for_port(port, process)
    except RuntimeError:
        stop(process)
        raise
    return RunningService(process, f"http://127.0.0.1:{port}", log)


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of an event stream's events."""
        lines = self.body.decode().splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def send(http: aiohttp.ClientSession, method: str, url: str, **options: Any) -> Reply:
    """The whole reply; an error must be a complete problem document."""
    async with http.request(method, url, **options) as answer:
        reply = Reply(answer.status, answer.headers, await answer.read())
    if reply.status >= 400:
        assert answer.content_type == "application/problem+json", (reply.status, reply.body[:300])
        problem = reply.json
        assert problem["status"] == reply.status
        assert problem["request_id"] == reply.headers["X-Request-ID"]
        assert problem["title"]
        assert problem["code"]
    return reply


async def eventually(check: Callable[[], Any], seconds: float = 5) -> None:
    """Waits until the awaitable check is true."""
    deadline = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.05)
