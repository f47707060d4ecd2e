"""What the agent counts. Labels are bounded: route templates, tool names, outcomes, configured models."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from kubetriage import __version__
from kubetriage.telemetry.metrics import LATENCY_BUCKETS, RequestMetrics, build_info

PREFIX = "kubetriage_agent"
_STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24)


class Metrics:
    """One registry per application, so that tests and several applications never share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        build_info(self.registry, PREFIX, __version__)
        self.http = RequestMetrics(self.registry, PREFIX)
        self.runs = Counter(f"{PREFIX}_runs_total", "Questions by outcome.", ("outcome",), registry=self.registry)
        self.run_duration = Histogram(
            f"{PREFIX}_run_duration_seconds",
            "Time of a whole question.",
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        self.runs_active = Gauge(f"{PREFIX}_runs_active", "Questions being answered now.", registry=self.registry)
        self.steps = Histogram(
            f"{PREFIX}_run_steps", "Model calls of a question.", registry=self.registry, buckets=_STEPS
        )
        self.tools = Counter(
            f"{PREFIX}_tool_calls_total", "Tool calls by result.", ("tool", "status"), registry=self.registry
        )
        self.tool_duration = Histogram(
            f"{PREFIX}_tool_duration_seconds",
            "Time of a tool call.",
            ("tool",),
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        self.tokens = Counter(
            f"{PREFIX}_model_tokens_total",
            "Tokens as the vendor counts them.",
            ("model", "kind"),
            registry=self.registry,
        )
        self.degraded = Counter(
            f"{PREFIX}_degraded_total", "Answers without a part that did not work.", ("part",), registry=self.registry
        )
        self.diagnoses = Counter(
            f"{PREFIX}_diagnoses_total", "Diagnoses by outcome.", ("outcome",), registry=self.registry
        )
        self.causes = Counter(
            f"{PREFIX}_causes_total", "Root causes of the first incident.", ("cause",), registry=self.registry
        )
        self.memory_failures = Counter(
            f"{PREFIX}_memory_failures_total", "Redis calls that failed or timed out.", registry=self.registry
        )
