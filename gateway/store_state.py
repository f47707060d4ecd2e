"""What Redis says of itself, read in the background: no request waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from gateway.metrics import Metrics
from kubetriage.redis_connection import REDIS_ERRORS

_INTERVAL_SECONDS = 15.0  # no more often than anybody scrapes


class StoreState:
    """Keeps the gauges of Redis' memory and clients. Not known, as after a failure, is NaN and not 0."""

    def __init__(self, redis: Redis, metrics: Metrics) -> None:
        self._redis: Any = redis
        self._metrics = metrics
        self._evicted: int | None = None

    async def read(self) -> None:
        """Asks once. Managed Redis may refuse INFO, so that a failure is no failure of the store."""
        try:
            said: dict[str, Any] = await self._redis.info()
        except (*REDIS_ERRORS, OSError):
            said = {}
        self._metrics.redis_memory.set(said.get("used_memory", math.nan))
        self._metrics.redis_memory_limit.set(said.get("maxmemory", math.nan))
        self._metrics.redis_clients.set(said.get("connected_clients", math.nan))
        self._count_evictions(said.get("evicted_keys"))

    def _count_evictions(self, evicted: int | None) -> None:
        if evicted is None:
            return
        before = evicted if self._evicted is None else self._evicted
        # Redis counts since its own start: fewer than before is a Redis that has started again.
        self._metrics.redis_evictions.inc(evicted - before if evicted >= before else evicted)
        self._evicted = evicted


@contextlib.asynccontextmanager
async def watch_state(redis: Redis, metrics: Metrics) -> AsyncIterator[None]:
    """Asks every few seconds while the context lasts."""
    state, done = StoreState(redis, metrics), asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            await state.read()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL_SECONDS):
                    await done.wait()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        # Told and not cancelled: redis-py may swallow the cancellation of a call that is under way.
        done.set()
        await asyncio.gather(watching, return_exceptions=True)
