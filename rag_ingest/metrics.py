"""What an ingest counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from kubetriage import __version__
from kubetriage.retrieval.chroma_store import IngestSummary
from kubetriage.telemetry.metrics import LATENCY_BUCKETS, build_info

PREFIX = "kubetriage_ingest"


class Metrics:
    """One registry per application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        build_info(self.registry, PREFIX, __version__)
        self.runs = Counter(f"{PREFIX}_runs_total", "Ingests by outcome.", ("outcome",), registry=self.registry)
        for outcome in ("ok", "error"):
            self.runs.labels(outcome)  # there from the start: a rate needs the zero
        self.duration = Histogram(
            f"{PREFIX}_run_duration_seconds", "Time of an ingest.", registry=self.registry, buckets=LATENCY_BUCKETS
        )
        self.written = Counter(
            f"{PREFIX}_chunks_written_total", "Chunks added or removed.", ("change",), registry=self.registry
        )
        self.documents = Gauge(f"{PREFIX}_documents", "Runbooks of this source.", registry=self.registry)
        self.chunks = Gauge(f"{PREFIX}_chunks", "Chunks of this source.", registry=self.registry)
        self.skipped = Gauge(f"{PREFIX}_skipped_files", "Files that were left out.", registry=self.registry)
        self.last_success = Gauge(
            f"{PREFIX}_last_success_timestamp_seconds", "End of the last ingest that worked.", registry=self.registry
        )

    def succeeded(self, summary: IngestSummary, skipped: int) -> None:
        """Counts an ingest that worked."""
        self.runs.labels("ok").inc()
        self.duration.observe(summary.seconds)
        self.written.labels("added").inc(summary.added)
        self.written.labels("removed").inc(summary.removed)
        self.documents.set(summary.documents)
        self.chunks.set(summary.chunks)
        self.skipped.set(skipped)
        self.last_success.set_to_current_time()
