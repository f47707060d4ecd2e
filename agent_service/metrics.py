"""What the agent counts. Labels are bounded: route templates, tool names, outcomes, configured models."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from kubetriage import __version__
from kubetriage.contracts.diagnosis import Diagnosis
from kubetriage.telemetry.metrics import LATENCY_BUCKETS, RedisMetrics, RequestMetrics, build_info

PREFIX = "kubetriage_agent"
_STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24)
_PASSAGES = (0, 1, 2, 3, 5, 10)
# Namespaces with a label of their own; a thousand would make thousands of series (one for each of their causes).
_NAMESPACES = 50
# No namespace can be called so: names have no parentheses.
OTHER_NAMESPACE = "(other)"
NO_NAMESPACE = "(cluster)"


class Metrics:
    """One registry per application, so that tests and several applications never share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        build_info(self.registry, PREFIX, __version__)
        self.http = RequestMetrics(self.registry, PREFIX)
        self.redis = RedisMetrics(self.registry, PREFIX)
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
        # Not "namespace": that is the label of where the agent itself was scraped.
        self.causes = Counter(
            f"{PREFIX}_causes_total",
            "Root causes of the incidents that diagnoses found.",
            ("cause", "object_namespace"),
            registry=self.registry,
        )
        self._namespaces: set[str] = set()
        self.model_duration = Histogram(
            f"{PREFIX}_model_duration_seconds",
            "Time of one call of a model.",
            ("model", "outcome"),
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        self.search_duration = Histogram(
            f"{PREFIX}_search_duration_seconds",
            "Time of a runbook search: found, nothing (no passage fits) or error.",
            ("outcome",),
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        self.search_passages = Histogram(
            f"{PREFIX}_search_passages", "Passages that a search returned.", registry=self.registry, buckets=_PASSAGES
        )
        self.chroma = Histogram(
            f"{PREFIX}_chroma_duration_seconds",
            "Time of one request to Chroma.",
            ("outcome",),
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        self.memory_failures = Counter(
            f"{PREFIX}_memory_failures_total", "Redis calls that failed or timed out.", registry=self.registry
        )

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        """Counts a diagnosis and what is wrong according to it."""
        self.diagnoses.labels(diagnosis.outcome.value).inc()
        for incident in diagnosis.present:
            cause = incident.root_cause
            self.causes.labels(cause.cause, self._namespace_label(cause.object.namespace)).inc()

    def tool_called(self, name: str, status: str, seconds: float) -> None:
        """Counts one call of a tool of ours."""
        self.tools.labels(name, status).inc()
        self.tool_duration.labels(name).observe(seconds)

    def chroma_asked(self, answered: bool, seconds: float) -> None:
        """Counts one request to Chroma."""
        self.chroma.labels("ok" if answered else "error").observe(seconds)

    def _namespace_label(self, namespace: str | None) -> str:
        if namespace is None:
            return NO_NAMESPACE
        if len(self._namespaces) < _NAMESPACES:
            self._namespaces.add(namespace)
        return namespace if namespace in self._namespaces else OTHER_NAMESPACE
