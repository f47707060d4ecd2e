"""W3C trace context and request ids, as plain values."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A position in a trace. Ids are lower-case hex: 32 and 16 digits."""

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def header(self) -> str:
        """The value of a ``traceparent`` header."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self) -> TraceContext:
        """A new span in the same trace."""
        return TraceContext(self.trace_id, secrets.token_hex(8), self.sampled)


def parse_traceparent(value: str | None) -> TraceContext | None:
    """The context of a valid header, else None (the caller then starts a new trace).

    Follows https://www.w3.org/TR/trace-context/#traceparent-header: version ff and all-zero ids are
    invalid; a later version may carry more fields, version 00 may not.
    """
    match = _TRACEPARENT.fullmatch(value.strip()) if value and len(value) <= 512 else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))


def new_trace(*, sampled: bool = False) -> TraceContext:
    """A trace that begins here."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8), sampled)


def continue_trace(value: str | None) -> TraceContext:
    """A span of ours: below the caller's when its header is valid, else of a new trace."""
    parent = parse_traceparent(value)
    return parent.child() if parent else new_trace()


def new_request_id() -> str:
    """22 characters that fit everywhere a request id goes."""
    return secrets.token_urlsafe(16)


def accept_request_id(value: str | None) -> str:
    """The caller's id when it is 1 to 64 of ``[A-Za-z0-9_-]``, else a new one."""
    return value if value and _REQUEST_ID.fullmatch(value) else new_request_id()
