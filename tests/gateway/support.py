"""Starts and asks the real parts: redis-server, the scripted agent, the gateway."""

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

from gateway.users import open_users
from kubetriage.contracts.identity import Role

KEY = "k" * 48
PASSWORD = "correct horse battery"
AGENT = Path(__file__).with_name("upstream_agent.py")
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 20) -> None:
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
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"],
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
        )
        wait_for_port(self.port, self.process)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@dataclass
class RunningGateway:
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def end(self) -> None:
        stop(self.process)


def start_gateway(directory: Path, redis_url: str, agent: str, **settings: Any) -> RunningGateway:
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KUBETRIAGE_GATEWAY_PORT": str(port),
        "KUBETRIAGE_GATEWAY_REDIS_URL": redis_url,
        "KUBETRIAGE_GATEWAY_AGENT_URL": agent,
        "KUBETRIAGE_GATEWAY_INTERNAL_KEY": KEY,
        # Two busy cores: a healthy Redis must not look like a stalled one.
        "KUBETRIAGE_GATEWAY_REDIS_TIMEOUT_SECONDS": "2",
        **{f"KUBETRIAGE_GATEWAY_{name.upper()}": str(value) for name, value in settings.items()},
    }
    log = directory / f"gateway-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "gateway"], env=environment, stdout=output, stderr=output)
    wait_for_port(port, process)
    return RunningGateway(process, f"http://127.0.0.1:{port}", log)


async def add_users(redis_url: str) -> None:
    async with open_users(redis_url) as users:
        await users.create("ada", PASSWORD)
        await users.create("bob", PASSWORD, role=Role.OPERATOR, namespaces=["shop"], clusters=["prod"])


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


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


async def log_in(http: aiohttp.ClientSession, url: str, user: str = "ada") -> dict[str, Any]:
    form = {"username": user, "password": PASSWORD}
    reply = await send(http, "POST", f"{url}/v1/auth/token", data=form)
    assert reply.status == 200, reply.body
    return reply.json


def bearer(tokens: dict[str, Any] | str) -> dict[str, str]:
    token = tokens if isinstance(tokens, str) else tokens["access_token"]
    return {"Authorization": f"Bearer {token}"}


async def seen_by_agent(http: aiohttp.ClientSession, agent: str) -> dict[str, list[Any]]:
    async with http.get(f"{agent}/seen") as answer:
        found: dict[str, list[Any]] = await answer.json()
        return found


async def eventually(check: Callable[[], Any], seconds: float = 5) -> None:
    """Waits until the awaitable check is true."""
    deadline = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.05)
