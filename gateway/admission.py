"""Pure ASGI, before any route: the Host allow-list, and bodies bounded in size and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import ApiError, from_error, problem_response

# Probes and scrapers come with the pod's address as Host; there is nothing here to protect.
_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


class Admission:
    """``body_bytes`` and ``body_seconds`` bound the whole request body, chunked or not; ``larger`` are the bytes of
    paths that take more."""

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], body_bytes: int, body_seconds: float, larger: Mapping[str, int]
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds
        self._larger = dict(larger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._body_bytes)
        error = self._refusal(scope, limit)
        if error is not None:
            problem = from_error(error, request_id=scope["state"]["request_id"], instance=scope["path"])
            await problem_response(problem, error.headers)(scope, receive, send)
            return
        await self._app(scope, _BoundedBody(receive, limit, self._body_seconds), send)

    def _refusal(self, scope: Scope, limit: int) -> ApiError | None:
        hosts: list[str] = []
        length = b"0"
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value.decode("latin-1").lower())
            elif name == b"content-length":
                length = value
            elif name == b"content-encoding" and value.lower() != b"identity":
                return ApiError(415, "encoding_unsupported", "Send the body as it is, without Content-Encoding.")
        if length.isdigit() and int(length) > limit:
            return too_large(limit)
        if scope["path"] in _OPEN_PATHS or "*" in self._hosts:
            return None
        if len(hosts) != 1 or _host_name(hosts[0]) not in self._hosts:
            return ApiError(
                421,
                "host_not_allowed",
                "This host name is not served here; KUBETRIAGE_GATEWAY_ALLOWED_HOSTS lists those that are.",
            )
        return None


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def too_large(limit: int) -> ApiError:
    """413."""
    return ApiError(413, "body_too_large", f"The body may have at most {limit} bytes.")


class _BoundedBody:
    """``receive`` that raises ApiError 413 or 408 while the body is being read."""

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._deadline = time.monotonic() + seconds
        self._read = 0
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:  # waiting for the caller to hang up takes as long as it takes
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            self._complete = True
            raise ApiError(408, "body_too_slow", "The body took too long; send it at once.") from None
        if message["type"] != "http.request":
            return message
        self._read += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._read > self._limit:
            self._complete = True
            raise too_large(self._limit)
        return message
