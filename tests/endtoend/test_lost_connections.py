"""A Redis that went away without a word: its connections fail at their next use, and once only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kubetriage.redis_connection import connect_redis
from tests.processes import RedisServer


class Wire:
    """A TCP proxy. ``cut`` resets every connection of before at its next byte, as a new pod's network does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._generation = 0

    def cut(self) -> None:
        self._generation += 1

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        generation = self._generation
        upstream, answers = await asyncio.open_connection("127.0.0.1", self._port)

        async def back() -> None:
            while data := await upstream.read(65536):
                writer.write(data)

        answering = asyncio.create_task(back())
        try:
            while data := await reader.read(65536):
                if generation != self._generation:
                    writer.transport.abort()
                    break
                answers.write(data)
        finally:
            answering.cancel()
            for end in (answers, writer):
                end.close()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()


@pytest.fixture
async def wire(shared_redis: RedisServer) -> AsyncIterator[tuple[Wire, str]]:
    wire = Wire(shared_redis.port)
    server: Any = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    yield wire, f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    server.close()
    await server.wait_closed()


async def test_a_call_on_a_connection_that_is_gone_is_made_on_a_new_one(wire: tuple[Wire, str]) -> None:
    proxy, url = wire
    client: Any = connect_redis(url)
    await asyncio.gather(*(client.set(f"lost:{number}", number) for number in range(8)))
    proxy.cut()
    assert [int(await client.get(f"lost:{number}")) for number in range(8)] == list(range(8))
    await client.aclose()
