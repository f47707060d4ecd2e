"""An OTLP receiver: real HTTP, real protobuf. It keeps every byte that it gets."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2

ERROR = trace_pb2.Status.STATUS_CODE_ERROR
PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Span:
    """One that was received; ids are lower-case hex."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def spans(self) -> list[Span]:
        return [span for body in list(self.bodies) for span in _decoded(body)]

    def trace(self, trace_id: str) -> list[Span]:
        """Its spans by the time when they began."""
        return sorted((one for one in self.spans if one.trace_id == trace_id), key=lambda one: one.start)


def tree(spans: list[Span]) -> list[str]:
    """A line for each span, indented below its parent; a parent that is not among them begins a tree."""
    known = {one.span_id for one in spans}

    def below(parent: Span, depth: int) -> Iterator[str]:
        yield f"{'  ' * depth}{parent.service}: {parent.kind} {parent.name}"
        for child in spans:
            if child.parent == parent.span_id:
                yield from below(child, depth + 1)

    return [line for one in spans if one.parent not in known for line in below(one, 0)]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _decoded(body: bytes) -> Iterator[Span]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _values(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                assert not span.events, "an event of a span is an exception with its message"
                assert not span.status.message
                yield Span(
                    service=resource["service.name"].removeprefix("kubetriage-"),
                    name=span.name,
                    kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    failed=span.status.code == ERROR,
                    attributes=_values(span.attributes),
                    resource=resource,
                )


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Listens at ``url`` while inside."""
    collector = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", PROTOBUF)
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield collector
    server.shutdown()
    server.server_close()
    thread.join()
