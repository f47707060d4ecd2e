"""Starts and asks the real parts: redis-server, the scripted agent, the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from gateway.users import open_users
from kubetriage.contracts.identity import Role
from tests.processes import KEY, RunningService, send, start_service

PASSWORD = "correct horse battery"
AGENT = Path(__file__).with_name("upstream_agent.py")


def start_gateway(directory: Path, redis_url: str, agent: str, **settings: Any) -> RunningService:
    # Two busy cores: a healthy Redis must not look like a stalled one.
    given = {"redis_url": redis_url, "agent_url": agent, "internal_key": KEY, "redis_timeout_seconds": 2}
    return start_service("gateway", "KUBETRIAGE_GATEWAY_", directory, {**given, **settings})


async def add_users(redis_url: str) -> None:
    async with open_users(redis_url) as users:
        await users.create("ada", PASSWORD)
        await users.create("bob", PASSWORD, role=Role.OPERATOR, namespaces=["shop"], clusters=["prod"])


async def log_in(http: aiohttp.ClientSession, url: str, user: str = "ada") -> dict[str, Any]:
    form = {"username": user, "password": PASSWORD}
    reply = await send(http, "POST", f"{url}/v1/auth/token", data=form)
    assert reply.status == 200, reply.body
    return reply.json


def bearer(tokens: dict[str, Any] | str) -> dict[str, str]:
    token = tokens if isinstance(tokens, str) else tokens["access_token"]
    return {"Authorization": f"Bearer {token}"}


async def seen_by_agent(http: aiohttp.ClientSession, agent: str) -> dict[str, list[Any]]:
    async with http.get(f"{agent}/seen") as answer:
        found: dict[str, list[Any]] = await answer.json()
        return found
