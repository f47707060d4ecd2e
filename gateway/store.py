"""Redis as the gateway sees it: one error for "not available", and a pause after it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from kubetriage.redis_connection import REDIS_ERRORS

# Whatever a call of Redis may end with when Redis is the reason.
UNAVAILABLE = (*REDIS_ERRORS, OSError, TimeoutError)


class StoreUnavailableError(Exception):
    """Redis did not answer in time or not at all."""

    code = "store_unavailable"


class Breaker:
    """After a failure the store is left alone for a while, so that a stalled Redis costs one wait
    and not one per request. Single event loop only."""

    def __init__(self, retry_seconds: float, on_failure: Callable[[], None] = lambda: None) -> None:
        self._retry_seconds = retry_seconds
        self._on_failure = on_failure
        self._closed_until = 0.0

    @property
    def is_open(self) -> bool:
        """True while the store is left alone."""
        return time.monotonic() < self._closed_until

    @asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Around calls of the store. Raises StoreUnavailableError, at once while open."""
        if self.is_open:
            raise StoreUnavailableError("the store did not answer a moment ago")
        try:
            yield
        except (RedisConnectionError, RedisTimeoutError, RedisClusterException, OSError, TimeoutError) as error:
            self._closed_until = time.monotonic() + self._retry_seconds
            self._on_failure()
            raise StoreUnavailableError("the store does not answer") from error
        except RedisError as error:  # READONLY during a failover, LOADING after a start, OOM
            self._on_failure()
            raise StoreUnavailableError("the store refuses the call") from error
