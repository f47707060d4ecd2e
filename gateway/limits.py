"""Fixed windows per address, user and costly call, shared by every gateway on one Redis.

Why not slowapi's middleware or decorator: since FastAPI 0.137 the middleware silently skips routes,
and both call Redis synchronously, so a stalled Redis stops every request. This keeps slowapi's
engine (``limits``: rate strings, keys, the in-memory fallback) and its address key, and counts in
Redis with one small script that travels in the same pipeline as the rest of the request's reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage

from gateway.metrics import Metrics
from gateway.problems import QUOTA_EXCEEDED, ApiError

# Lua: one more in the window whose counter is at ``key``. Redis' clock, so gateways agree.
COUNT_HIT = """
local function count_hit(key, seconds)
  local count = redis.call('INCR', key)
  if count == 1 then redis.call('EXPIRE', key, seconds) end
  local left = redis.call('TTL', key)
  if left < 0 then redis.call('EXPIRE', key, seconds); left = tonumber(seconds) end
  return {count, left}
end
"""
HIT = COUNT_HIT + "return count_hit(KEYS[1], ARGV[1])"


@dataclass(frozen=True, slots=True)
class Policy:
    """A named quota: ``item`` says how many in how long."""

    name: str
    item: RateLimitItem

    def key(self, who: str) -> str:
        """The Redis key of one window."""
        return f"kt:limit:{self.item.key_for(self.name, who)}"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands in one policy: hits including this one, seconds until the window ends."""

    policy: Policy
    count: int
    reset: int

    @property
    def exceeded(self) -> bool:
        return self.count > self.policy.item.amount

    @property
    def remaining(self) -> int:
        return max(0, self.policy.item.amount - self.count)


@dataclass(frozen=True, slots=True)
class Hit:
    """One policy to count, for whom."""

    policy: Policy
    who: str

    @property
    def key(self) -> str:
        """The Redis key of its window."""
        return self.policy.key(self.who)

    @property
    def seconds(self) -> int:
        """The length of its window."""
        return int(self.policy.item.get_expiry())


class Limits:
    """The policies and both engines."""

    def __init__(self, *, user: str, ask: str, address: str, metrics: Metrics) -> None:
        self.user = Policy("user", parse(user))
        self.ask = Policy("ask", parse(ask))
        self.address = Policy("address", parse(address))
        self._local = MemoryStorage()
        self._metrics = metrics

    def queue(self, pipe: Any, hits: Sequence[Hit]) -> None:
        """Adds one command per hit to a Redis pipeline."""
        for hit in hits:
            pipe.eval(HIT, 1, hit.key, hit.seconds)

    def read(self, hits: Sequence[Hit], results: Sequence[Sequence[int]]) -> tuple[Standing, ...]:
        """What the queued commands returned."""
        return self._counted(
            "redis",
            [Standing(hit.policy, int(r[0]), max(1, int(r[1]))) for hit, r in zip(hits, results, strict=True)],
        )

    async def hit_locally(self, hits: Sequence[Hit]) -> tuple[Standing, ...]:
        """The same, counted in this process only: for the time without Redis."""
        standings = []
        for hit in hits:
            count = await self._local.incr(hit.key, hit.seconds)
            # Not the exact rest of the window: the longest wait is always a correct promise.
            standings.append(Standing(hit.policy, count, hit.seconds))
        return self._counted("local", standings)

    def _counted(self, engine: str, standings: list[Standing]) -> tuple[Standing, ...]:
        for standing in standings:
            decision = "refused" if standing.exceeded else "admitted"
            self._metrics.limiter.labels(standing.policy.name, decision, engine).inc()
        return tuple(standings)


def header_values(standings: Sequence[Standing]) -> dict[str, str]:
    """``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers)."""
    policies = [f'"{s.policy.name}";q={s.policy.item.amount};w={s.policy.item.get_expiry()}' for s in standings]
    states = [f'"{s.policy.name}";r={s.remaining};t={s.reset}' for s in standings]
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}


def refuse_exceeded(standings: Sequence[Standing]) -> None:
    """Raises the 429 when a policy is exceeded."""
    violated = [standing for standing in standings if standing.exceeded]
    if violated:
        wait = max(standing.reset for standing in violated)
        raise quota_exceeded([standing.policy.name for standing in violated], wait)


def quota_exceeded(policies: Sequence[str], wait: int) -> ApiError:
    """429; ``wait`` in seconds."""
    return ApiError(
        429,
        "quota_exceeded",
        f"Too many requests; wait {wait} s.",
        headers={"Retry-After": str(wait)},
        type_=QUOTA_EXCEEDED,
        **{"violated-policies": list(policies)},
    )
