"""Refresh tokens: opaque, one use each; a second use ends the whole family (RFC 9700 section 4.14).

A family begins with a login. Redis keeps a hash of the one token that may be used next, so a copy
of the store is worth nothing. The denylist of access tokens lives here too.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

_TOKEN = re.compile(r"ktr_([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})", re.ASCII)

# KEYS[1] family; ARGV: hash presented, hash of the successor, seconds to live.
# One script: two uses of the same token at once must not both succeed.
_ROTATE = """
local current = redis.call('HGET', KEYS[1], 'current')
if not current then return {'gone'} end
if current ~= ARGV[1] then
  local owner = redis.call('HGET', KEYS[1], 'user')
  redis.call('DEL', KEYS[1])
  return {'reused', owner}
end
redis.call('HSET', KEYS[1], 'current', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {'rotated', redis.call('HGET', KEYS[1], 'user'), redis.call('HGET', KEYS[1], 'epoch')}
"""


class RefreshTokenError(Exception):
    """The refresh token is unknown, expired, revoked or used before (``reused``)."""

    code = "refresh_token_invalid"

    def __init__(self, *, reused: bool = False) -> None:
        super().__init__("the refresh token is not valid")
        self.reused = reused


@dataclass(frozen=True, slots=True)
class Rotated:
    """The successor and whom it belongs to."""

    token: str
    family: str
    username: str
    epoch: int


def denied_token_key(jti: str) -> str:
    """Exists while the access token with this id is revoked."""
    return f"kt:denied:jti:{jti}"


def denied_family_key(family: str) -> str:
    """Exists while all access tokens of the family are revoked."""
    return f"kt:denied:family:{family}"


def _key(family: str) -> str:
    return f"kt:refresh:{family}"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class RefreshTokens:
    """The families in one Redis. Lifetimes in seconds."""

    def __init__(self, redis: Redis, *, lifetime_seconds: int, access_seconds: int) -> None:
        self._redis: Any = redis
        self._lifetime = lifetime_seconds
        # As long as an access token can be accepted: its life and the leeway, rounded up.
        self._denied_seconds = access_seconds + 120

    async def begin(self, username: str, epoch: int) -> Rotated:
        """The first token of a new family."""
        family, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(_key(family), mapping={"user": username, "epoch": str(epoch), "current": _hash(secret)})
            pipe.expire(_key(family), self._lifetime)
            await pipe.execute()
        return Rotated(f"ktr_{family}.{secret}", family, username, epoch)

    async def rotate(self, token: str) -> Rotated:
        """The successor of ``token``. RefreshTokenError; on reuse the family is revoked first."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise RefreshTokenError
        family, secret = match.groups()
        successor = secrets.token_urlsafe(32)
        result = await self._redis.eval(_ROTATE, 1, _key(family), _hash(secret), _hash(successor), self._lifetime)
        if result[0] == "reused":
            await self.revoke(family)
            raise RefreshTokenError(reused=True)
        if result[0] != "rotated":
            raise RefreshTokenError
        return Rotated(f"ktr_{family}.{successor}", family, result[1], int(result[2]))

    async def revoke(self, family: str) -> None:
        """Ends a family: its refresh token and every access token that came from it."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(denied_family_key(family), "1", ex=self._denied_seconds)
            pipe.delete(_key(family))
            await pipe.execute()
