"""An agent as a process on a real Redis, with the sample cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agent.support import start_agent
from tests.processes import RedisServer, RunningService


@pytest.fixture(scope="session")
def agent(shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = start_agent(tmp_path_factory.mktemp("agent"), shared_redis.url)
    yield running
    running.end()
