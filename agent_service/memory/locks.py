"""One question at a time per session, also over several agents."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Protocol

from redis.asyncio import Redis

from agent_service.errors import SessionBusyError
from kubetriage.redis_connection import REDIS_ERRORS

# Seconds that the lock of a killed agent outlives it; a living one renews it three times in that time.
_LIFETIME = 9.0
_PREFIX = "kubetriage:lock:"
# Only the owner may prolong or give back: the lock may have expired and be somebody else's.
_RENEW = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class SessionLocks(Protocol):
    """Mutual exclusion by thread."""

    def hold(self, thread: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Raises SessionBusyError when somebody else keeps holding it."""


class LocalLocks:
    """For one process."""

    def __init__(self) -> None:
        self._held: set[str] = set()

    @contextlib.asynccontextmanager
    async def hold(self, thread: str) -> AsyncIterator[None]:
        if thread in self._held:
            raise _busy()
        self._held.add(thread)
        try:
            yield
        finally:
            self._held.discard(thread)


class RedisLocks:
    """For all agents on one Redis. Redis errors are passed on.

    ``wait_seconds``: how long a second question waits for the first before it is refused.
    """

    def __init__(self, redis: Redis, *, wait_seconds: float = 1.0, lifetime_seconds: float = _LIFETIME) -> None:
        self._redis = redis
        self._wait = wait_seconds
        self._lifetime = lifetime_seconds

    @contextlib.asynccontextmanager
    async def hold(self, thread: str) -> AsyncIterator[None]:
        key, token = f"{_PREFIX}{thread}", secrets.token_hex(8)
        await self._acquire(key, token)
        owner = asyncio.current_task()
        done = asyncio.Event()
        renewal = asyncio.create_task(self._renew(key, token, owner, done))
        try:
            yield
        finally:
            # Told and not cancelled: redis-py may swallow the cancellation of a call that is under way.
            done.set()
            await asyncio.gather(renewal, return_exceptions=True)
            # It ends by itself when Redis cannot be told.
            with contextlib.suppress(*REDIS_ERRORS, OSError):
                await self._redis.eval(_RELEASE, 1, key, token)

    async def _acquire(self, key: str, token: str) -> None:
        deadline = asyncio.get_running_loop().time() + self._wait
        while not await self._redis.set(key, token, nx=True, px=int(self._lifetime * 1000)):
            if asyncio.get_running_loop().time() >= deadline:
                raise _busy()
            await asyncio.sleep(0.1)

    async def _renew(self, key: str, token: str, owner: asyncio.Task[None] | None, done: asyncio.Event) -> None:
        lost_after = asyncio.get_running_loop().time() + self._lifetime
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lifetime / 3):
                    await done.wait()
            if done.is_set():
                return
            try:
                kept = await self._redis.eval(_RENEW, 1, key, token, str(int(self._lifetime * 1000)))
            except (*REDIS_ERRORS, OSError):
                kept = asyncio.get_running_loop().time() < lost_after
            else:
                lost_after = asyncio.get_running_loop().time() + self._lifetime
            if not kept:
                # Somebody else may write this conversation by now: two writers would mix it up.
                if owner is not None and not done.is_set():
                    owner.cancel()
                return


def _busy() -> SessionBusyError:
    return SessionBusyError(
        "Another question of this session is still being answered; wait for it, or begin a session."
    )
