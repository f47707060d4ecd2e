"""Real parts: redis-server, a scripted agent and the gateway, each a process on loopback."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis

from tests.gateway.support import (
    AGENT,
    KEY,
    ROOT,
    RedisServer,
    RunningGateway,
    add_users,
    free_port,
    start_gateway,
    stop,
    wait_for_port,
)


@pytest.fixture(scope="session")
def agent_url() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(AGENT), str(port), KEY], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    wait_for_port(port, process)
    yield f"http://127.0.0.1:{port}"
    stop(process)


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(free_port(), tmp_path_factory.mktemp("redis"))
    yield server
    stop(server.process)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """For tests that pause or kill it."""
    server = RedisServer(free_port(), tmp_path)
    yield server
    stop(server.process)


@pytest.fixture(scope="session")
def session_gateway(
    shared_redis: RedisServer, agent_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    asyncio.run(add_users(shared_redis.url))
    generous = {f"limit_{name}": "100000/minute" for name in ("user", "ask", "address")}
    running = start_gateway(tmp_path_factory.mktemp("gateway"), shared_redis.url, agent_url, **generous)
    yield running
    running.end()


@pytest.fixture
def gateway(session_gateway: RunningGateway, shared_redis: RedisServer) -> RunningGateway:
    """The shared gateway; what earlier tests counted and stored is gone, users and keys stay."""
    client = redis.Redis.from_url(shared_redis.url)
    for pattern in ("kt:limit:*", "kt:session*", "kt:refresh:*", "kt:denied:*"):
        for key in client.scan_iter(pattern):
            client.delete(key)
    client.close()
    return session_gateway


@pytest.fixture
def make_gateway(tmp_path: Path, agent_url: str) -> Iterator[Callable[..., RunningGateway]]:
    """A gateway of the test's own, with its own settings."""
    started: list[RunningGateway] = []

    def make(redis_url: str, *, agent: str = agent_url, **settings: Any) -> RunningGateway:
        started.append(start_gateway(tmp_path, redis_url, agent, **settings))
        return started[-1]

    yield make
    for running in started:
        running.end()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session
