"""Around every request: its id and trace, one log line, RED metrics, and no stack trace to anybody."""

from __future__ import annotations

import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_service.metrics import Metrics
from agent_service.problems import problem_of, problem_response
from kubetriage.telemetry.logging import log_request
from kubetriage.telemetry.spans import QUIET_PATHS, Span, describe_answer, request_span
from kubetriage.telemetry.tracing import accept_request_id

# While draining: the gateway's next request on this connection would meet an agent that has gone.
_CLOSE = (b"connection", b"close")
_log = structlog.get_logger("agent")


class Observation:
    """Pure ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        with request_span(scope, headers.get(b"traceparent")) as span:
            await self._observe(scope, receive, send, accept_request_id(headers.get(b"x-request-id")), span)

    async def _observe(self, scope: Scope, receive: Receive, send: Send, request_id: str, span: Span) -> None:
        trace_id = span.trace.trace_id
        span.set({"kubetriage.request.id": request_id})
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        began, status, sent = time.perf_counter(), 0, 0

        async def observed(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                if scope["app"].state.draining:
                    message["headers"].append(_CLOSE)
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        self._metrics.http.in_flight.inc()
        structlog.contextvars.bind_contextvars(**{"http.request.id": request_id, "trace.id": trace_id})
        try:
            await self._app(scope, receive, observed)
        # The edge of the process: whatever it was, the caller gets a problem and the log the reason.
        except Exception as error:
            _log.exception("unhandled error")
            if status:
                raise  # the server cuts the connection: the answer must not look complete
            await problem_response(problem_of(error, request_id))(scope, receive, observed)
        finally:
            self._metrics.http.in_flight.dec()
            seconds = time.perf_counter() - began
            matched = getattr(scope.get("route"), "path", None)
            route = matched or "unmatched"
            describe_answer(span, method=scope["method"], route=matched, status=status or 499)
            self._metrics.http.observe(method=scope["method"], route=route, status=status or 499, seconds=seconds)
            if route not in QUIET_PATHS or status != 200:
                log_request(
                    _log,
                    method=scope["method"],
                    route=route,
                    path=scope["path"][:512],
                    status=status or 499,
                    seconds=seconds,
                    request_id=request_id,
                    trace_id=trace_id,
                    user=state.get("subject"),
                    client=(scope.get("client") or [None])[0],
                    sent_bytes=sent,
                )
            structlog.contextvars.unbind_contextvars("http.request.id", "trace.id")
