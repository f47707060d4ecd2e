"""Pure ASGI, outermost: request id and trace, one log line and the metrics per request, the headers
that every answer carries, and the last resort for what nobody caught.

Not BaseHTTPMiddleware, which costs a task and a queue per request and breaks streaming.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core import Lifecycle
from gateway.metrics import Metrics
from gateway.problems import ClientGoneError, unexpected
from kubetriage.telemetry.logging import log_request
from kubetriage.telemetry.spans import QUIET_PATHS, Span, describe_answer, request_span
from kubetriage.telemetry.tracing import accept_request_id

_log = structlog.get_logger("gateway.access")
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_DEFAULT_CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_DEFAULT_CACHE = (b"cache-control", b"no-store")
# While draining: the next request on this connection would meet a server that has gone.
_CLOSE = (b"connection", b"close")
UNMATCHED = "unmatched"
_READ = frozenset({b"x-request-id", b"traceparent"})


class Observation:
    """See the module."""

    def __init__(self, app: ASGIApp, metrics: Metrics, lifecycle: Lifecycle) -> None:
        self._app = app
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._log = _log.bind()  # put together once, not for every line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _READ}
        with request_span(scope, given.get(b"traceparent")) as span:
            exchange = _Exchange(scope, send, self._lifecycle, given.get(b"x-request-id"), span)
            await self._observe(scope, receive, exchange)

    async def _observe(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        self._metrics.http.in_flight.inc()
        try:
            await self._app(scope, receive, exchange.send)
        except ClientGoneError:
            exchange.status = 499
        # The edge of the process: whatever it was, the caller gets a problem and the log the reason.
        except Exception:
            ids = {"http.request.id": exchange.request_id, "trace.id": exchange.span.trace.trace_id}
            self._log.exception("unhandled error", **ids)
            if exchange.started:
                raise  # the server cuts the connection: the answer must not look complete
            await unexpected(exchange.request_id, scope["path"])(scope, receive, exchange.send)
        finally:
            self._metrics.http.in_flight.dec()
            self._finish(scope, exchange)

    def _finish(self, scope: Scope, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        # Routes are declared with their full path, so this is the template (stack note, section 3).
        matched = getattr(scope.get("route"), "path", None)
        route = matched or UNMATCHED
        status = exchange.status or 499
        describe_answer(exchange.span, method=scope["method"], route=matched, status=status)
        self._metrics.http.observe(method=scope["method"], route=route, status=status, seconds=seconds)
        if route in QUIET_PATHS and status == 200:
            return
        client = scope.get("client")
        log_request(
            self._log,
            method=scope["method"],
            route=route,
            path=scope["path"][:512],
            status=status,
            seconds=seconds,
            request_id=exchange.request_id,
            trace_id=exchange.span.trace.trace_id,
            user=scope["state"].get("user"),
            client=client[0] if client else None,
            sent_bytes=exchange.sent,
        )


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, lifecycle: Lifecycle, request_id: str | None, span: Span) -> None:
        self.began = time.perf_counter()
        self.status = 0
        self.sent = 0
        self.started = False
        self._send = send
        self._lifecycle = lifecycle
        self._state: dict[str, Any] = scope.setdefault("state", {})
        self.request_id = accept_request_id(request_id)
        self.span = span
        self._state["request_id"] = self.request_id
        span.set({"kubetriage.request.id": self.request_id})

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message["headers"] = self._complete(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.sent += len(message.get("body", b""))
        await self._send(message)

    def _complete(self, given: Any) -> list[tuple[bytes, bytes]]:
        headers = [*given, (b"x-request-id", self.request_id.encode()), *_SECURITY]
        present = {name.lower() for name, _ in given}
        headers.extend(item for item in (_DEFAULT_CSP, _DEFAULT_CACHE) if item[0] not in present)
        limits: dict[str, str] = self._state.get("rate_limit", {})
        headers.extend((name.lower().encode(), value.encode()) for name, value in limits.items())
        if self._lifecycle.draining:
            headers.append(_CLOSE)
        return headers
