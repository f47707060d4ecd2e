"""Real parts: redis-server, a scripted agent and the gateway, each a process on loopback."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.gateway.support import AGENT, add_users, start_gateway
from tests.processes import KEY, ROOT, RedisServer, RunningService, free_port, stop, wait_for_port


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
def session_gateway(
    shared_redis: RedisServer, agent_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    asyncio.run(add_users(shared_redis.url))
    generous = {f"limit_{name}": "100000/minute" for name in ("user", "ask", "address")}
    running = start_gateway(tmp_path_factory.mktemp("gateway"), shared_redis.url, agent_url, **generous)
    yield running
    running.end()


@pytest.fixture
def gateway(session_gateway: RunningService, shared_redis: RedisServer) -> RunningService:
    """The shared gateway; what earlier tests counted and stored is gone, users and keys stay."""
    client = redis.Redis.from_url(shared_redis.url)
    for pattern in ("kt:limit:*", "kt:session*", "kt:refresh:*", "kt:denied:*"):
        for key in client.scan_iter(pattern):
            client.delete(key)
    client.close()
    return session_gateway


@pytest.fixture
def make_gateway(tmp_path: Path, agent_url: str) -> Iterator[Callable[..., RunningService]]:
    """A gateway of the test's own, with its own settings."""
    started: list[RunningService] = []

    def make(redis_url: str, *, agent: str = agent_url, **settings: Any) -> RunningService:
        started.append(start_gateway(tmp_path, redis_url, agent, **settings))
        return started[-1]

    yield make
    for running in started:
        running.end()
