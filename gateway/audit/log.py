"""The chain in Redis: a stream, and its head. Any number of gateways append to one chain."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from gateway.audit.chain import ChainBrokenError, Head, Link, Verified, chained, verify
from kubetriage.contracts.audit import AuditEntry, ChainedEntry
from kubetriage.redis_connection import connect_redis

_HEAD = "kt:{audit}:head"
_STREAM = "kt:{audit}:entries"
_PAGE = 500
MOST_ENTRIES = 10_000_000
_LOOKED_AT = 5000  # entries of one call with a filter; the cursor goes on from there
_TRIES = 50  # of an append; each failure is another gateway's success

# KEYS: head, stream. ARGV: the head it was reckoned from, the new one, most entries, links as JSON.
_APPEND = """
local head = redis.call('GET', KEYS[1]) or ''
if head ~= ARGV[1] then return head end
for i = 4, #ARGV do redis.call('XADD', KEYS[2], '*', 'link', ARGV[i]) end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('XTRIM', KEYS[2], 'MAXLEN', ARGV[3])
return ARGV[2]
"""


class AuditLog:
    """``entries``: how many are kept; older ones go."""

    def __init__(self, redis: Redis, *, entries: int) -> None:
        self._redis: Any = redis
        self._entries = entries
        self._known: str = ""

    async def append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Adds AuditEntry documents (without their numbers), all or none, after whatever is there."""
        for _ in range(_TRIES):
            links, head = chained(entries, Head.read(self._known or None))
            lines = [json.dumps(link) for link in links]
            found = await self._redis.eval(_APPEND, 2, _HEAD, _STREAM, self._known, str(head), self._entries, *lines)
            self._known = found
            # Also when the answer of an attempt before this one was lost on the way.
            if found == str(head):
                return
        raise TimeoutError("other gateways were faster every time")

    async def head(self) -> Head:
        """The newest entry's. Raises ChainBrokenError when it is not what we write."""
        try:
            return Head.read(await self._redis.get(_HEAD))
        except ValueError as error:
            raise ChainBrokenError("the head was changed") from error

    async def links(self) -> AsyncIterator[Link]:
        """Every entry, oldest first."""
        begin = "-"
        while rows := await self._redis.xrange(_STREAM, min=begin, count=_PAGE):
            for _, fields in rows:
                yield json.loads(fields["link"])
            begin = f"({rows[-1][0]}"

    async def verify(self, *heads: Head) -> Verified:
        """The whole chain with its own head and ``heads``, which were kept elsewhere. Raises ChainBrokenError."""
        own = await self.head()  # before the entries: what is appended meanwhile comes after it
        found = verify([link async for link in self.links()], own, *heads)
        if found.count and own == Head():
            raise ChainBrokenError("the head is missing")
        return found

    async def page(
        self, *, since: datetime | None, until: datetime | None, actor: str | None, cursor: str | None, limit: int
    ) -> tuple[tuple[ChainedEntry, ...], str | None]:
        """The newest ``limit`` entries that fit, after ``cursor``, and the next cursor if there may be more.

        ``since`` and ``until`` go by when Redis took them, about a second after the call.
        """
        end = f"({cursor}" if cursor else _milliseconds(until, "+")
        found: list[ChainedEntry] = []
        looked_at = 0
        while rows := await self._redis.xrevrange(_STREAM, max=end, min=_milliseconds(since, "-"), count=_PAGE):
            for entry_id, fields in rows:
                link = ChainedEntry.model_validate_json(fields["link"], extra="ignore")
                if actor in {None, link.entry.actor}:
                    found.append(link)
                looked_at += 1
                end = f"({entry_id}"
                if len(found) == limit or looked_at == _LOOKED_AT:
                    return tuple(found), entry_id
        return tuple(found), None


@asynccontextmanager
async def open_log(redis_url: str) -> AsyncIterator[AuditLog]:
    """The log of the Redis at ``redis_url``, for command-line tools. They take no entries away."""
    redis = connect_redis(redis_url, decode=True)
    try:
        yield AuditLog(redis, entries=MOST_ENTRIES)
    finally:
        await redis.aclose()


async def note_command(redis_url: str, command: str) -> None:
    """Adds an entry about a command that somebody gave on this host."""
    entry = AuditEntry(
        sequence=1, time=datetime.now(UTC), actor=f"cli:{os.environ.get('USER') or os.getuid()}", action=command[:200]
    )
    async with open_log(redis_url) as log:
        await log.append([entry_document(entry)])


def entry_document(entry: AuditEntry) -> dict[str, Any]:
    """As it is hashed: what is empty is left out, so that later versions may add members."""
    return entry.model_dump(mode="json", exclude_defaults=True, exclude={"sequence"})


def _milliseconds(time: datetime | None, otherwise: str) -> str:
    return otherwise if time is None else str(int(time.timestamp() * 1000))
