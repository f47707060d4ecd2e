"""Users, kept in Redis: create, list, disable, reset, and the check of a password.

For the CLI and `kubetriage serve`: ``async with open_users(redis_url) as users: await
users.create("ada", password)``. Passwords are stored as argon2id hashes only.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from redis.asyncio import Redis

from kubetriage.contracts.identity import Role
from kubetriage.redis_connection import connect_redis

# OWASP's smallest argon2id setting (19 MiB, 2 passes): safe, and two at once stay within our memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_CONCURRENT_CHECKS = 2
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)
MINIMUM_PASSWORD = 10  # characters
MAXIMUM_PASSWORD = 1024  # characters; hashing megabytes is a way to keep us busy

INDEX = "kt:users"
FIELDS = ("role", "namespaces", "clusters", "disabled", "epoch")


def user_key(username: str) -> str:
    """The Redis key of a user."""
    return f"kt:user:{username}"


class UserError(Exception):
    """A request about a user that cannot be met; ``code`` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class User:
    """``namespaces`` and ``clusters``: None means all. ``epoch`` counts what ended all tokens."""

    username: str
    role: Role
    namespaces: tuple[str, ...] | None
    clusters: tuple[str, ...] | None
    disabled: bool
    epoch: int
    created_at: str = ""


def normalised(username: str) -> str | None:
    """The stored form of a name, or None when it cannot be one."""
    name = username.strip().lower() if len(username) <= 128 else ""
    return name if _USERNAME.fullmatch(name) else None


def read_fields(username: str, values: Sequence[str | None]) -> User | None:
    """A user from the values of FIELDS as Redis returned them; None when there is no such user."""
    role, namespaces, clusters, disabled, epoch = values
    if role is None:
        return None
    return User(username, Role(role), _names(namespaces), _names(clusters), disabled == "1", int(epoch or "0"))


def _names(value: str | None) -> tuple[str, ...] | None:
    names = json.loads(value) if value else None
    return None if names is None else tuple(names)


def new_password() -> str:
    """A random password with 120 bits, easy to paste."""
    return secrets.token_urlsafe(15)


class Users:
    """The users in one Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis
        self._checks = asyncio.Semaphore(_CONCURRENT_CHECKS)
        self._unknown_hash = _HASHER.hash(secrets.token_urlsafe())

    async def create(
        self,
        username: str,
        password: str,
        *,
        role: Role = Role.VIEWER,
        namespaces: Sequence[str] | None = None,
        clusters: Sequence[str] | None = None,
    ) -> User:
        """Adds a user. UserError: user_name_invalid, user_exists, password_too_short/long."""
        name = normalised(username)
        if name is None:
            raise UserError("user_name_invalid", "a user name is 1 to 64 of a-z 0-9 . _ @ -")
        hashed = await self._hash(password)
        created = await self._redis.hsetnx(user_key(name), "role", role.value)
        if not created:
            raise UserError("user_exists", f"user {name!r} exists already")
        await self._redis.hset(
            user_key(name),
            mapping={
                "password": hashed,
                "namespaces": json.dumps(None if namespaces is None else list(namespaces)),
                "clusters": json.dumps(None if clusters is None else list(clusters)),
                "disabled": "0",
                "epoch": "0",
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        await self._redis.sadd(INDEX, name)
        return await self.get(name)

    async def get(self, username: str) -> User:
        """UserError user_not_found."""
        name = normalised(username)
        values = await self._redis.hmget(user_key(name), [*FIELDS, "created_at"]) if name else None
        user = read_fields(name, values[:5]) if name and values else None
        if user is None or values is None:
            raise UserError("user_not_found", f"there is no user {username!r}")
        return User(
            user.username,
            user.role,
            user.namespaces,
            user.clusters,
            user.disabled,
            user.epoch,
            values[5] or "",
        )

    async def list(self) -> tuple[User, ...]:
        """Every user by name."""
        return tuple([await self.get(name) for name in sorted(await self._redis.smembers(INDEX))])

    async def disable(self, username: str, *, disabled: bool = True) -> User:
        """Shuts a user out at once, whatever tokens are around; ``disabled=False`` undoes it."""
        user = await self.get(username)
        await self._redis.hset(user_key(user.username), "disabled", "1" if disabled else "0")
        await self._redis.hincrby(user_key(user.username), "epoch", 1)
        return await self.get(username)

    async def reset(self, username: str, password: str) -> User:
        """A new password; every token of the user ends."""
        user = await self.get(username)
        await self._redis.hset(user_key(user.username), "password", await self._hash(password))
        await self._redis.hincrby(user_key(user.username), "epoch", 1)
        return await self.get(username)

    async def authenticate(self, username: str, password: str) -> User | None:
        """The user when name and password fit and the user is enabled.

        An unknown name costs the same work as a wrong password, so time tells nothing.
        """
        name = normalised(username)
        stored = await self._redis.hget(user_key(name), "password") if name else None
        fits = await self._verify(stored or self._unknown_hash, password[:MAXIMUM_PASSWORD])
        if not fits or not stored or name is None:
            return None
        user = await self.get(name)
        return None if user.disabled else user

    async def _hash(self, password: str) -> str:
        if len(password) < MINIMUM_PASSWORD:
            raise UserError("password_too_short", f"a password has at least {MINIMUM_PASSWORD} characters")
        if len(password) > MAXIMUM_PASSWORD:
            raise UserError("password_too_long", f"a password has at most {MAXIMUM_PASSWORD} characters")
        return await asyncio.to_thread(_HASHER.hash, password)

    async def _verify(self, hashed: str, password: str) -> bool:
        async with self._checks:
            return await asyncio.to_thread(_fits, hashed, password)


def _fits(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError, UnicodeError):
        return False


@asynccontextmanager
async def open_users(redis_url: str) -> AsyncIterator[Users]:
    """The users of the Redis at ``redis_url``, for command-line tools."""
    redis = connect_redis(redis_url, decode=True)
    try:
        yield Users(redis)
    finally:
        await redis.aclose()
