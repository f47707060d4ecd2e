"""The lock of a session: it ends when its holder does."""

from __future__ import annotations

import asyncio

from agent_service.memory.locks import RedisLocks
from kubetriage.redis_connection import connect_redis
from tests.processes import RedisServer

RENEWED_EVERY = 0.5


async def test_a_lock_that_is_given_back_while_it_is_renewed_is_given_back(shared_redis: RedisServer) -> None:
    """redis-py may swallow a cancellation: a holder that cancelled the renewal waited for it for ever."""
    client = connect_redis(shared_redis.url)
    locks = RedisLocks(client, lifetime_seconds=3 * RENEWED_EVERY)

    async def hold(number: int) -> None:
        async with locks.hold(f"thread {number}"):
            await asyncio.sleep(RENEWED_EVERY + number / 5000)

    async with asyncio.timeout(20):
        await asyncio.gather(*(hold(number) for number in range(100)))
    assert not await client.exists(*(f"kubetriage:lock:thread {number}" for number in range(100)))
    await client.aclose()
