"""SIGTERM comes at any line of the program, also at one that holds a lock."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.agent.support import SAMPLE
from tests.processes import KEY, ROOT, RedisServer, eventually, free_port, stop, wait_for_port

_PIPE_BYTES = 4096  # the smallest there is
_SERVICES: dict[str, tuple[str, dict[str, Any]]] = {
    "gateway": ("KUBETRIAGE_GATEWAY_", {"agent_url": "http://127.0.0.1:1"}),
    "agent_service": ("KUBETRIAGE_AGENT_", {"bundle": SAMPLE, "model": "builtin"}),
}


def start(module: str, prefix: str, settings: dict[str, Any]) -> tuple[subprocess.Popen[bytes], int]:
    """The service, and the end of the pipe that its log comes out of."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    variables = {f"{prefix}{name.upper()}": str(value) for name, value in settings.items()}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    process = subprocess.Popen([sys.executable, "-m", module], env=environment, stdout=writing)
    os.close(writing)
    return process, reading


def waits_in(pid: int) -> str:
    """Where in the kernel the main thread waits."""
    return Path(f"/proc/{pid}/wchan").read_text()


@pytest.mark.parametrize("module", _SERVICES)
async def test_sigterm_in_the_middle_of_a_log_line_ends_the_service(
    module: str, shared_redis: RedisServer, http: aiohttp.ClientSession
) -> None:
    """Whoever reads the log is slow: the service stands still within a line, and there the signal reaches it."""
    prefix, settings = _SERVICES[module]
    port = free_port()
    given = {"port": port, "redis_url": shared_redis.url, "internal_key": KEY, "drain_seconds": 2, **settings}
    process, reading = start(module, prefix, given)
    try:
        wait_for_port(port, process)

        async def stands_still() -> bool:
            try:
                async with http.get(f"http://127.0.0.1:{port}/nowhere", timeout=aiohttp.ClientTimeout(total=0.2)):
                    return False
            except TimeoutError:
                return "pipe_write" in waits_in(process.pid)

        await eventually(stands_still, seconds=20)
        process.terminate()
        threading.Thread(target=read_all, args=(reading,), daemon=True).start()
        await asyncio.to_thread(process.wait, 30)
    finally:
        stop(process)


def read_all(reading: int) -> None:
    while os.read(reading, 65536):
        pass
    os.close(reading)
