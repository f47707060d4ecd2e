"""Starts the agent and speaks to it as the gateway does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from kubetriage.contracts.identity import InternalClaims
from kubetriage.safety.internal_tokens import sign_internal
from tests.processes import KEY, ROOT, Reply, RunningService, send, start_service

SAMPLE = ROOT / "samples" / "shop.tar.gz"
PREFIX = "KUBETRIAGE_AGENT_"


def start_agent(directory: Path, redis_url: str, port: int = 0, **settings: Any) -> RunningService:
    """An agent that reads the sample cluster with the built-in model."""
    given = {"redis_url": redis_url, "internal_key": KEY, "bundle": SAMPLE, "model": "builtin"}
    return start_service("agent_service", PREFIX, directory, {**given, **settings}, port)


def headers(session: str | None = "s_12345678", subject: str = "ada", **claims: Any) -> dict[str, str]:
    """What the gateway sends along."""
    signed = sign_internal(InternalClaims(subject=subject, session_id=session, request_id="r-1", **claims), KEY)
    found = {"Authorization": f"Bearer {signed}", "X-Request-ID": "r-1"}
    return {**found, "X-Session-ID": session} if session else found


async def ask(
    http: aiohttp.ClientSession,
    agent: RunningService,
    question: str,
    *,
    session: str = "s_12345678",
    stream: bool = False,
    body: dict[str, Any] | None = None,
    **claims: Any,
) -> Reply:
    accept = {"Accept": "text/event-stream"} if stream else {}
    return await send(
        http,
        "POST",
        f"{agent.url}/internal/v1/ask",
        json={"question": question, "session_id": session, **(body or {})},
        headers={**headers(session, **claims), **accept},
    )
