"""Slows down the guessing of passwords, per account and per address.

An attempt is counted before the password is looked at, so parallel guesses cannot slip through; a
success clears the account's count.
"""

from __future__ import annotations

from typing import Any

from limits import parse
from redis.asyncio import Redis

from gateway.limits import Hit, Limits, Policy, quota_exceeded


class LoginThrottle:
    """Counts in Redis; without Redis nobody logs in anyway."""

    def __init__(self, redis: Redis, limits: Limits, *, account: str, address: str) -> None:
        self._redis: Any = redis
        self._limits = limits
        self._account = Policy("login-account", parse(account))
        self._address = Policy("login-address", parse(address))

    async def count_attempt(self, account: str, address: str) -> None:
        """Raises the 429 when the account or the address had too many failures."""
        hits = [Hit(self._account, account), Hit(self._address, address)]
        async with self._redis.pipeline(transaction=False) as pipe:
            self._limits.queue(pipe, hits)
            standings = self._limits.read(hits, await pipe.execute())
        violated = [standing for standing in standings if standing.exceeded]
        if violated:
            raise quota_exceeded([s.policy.name for s in violated], max(s.reset for s in violated))

    async def clear(self, account: str, address: str) -> None:
        """After a success: what came before was not guessing. The address gives back this one only."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.delete(self._account.key(account))
            pipe.decr(self._address.key(address))
            await pipe.execute()
