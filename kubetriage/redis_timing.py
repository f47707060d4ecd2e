"""Redis clients that tell how long each round trip took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterPipeline, RedisCluster

# (command, or "pipeline" for several at once; whether Redis did it; seconds, the wait for a connection included)
Observe = Callable[[str, bool, float], None]


def unobserved(_command: str, _worked: bool, _seconds: float) -> None:
    """For clients that nobody watches."""


class _TimedCommands:
    observe: Observe = staticmethod(unobserved)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with _timed(self.observe, str(args[0]).lower()):
            return await super().execute_command(*args, **options)  # type: ignore[misc]


class _TimedExecution:
    observe: Observe

    async def execute(self, *args: Any, **options: Any) -> list[Any]:
        with _timed(self.observe, "pipeline"):
            answers: list[Any] = await super().execute(*args, **options)  # type: ignore[misc]
            return answers


# redis-py's own base classes disagree about command_info and friends: hence the "misc".
class _Pipeline(_TimedExecution, Pipeline):  # type: ignore[misc]
    pass


class _ClusterPipeline(_TimedExecution, ClusterPipeline):  # type: ignore[misc]
    pass


class TimedRedis(_TimedCommands, Redis):  # type: ignore[misc]
    """One server, or the master that Sentinels name. Set ``observe``."""

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        made = _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.observe = self.observe
        return made


class TimedCluster(_TimedCommands, RedisCluster):  # type: ignore[misc]
    """A Cluster. Set ``observe``."""

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        del shard_hint  # a Cluster has none
        made = _ClusterPipeline(self, transaction)  # type: ignore[abstract]
        made.observe = self.observe
        return made


@contextmanager
def _timed(observe: Observe, command: str) -> Iterator[None]:
    began, worked = time.perf_counter(), False
    try:
        yield
        worked = True
    finally:
        observe(command, worked, time.perf_counter() - began)
