"""What Redis says of itself, read in the background: no request waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from gateway.metrics import Metrics
from kubetriage.redis_connection import REDIS_ERRORS

_INTERVAL_SECONDS = 15.0  # no more often than anybody scrapes
# Lives as long as the data does: another one, or none, is a Redis that was emptied.
_MARK = "kt:mark"


class StoreState:
    """Keeps the metrics of Redis' memory, clients and losses. Not known, as after a failure, is NaN and not 0.

    ``persistent``: whether it writes an append-only file; None when it does not say.
    """

    def __init__(self, redis: Redis, metrics: Metrics) -> None:
        self._redis: Any = redis
        self._metrics = metrics
        self._evicted: int | None = None
        self._mark: str | None = None
        self.persistent: bool | None = None

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
        self.persistent = _persistent(said)
        self._metrics.persistent.set(math.nan if self.persistent is None else self.persistent)
        with contextlib.suppress(*REDIS_ERRORS, OSError):
            await self._look_for_the_mark()

    def _count_evictions(self, evicted: int | None) -> None:
        if evicted is None:
            return
        before = evicted if self._evicted is None else self._evicted
        # Redis counts since its own start: fewer than before is a Redis that has started again.
        self._metrics.redis_evictions.inc(evicted - before if evicted >= before else evicted)
        self._evicted = evicted

    async def _look_for_the_mark(self) -> None:
        """Every gateway notices for itself, also when another one has already set a new mark."""
        mine = secrets.token_hex(8)
        found = mine if await self._redis.set(_MARK, mine, nx=True) else await self._redis.get(_MARK)
        if self._mark is not None and found != self._mark:
            self._metrics.redis_losses.inc()
        self._mark = found


def _persistent(said: dict[str, Any]) -> bool | None:
    # A Cluster answers for each of its servers.
    each = [said, *(one for one in said.values() if isinstance(one, dict))]
    known = [bool(one["aof_enabled"]) for one in each if "aof_enabled" in one]
    return all(known) if known else None


@contextlib.asynccontextmanager
async def watch_state(state: StoreState) -> AsyncIterator[None]:
    """Asks every few seconds while the context lasts."""
    done = asyncio.Event()

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
