"""A steady load through the gateway: what users do, each in a session, and what went wrong when."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.e2e.release import Address

# Calls of one user a second, and users.
PACE, USERS = 2.0, 6
FLAT_OUT = 1000.0  # as a pace: the next call as soon as the last is answered


@dataclass(frozen=True, slots=True)
class Call:
    """``failure``: the status or the exception's name; None when it was answered well."""

    kind: str
    at: float
    seconds: float
    failure: str | None


@dataclass(slots=True)
class Load:
    address: Address
    namespace: str
    calls: list[Call] = field(default_factory=list)
    sessions: dict[str, int] = field(default_factory=dict)  # session to questions answered in it

    @property
    def failed(self) -> list[Call]:
        return [call for call in self.calls if call.failure is not None]

    def failures(self, since: float = 0.0) -> dict[str, int]:
        """``ask 502`` and how often."""
        return dict(Counter(f"{call.kind} {call.failure}" for call in self.failed if call.at >= since))

    def outage(self, since: float) -> float:
        """Seconds from the first failed call to the end of the last."""
        failed = [call for call in self.failed if call.at >= since]
        return max((call.at + call.seconds for call in failed), default=0) - min((c.at for c in failed), default=0)


@contextlib.asynccontextmanager
async def client(address: Address) -> AsyncIterator[aiohttp.ClientSession]:
    """Logged in. No connection is kept: each call finds its own way through the Service."""
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(address.url, timeout=timeout, connector=connector) as session:
        session.headers["Host"] = address.host
        form = {"username": "admin", "password": address.password}
        async with session.post("/v1/auth/token", data=form) as reply:
            assert reply.status == 200, await reply.text()
            session.headers["Authorization"] = f"Bearer {(await reply.json())['access_token']}"
        yield session


@contextlib.asynccontextmanager
async def steady_load(address: Address, namespace: str, pace: float = PACE) -> AsyncIterator[Load]:
    """Runs until the block ends, and then waits for the calls under way. ``pace``: calls of one user a second."""
    load = Load(address, namespace)
    ending = asyncio.Event()
    async with client(address) as session:
        users = [asyncio.create_task(_user(session, load, ending, number, pace)) for number in range(USERS)]
        try:
            yield load
        finally:
            ending.set()
            await asyncio.gather(*users)


async def _user(session: aiohttp.ClientSession, load: Load, ending: asyncio.Event, number: int, pace: float) -> None:
    await asyncio.sleep(number / (pace * USERS))
    conversation: str | None = None
    turn = 0
    while not ending.is_set():
        begin = time.monotonic()
        match turn % 3:
            case 0:
                body: dict[str, Any] = {"question": "What is wrong?", "namespace": load.namespace}
                answer = await _call(
                    session, load, "ask", body | ({"session_id": conversation} if conversation else {})
                )
                if answer is not None:
                    conversation = answer["session_id"]
                    load.sessions[conversation] = load.sessions.get(conversation, 0) + 1
            case 1:
                await _call(session, load, "diagnose", {"namespace": load.namespace})
            case _:
                await _call(session, load, "search", {"query": "OOMKilled", "k": 2})
        turn += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), max(0.0, 1 / pace - (time.monotonic() - begin)))


async def _call(session: aiohttp.ClientSession, load: Load, kind: str, body: dict[str, Any]) -> dict[str, Any] | None:
    begin, failure, answer = time.monotonic(), None, None
    try:
        async with session.post(f"/v1/{kind}", json=body) as reply:
            if reply.status == 200:
                answer = await reply.json()
            else:
                failure = f"{reply.status} {(await reply.json()).get('code')}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        failure = type(error).__name__
    load.calls.append(Call(kind, begin, time.monotonic() - begin, failure))
    return answer


async def lost_sessions(load: Load) -> list[str]:
    """Sessions whose conversation does not hold every question that was answered in it."""
    lost = []
    async with client(load.address) as session:
        for name, answered in load.sessions.items():
            async with session.get(f"/v1/sessions/{name}/messages") as reply:
                said = (await reply.json())["messages"] if reply.status == 200 else []
            if sum(one["role"] == "user" for one in said) < answered:
                lost.append(name)
    return lost
