"""Starts the agent and speaks to it as the gateway does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from kubetriage.contracts.identity import InternalClaims
from kubetriage.safety.internal_tokens import sign_internal
from tests.processes import KEY, ROOT, Reply, RunningService, free_port, send, start_service, stop, wait_for_port

SAMPLE = ROOT / "samples" / "shop.tar.gz"
PREFIX = "KUBETRIAGE_AGENT_"
VENDOR_KEY = "sk-test-0123456789abcdef"


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


class Vendor:
    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def plays(self, *replies: dict[str, Any]) -> None:
        await self._http.post(f"{self.url}/script", json=replies)

    async def seen(self) -> list[dict[str, Any]]:
        async with self._http.get(f"{self.url}/seen") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found


@contextmanager
def running_vendor() -> Iterator[str]:
    """The URL of the vendor that plays a script."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("scripted_vendor.py")), str(port)])
    wait_for_port(port, process)
    yield f"http://127.0.0.1:{port}"
    stop(process)
