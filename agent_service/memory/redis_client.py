"""The connection to Redis: short timeouts, no hidden retries."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

_CONNECTIONS = 64


def connect_redis(url: str, *, timeout_seconds: float = 2.0) -> Redis:
    """A client whose every call ends within about ``timeout_seconds``. Answers are bytes.

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
    )
    return Redis.from_pool(pool)
