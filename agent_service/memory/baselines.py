"""Earlier diagnoses, to say what is new: a few per scope, over an hour and back, in Redis.

A diagnosis is compared with the newest one that is at least ``window_seconds`` old (else with the oldest
there is), so that what is new stays new for as long, whoever asks how often.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import ValidationError
from redis.asyncio import Redis

from kubetriage.contracts.diagnosis import Diagnosis, Scope

_PREFIX = "kubetriage:baseline:"
_SPACING = 4  # diagnoses kept per window
_LARGEST = 1_000_000  # compressed bytes; a larger diagnosis is not kept


class Baselines(Protocol):
    """Earlier diagnoses by scope and by what the caller may see."""

    async def before(self, scope: Scope, namespaces: Sequence[str] | None, now: float) -> Diagnosis | None:
        """What to compare with; None at the first time. ``now``: seconds since the epoch."""

    async def keep(self, diagnosis: Diagnosis, namespaces: Sequence[str] | None, now: float) -> None:
        """For later ones of the same scope."""


class RedisBaselines:
    """For all agents on one Redis. Redis errors are passed on."""

    def __init__(self, redis: Redis, *, window_seconds: float = 3600.0, ttl_seconds: int = 30 * 86400) -> None:
        self._redis = redis
        self._window = window_seconds
        self._ttl = ttl_seconds

    async def before(self, scope: Scope, namespaces: Sequence[str] | None, now: float) -> Diagnosis | None:
        entries = await self._entries(_key(scope, namespaces))
        if not entries:
            return None
        at, blob = next((entry for entry in entries if now - entry[0] >= self._window), entries[-1])
        return _unpacked(blob) if at < now else None

    async def keep(self, diagnosis: Diagnosis, namespaces: Sequence[str] | None, now: float) -> None:
        key = _key(diagnosis.scope, namespaces)
        newest = await self._redis.lindex(key, 0)
        if newest is not None and now - _split(newest)[0] < self._window / _SPACING:
            return
        times = [at for at, _ in await self._entries(key)]
        blob = zlib.compress(diagnosis.model_dump_json(exclude_none=True).encode())
        if len(blob) > _LARGEST:
            return
        old_enough = next((index for index, at in enumerate(times) if now - at >= self._window), len(times))
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.lpush(key, b"%d:%b" % (int(now * 1000), blob))
            pipe.ltrim(key, 0, old_enough + 1)
            pipe.expire(key, self._ttl)
            await pipe.execute()

    async def _entries(self, key: str) -> list[tuple[float, bytes]]:
        """(time, compressed document), newest first."""
        return [_split(entry) for entry in await self._redis.lrange(key, 0, -1)]


def _split(entry: Any) -> tuple[float, bytes]:
    time, _, blob = entry.partition(b":")
    return int(time) / 1000, blob


def _key(scope: Scope, namespaces: Sequence[str] | None) -> str:
    """Of what was looked at, not of the question; callers who may see less are compared among themselves."""
    seen = None if namespaces is None else sorted(namespaces)
    text = json.dumps([scope.cluster, scope.namespace, scope.kind, scope.name, seen])
    return _PREFIX + hashlib.sha256(text.encode()).hexdigest()


def _unpacked(blob: bytes) -> Diagnosis | None:
    try:
        return Diagnosis.model_validate_json(zlib.decompress(blob), extra="ignore")
    except (zlib.error, ValidationError):
        return None  # of another version of ours: as if it were the first time
