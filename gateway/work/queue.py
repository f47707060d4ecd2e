"""Work that outlives whoever took it: a Redis stream with one consumer group.

An entry stays until it is acknowledged. Whoever works on it renews its claim; a claim that nobody
renewed for ``lease_seconds`` is of somebody who died, and the entry is taken over. What failed waits
for a growing pause; how often it was tried is Redis' own count, so pauses go on over restarts.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

GROUP = "gateways"
# One name for all gateways: who is alive is told by the claim's age, and names of the dead need no tidying.
_WORKING = "working"
_WAITING = "waiting"
_BLOCK_MS = 500  # less than a socket's patience; also how exact pauses are
_LONGEST_PAUSE = 300.0  # seconds
_LOOKED_AT = 500  # pending entries; the queues are shorter


@dataclass(frozen=True, slots=True)
class Job:
    """``attempts`` counts this one."""

    id: str
    fields: dict[str, str]
    attempts: int


class WorkQueue:
    """One stream. ``pause_seconds`` comes before the second attempt and doubles from there."""

    def __init__(self, redis: Redis, stream: str, *, lease_seconds: float, pause_seconds: float) -> None:
        self._redis: Any = redis
        self.stream = stream
        self.lease_seconds = lease_seconds
        self._pause = pause_seconds

    @property
    def name(self) -> str:
        """What it is called in traces."""
        return self.stream.partition(":")[2].replace("{", "").replace("}", "")

    async def prepare(self) -> None:
        """Makes the group, when it is not there."""
        with contextlib.suppress(ResponseError):  # BUSYGROUP: it is there
            await self._redis.xgroup_create(self.stream, GROUP, id="0", mkstream=True)

    async def take(self) -> Job | None:
        """What is due, else what is new; None when there was nothing for half a second."""
        async for entry, patience_ms, attempts in self._due():
            claimed = await self._redis.xclaim(self.stream, GROUP, _WORKING, int(patience_ms), [entry])
            if claimed and claimed[0][1]:  # else somebody was faster, or it was acknowledged
                return Job(entry, claimed[0][1], attempts + 1)
        found = await self._redis.xreadgroup(GROUP, _WORKING, {self.stream: ">"}, count=1, block=_BLOCK_MS)
        for _, entries in found or ():
            for entry, fields in entries:
                return Job(entry, fields, 1)
        return None

    async def renew(self, job: Job) -> None:
        """The work goes on. To be called more often than every ``lease_seconds``."""
        await self._claim(job, _WORKING)

    async def put_back(self, job: Job) -> None:
        """It failed: to be tried again after a pause."""
        await self._claim(job, _WAITING)

    async def release(self, job: Job) -> None:
        """We end before it does: whoever looks next takes it over."""
        await self._claim(job, _WAITING, idle=int(_LONGEST_PAUSE * 2000))

    async def length(self) -> int:
        """Entries that are not done."""
        return int(await self._redis.xlen(self.stream))

    async def _claim(self, job: Job, consumer: str, **options: int) -> None:
        # JUSTID: it is not an attempt.
        await self._redis.xclaim(self.stream, GROUP, consumer, 0, [job.id], justid=True, **options)

    async def _due(self) -> AsyncIterator[tuple[str, float, int]]:
        for pending in await self._redis.xpending_range(self.stream, GROUP, min="-", max="+", count=_LOOKED_AT):
            entry, attempts = pending["message_id"], pending["times_delivered"]
            patience = self.lease_seconds
            if pending["consumer"] == _WAITING:
                patience = pause_before(attempts + 1, self._pause, entry)
            if pending["time_since_delivered"] >= patience * 1000:
                yield entry, patience * 1000, attempts


def pause_before(attempt: int, first_seconds: float, entry: str) -> float:
    """Seconds to wait before ``attempt`` (2, 3, ...): doubling, capped, and spread by up to half.

    The spread comes from the entry's id, so that every gateway reckons the same.
    """
    pause = min(_LONGEST_PAUSE, first_seconds * 2.0 ** min(attempt - 2, 30))
    spread = zlib.crc32(f"{entry}/{attempt}".encode()) / 2**32
    return pause * (1 - spread / 2)
