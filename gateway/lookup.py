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

# KEYS: the user, the marks of revocation, the windows. ARGV: how many marks, how many fields, the fields' names, the
# length of each window in seconds.
_LOOK_UP = (
    COUNT_HIT
    + """
local marks, fields = tonumber(ARGV[1]), tonumber(ARGV[2])
local denied = 0
for i = 2, 1 + marks do denied = denied + redis.call('EXISTS', KEYS[i]) end
local found = {denied, redis.call('HMGET', KEYS[1], unpack(ARGV, 3, 2 + fields))}
for i = 2 + marks, #KEYS do
  found[#found + 1] = count_hit(KEYS[i], ARGV[1 + fields + i - marks])
end
return found
"""
)


@dataclass(frozen=True, slots=True)
class Found:
    """``fields`` are the values of ``users.FIELDS``; ``counts`` what ``Limits.read`` takes."""

    denied: bool
    fields: Sequence[str | None]
    counts: Sequence[Sequence[int]]


async def look_up(redis: Redis, *, user: str, marks: Sequence[str], hits: Sequence[Hit]) -> Found:
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
    keys = [user, *marks, *(hit.key for hit in hits)]
    arguments = [len(marks), len(FIELDS), *FIELDS, *(hit.seconds for hit in hits)]
    denied, fields, *counts = await client.eval(_LOOK_UP, len(keys), *keys, *arguments)
    return Found(bool(denied), fields, counts)
