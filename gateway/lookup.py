"""What a request asks Redis before it is let in: is the token revoked, who is the user, where do the quotas stand.

One round trip. On one server it is one script, because every command of a pipeline is packed, awaited and read by
itself: half the gateway's work for Redis. The keys of a Cluster live on several nodes, so there it is a pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from gateway.limits import COUNT_HIT, HIT, Hit
from gateway.users import FIELDS

# KEYS: the user, two marks of revocation, the windows. ARGV: the length of each window in seconds.
_LOOK_UP = (
    COUNT_HIT
    + f"""
local found = {{
  redis.call('EXISTS', KEYS[2]) + redis.call('EXISTS', KEYS[3]),
  redis.call('HMGET', KEYS[1], {", ".join(f"'{name}'" for name in FIELDS)})
}}
for i = 4, #KEYS do found[i - 1] = count_hit(KEYS[i], ARGV[i - 3]) end
return found
"""
).encode()


@dataclass(frozen=True, slots=True)
class Found:
    """``fields`` are the values of ``users.FIELDS``; ``counts`` what ``Limits.read`` takes."""

    denied: bool
    fields: Sequence[str | None]
    counts: Sequence[Sequence[int]]


async def look_up(redis: Redis, *, user: str, marks: tuple[str, str], hits: Sequence[Hit]) -> Found:
    """Counts ``hits``; reads the fields at the key ``user``, and whether one of the keys ``marks`` exists."""
    client: Any = redis
    if isinstance(client, RedisCluster):
        async with client.pipeline(transaction=False) as pipe:
            pipe.hmget(user, FIELDS)
            for mark in marks:
                pipe.exists(mark)
            for hit in hits:
                pipe.eval(HIT, 1, hit.key, hit.seconds)
            fields, *results = await pipe.execute()
        return Found(any(results[: len(marks)]), fields, results[len(marks) :])
    keys = [user, *marks, *[hit.key for hit in hits]]
    denied, fields, *counts = await client.eval(_LOOK_UP, len(keys), *keys, *[hit.seconds for hit in hits])
    return Found(bool(denied), fields, counts)
