"""An event stream from the agent to the caller, chunk by chunk as it comes.

Ends in one of four ways: the agent is done; the agent broke off (the caller gets a terminal
``error`` event, because the status was already 200); the caller hung up (the agent's run is
cancelled at once by closing its connection); the gateway shuts down (terminal ``error`` event).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import aiohttp
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.core import Gateway
from gateway.problems import ApiError, ClientGoneError, from_error
from kubetriage.contracts.events import RunError, to_sse
from kubetriage.contracts.problems import Problem

# A stream is complete once one of these has passed.
_TERMINAL = (b"event: answer", b"event: error")
_TAIL = max(map(len, _TERMINAL)) - 1  # bytes kept, so that a marker cut in two is still seen


class Wire(Protocol):
    """What the caller gets to see of the agent's stream. ``complete``: its terminal event has passed."""

    complete: bool

    def pass_on(self, chunk: bytes) -> bytes:
        """What to send for the next bytes of the agent; may be nothing yet."""

    def fail(self, problem: Problem) -> bytes:
        """The terminal error of a stream that the agent did not end."""


class OwnEvents:
    """The agent's events as they are, byte for byte."""

    def __init__(self) -> None:
        self.complete = False
        self._tail = b""

    def pass_on(self, chunk: bytes) -> bytes:
        seen = self._tail + chunk
        self.complete = self.complete or any(marker in seen for marker in _TERMINAL)
        self._tail = seen[-_TAIL:]
        return chunk

    def fail(self, problem: Problem) -> bytes:
        # The blank lines end an event that may have been cut in the middle.
        return b"\n\n" + to_sse(RunError(problem=problem))


class StreamedAnswer(Response):
    """Passes ``upstream`` on and closes it, whatever happens."""

    media_type = "text/event-stream"

    def __init__(
        self, gateway: Gateway, upstream: aiohttp.ClientResponse, *, request_id: str, wire: Wire | None = None
    ) -> None:
        super().__init__(status_code=200, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._gateway = gateway
        self._upstream = upstream
        self._request_id = request_id
        self._wire = wire or OwnEvents()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        instance = scope["path"]
        pump = asyncio.create_task(self._pump(send, instance))
        gone = asyncio.create_task(wait_until_gone(receive))
        stop = asyncio.create_task(self._gateway.lifecycle.stop_streams.wait())
        self._gateway.metrics.streams.inc()
        try:
            await asyncio.wait({pump, gone, stop}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                await pump
            elif gone.done():
                raise ClientGoneError
            else:
                await _cancelled(pump)
                await self._fail(send, instance, "gateway_restarting", "The gateway restarts; ask again.")
        finally:
            # First, so that the agent sees the end of the connection and stops its run.
            self._upstream.close()
            for task in (pump, gone, stop):
                await _cancelled(task)
            self._gateway.metrics.streams.dec()

    async def _pump(self, send: Send, instance: str) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for chunk in self._upstream.content.iter_any():
                if body := self._wire.pass_on(chunk):
                    await send({"type": "http.response.body", "body": body, "more_body": True})
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass  # told below: an error and a silent end are the same to the caller
        if self._wire.complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._fail(
                send,
                instance,
                "agent_failed",
                "The agent broke off the answer; ask again, its log has the reason.",
            )

    async def _fail(self, send: Send, instance: str, code: str, detail: str) -> None:
        error = ApiError(502 if code == "agent_failed" else 503, code, detail)
        problem = from_error(error, request_id=self._request_id, instance=instance)
        await send({"type": "http.response.body", "body": self._wire.fail(problem), "more_body": False})


async def wait_until_gone(receive: Receive) -> None:
    """Returns when the caller has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(task: asyncio.Task[object] | asyncio.Task[None]) -> None:
    if not task.done():
        task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at: its cause was handled above
