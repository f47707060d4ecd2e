"""The connection to Redis: short timeouts, one retry of a lost connection, one error for "not available"."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

_CONNECTIONS = 64  # of one process; the rest queue for at most one timeout


class StoreUnavailableError(Exception):
    """Redis did not answer in time or not at all."""

    code = "store_unavailable"


def connect(url: str, *, timeout_seconds: float = 2.0) -> Redis:
    """A client whose every call ends within about ``timeout_seconds``.

    redis-py 8 retries ten times by default, which turns half a second into half a minute.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        # Once, at once: a connection that its server left without a word is only noticed when it is used.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        decode_responses=True,
    )
    return Redis.from_pool(pool)


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
        except (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError) as error:
            self._closed_until = time.monotonic() + self._retry_seconds
            self._on_failure()
            raise StoreUnavailableError("the store does not answer") from error
        except RedisError as error:  # READONLY during a failover, LOADING after a start, OOM
            self._on_failure()
            raise StoreUnavailableError("the store refuses the call") from error
