"""The only module that imports OpenTelemetry's SDK: spans as OTLP over HTTP, from a thread of their own.

The provider is ours alone, never the process's: libraries that trace by themselves (FastAPI, Chroma's client) put
arguments and messages of exceptions into their spans, and find no provider to hand them to.
"""

from __future__ import annotations

import logging
import re
import threading
import time

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from kubetriage import __version__
from kubetriage.telemetry.spans import Attributes, Kind, Span
from kubetriage.telemetry.tracing import TraceContext

_CLOSE_SECONDS = 3.0  # for what is left; a pod has ten beyond its drain time
_TELL_SECONDS = 60.0
_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
}
_log = structlog.get_logger("traces")


class Exporter:
    """Configured by OpenTelemetry's variables: sampler, headers, resource, sizes of queue and batch.

    Its queue is bounded and drops the oldest, so a collector that is slow or dead costs traces, nothing else.
    """

    def __init__(self, service: str) -> None:
        ours = {"service.name": service, "service.version": __version__}
        resource = Resource.create({**ours, **OTELResourceDetector().detect().attributes})
        self._complaints = _Complaints()
        # Not at exit, where it would wait for a dead collector for half a minute.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("kubetriage", __version__)

    def begin(self, name: str, kind: Kind, attributes: Attributes, parent: TraceContext | None) -> Span:
        """A span that has begun, recorded when the sampler says so."""
        context = Context()  # an empty one: what the process's other libraries think is current does not count
        if parent is not None:
            above = trace.NonRecordingSpan(
                trace.SpanContext(
                    int(parent.trace_id, 16),
                    int(parent.span_id, 16),
                    is_remote=kind == "server",
                    trace_flags=trace.TraceFlags(int(parent.sampled)),
                )
            )
            context = trace.set_span_in_context(above, context)
        return _RecordedSpan(self._tracer.start_span(name, context, _KINDS[kind], dict(attributes)))

    def close(self) -> None:
        """Sends what is left, and gives up after a few seconds: nobody waits for a collector that hangs."""
        closing = threading.Thread(target=self._provider.shutdown, name="last-traces", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)
        self._complaints.end()


class _RecordedSpan(Span):
    __slots__ = ("_failed", "_span")

    def __init__(self, begun: trace.Span) -> None:
        place = begun.get_span_context()
        super().__init__(
            TraceContext(
                trace.format_trace_id(place.trace_id), trace.format_span_id(place.span_id), place.trace_flags.sampled
            )
        )
        self._span = begun
        self._failed = False

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, error_type: str) -> None:
        if not self._failed:
            self._failed = True
            self._span.set_attribute("error.type", error_type)
            self._span.set_status(trace.StatusCode.ERROR)

    def end(self) -> None:
        self._span.end()


class _Complaints(logging.Handler):
    """Takes what the SDK logs, which is several lines for each batch that a dead collector does not take, and passes
    on one line a minute."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._silent_until = 0.0
        self._logger = logging.getLogger("opentelemetry")
        self._logger.addHandler(self)
        self._logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _TELL_SECONDS
            # Some vendors take their key in the URL.
            reason = re.sub(r"url: \S+", "url", record.getMessage())
            _log.warning("traces are not exported", reason=reason[:500])

    def end(self) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True
