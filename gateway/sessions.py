"""Who owns which conversation. Messages and memory live in the agent; here is the cover sheet.

A session and its owner's list are two keys, in a Redis Cluster on two servers, so no transaction holds them
together: the session is written first, and what is in one of them alone is not shown and expires.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from kubetriage.contracts.api import Session

_LISTED = 200  # newest sessions of a list; older ones stay reachable by id
_TITLE_WORDS = 12
_TITLE_LENGTH = 80  # characters


def title_from(question: str) -> str:
    """The first words of a question, on one line."""
    words = "".join(char if char.isprintable() else " " for char in question).split()
    title = " ".join(words[:_TITLE_WORDS])
    return title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1] + "…"


def _key(session_id: str) -> str:
    return f"kt:session:{session_id}"


def _index(owner: str) -> str:
    return f"kt:sessions:{owner}"


class Sessions:
    """The sessions in one Redis. ``lifetime_seconds`` counts from the last use."""

    def __init__(self, redis: Redis, *, lifetime_seconds: int) -> None:
        self._redis: Any = redis
        self._lifetime = lifetime_seconds

    async def create(self, owner: str, title: str) -> Session:
        """A new, empty session of ``owner``."""
        session_id, now = f"s_{secrets.token_urlsafe(16)}", time.time()
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(
                _key(session_id),
                mapping={"owner": owner, "title": title, "created": now, "updated": now, "turns": 0},
            )
            self._touch(pipe, owner, session_id, now)
            await pipe.execute()
        return _session(session_id, {"title": title, "created": now, "updated": now, "turns": 0})

    async def find(self, owner: str, session_id: str) -> Session | None:
        """The session when it is the owner's; somebody else's looks like none."""
        fields = await self._redis.hgetall(_key(session_id))
        return _session(session_id, fields) if fields and fields.get("owner") == owner else None

    async def list(self, owner: str) -> tuple[Session, ...]:
        """The owner's newest sessions, last used first."""
        ids = await self._redis.zrevrange(_index(owner), 0, _LISTED - 1)
        async with self._redis.pipeline(transaction=False) as pipe:
            for session_id in ids:
                pipe.hgetall(_key(session_id))
            records = await pipe.execute()
        return tuple(
            _session(session_id, fields)
            for session_id, fields in zip(ids, records, strict=True)
            if fields and fields.get("owner") == owner
        )

    async def count_turn(self, owner: str, session_id: str) -> None:
        """One more question was answered."""
        now = time.time()
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hincrby(_key(session_id), "turns", 1)
            pipe.hset(_key(session_id), "updated", now)
            self._touch(pipe, owner, session_id, now)
            await pipe.execute()

    async def delete(self, owner: str, session_id: str) -> None:
        """Forgets the session; nothing happens when there is none."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.delete(_key(session_id))
            pipe.zrem(_index(owner), session_id)
            await pipe.execute()

    def _touch(self, pipe: Any, owner: str, session_id: str, now: float) -> None:
        pipe.expire(_key(session_id), self._lifetime)
        pipe.zadd(_index(owner), {session_id: now})
        pipe.zremrangebyscore(_index(owner), 0, now - self._lifetime)
        pipe.expire(_index(owner), self._lifetime)


def _session(session_id: str, fields: dict[str, Any]) -> Session:
    return Session(
        id=session_id,
        title=fields["title"],
        created_at=datetime.fromtimestamp(float(fields["created"]), UTC),
        updated_at=datetime.fromtimestamp(float(fields["updated"]), UTC),
        turns=int(fields["turns"]),
    )
