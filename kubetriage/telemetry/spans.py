"""Spans: what is done, for how long, below what. They cost next to nothing until ``exporting`` finds a collector.

An attribute is a name, a count or an outcome. Never a question, an answer, a tool's arguments or result, a log line
or an exception's message: whoever reads traces may have fewer rights than whoever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Literal

from kubetriage.telemetry.logging import redact_text
from kubetriage.telemetry.metrics import KNOWN_METHODS
from kubetriage.telemetry.tracing import TraceContext, continue_trace, parse_traceparent

Attributes = Mapping[str, str | int | float | bool]
Kind = Literal["internal", "server", "client"]
QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds, never interesting
_PATH = 512  # characters


class Span:
    """One that is recorded nowhere. ``trace`` is its place, for headers and logs."""

    __slots__ = ("trace",)

    def __init__(self, trace: TraceContext) -> None:
        self.trace = trace

    def set(self, attributes: Attributes) -> None:
        """Adds attributes, named as in OpenTelemetry's semantic conventions where these have a name."""

    def rename(self, name: str) -> None:
        """For what is known only later, such as the route."""

    def fail(self, error_type: str) -> None:
        """Marks it as failed; the first word stands. ``error_type`` is a class's name, a code or a status."""

    def end(self) -> None:
        """It is over now."""


Begin = Callable[[str, Kind, Attributes, TraceContext | None], Span]
_begin: Begin | None = None
_current: ContextVar[Span | None] = ContextVar("kubetriage_span", default=None)
_NOWHERE = Span(TraceContext("0" * 32, "0" * 16, sampled=False))


def record_spans(begin: Begin | None) -> None:
    """From now on ``begin`` makes the spans of this process; None: nobody does."""
    global _begin  # noqa: PLW0603 - as the collector, it is one for the process
    _begin = begin


def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: Kind = "internal",
    parent: Span | None = None,
    current: bool = True,
) -> AbstractContextManager[Span]:
    """A span below ``parent``, else below the current one, else a new trace.

    An exception fails it, a cancellation is noted. ``current=False`` in asynchronous generators, which may go on in
    another task: their children name it as their ``parent``.
    """
    above = parent or _current.get()
    if _begin is None:
        return nullcontext(above or _NOWHERE)
    return _running(_begin(name, kind, attributes or {}, above.trace if above else None), current=current)


def request_span(scope: Mapping[str, Any], traceparent: str | None) -> AbstractContextManager[Span]:
    """The span of an ASGI request, below the caller's when ``traceparent`` is a valid header.

    It has a place in a trace in every case. Say ``describe_answer`` before it ends.
    """
    if _begin is None or scope["path"] in QUIET_PATHS:
        begun = Span(continue_trace(traceparent))
    else:
        known = _method(scope["method"])
        about = {
            "http.request.method": known,
            "url.path": redact_text(scope["path"][:_PATH]),
            "url.scheme": scope.get("scheme", "http"),
        }
        begun = _begin(_verb(known), "server", about, parse_traceparent(traceparent))
    return _running(begun, current=True)


def describe_answer(request: Span, *, method: str, route: str | None, status: int) -> None:
    """What is known of a request when it is over; ``route`` is a template, None when none matched.

    https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
    """
    if _begin is None:
        return
    request.set({"http.response.status_code": status})
    if route is not None:
        request.rename(f"{_verb(_method(method))} {route}")
        request.set({"http.route": route})
    if status >= 500:
        request.fail(str(status))


def _method(method: str) -> str:
    return method if method in KNOWN_METHODS else "_OTHER"


def _verb(known: str) -> str:
    return "HTTP" if known == "_OTHER" else known


@contextmanager
def _running(begun: Span, *, current: bool) -> Iterator[Span]:
    token = _current.set(begun) if current else None
    try:
        yield begun
    except (asyncio.CancelledError, GeneratorExit):  # somebody hung up: no error of ours
        begun.set({"kubetriage.cancelled": True})
        raise
    except Exception as error:
        begun.fail(type(error).__qualname__)
        raise
    finally:
        if token is not None:
            _current.reset(token)
        begun.end()
