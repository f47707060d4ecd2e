"""What the gateway counts. Labels are bounded: route templates, policies, reasons of ours."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from kubetriage import __version__
from kubetriage.telemetry.metrics import LATENCY_BUCKETS, RedisMetrics, RequestMetrics, build_info

PREFIX = "kubetriage_gateway"


class Metrics:
    """One registry per application, so that tests and several applications never share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        build_info(self.registry, PREFIX, __version__)
        self.http = RequestMetrics(self.registry, PREFIX)
        self.redis = RedisMetrics(self.registry, PREFIX)
        self.auth_failures = Counter(
            f"{PREFIX}_auth_failures_total", "Refused credentials.", ("reason",), registry=self.registry
        )
        self.limiter = Counter(
            f"{PREFIX}_limiter_decisions_total",
            "Decisions of the rate limiter.",
            ("policy", "decision", "engine"),
            registry=self.registry,
        )
        self.store_failures = Counter(
            f"{PREFIX}_store_failures_total", "Redis calls that failed or timed out.", registry=self.registry
        )
        self.upstream = Histogram(
            f"{PREFIX}_upstream_duration_seconds",
            "Time until the agent's answer, or until its first byte for a stream; outcome: ok, refused (a problem of "
            "the agent's own), the code of our problem (agent_unavailable ...) or error.",
            ("call", "outcome"),
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        self.streams = Gauge(f"{PREFIX}_streams_open", "Streams being passed on.", registry=self.registry)
        self.draining = Gauge(f"{PREFIX}_draining", "1 while shutting down.", registry=self.registry)
        self.persistent = Gauge(
            f"{PREFIX}_store_persistent",
            "1 when Redis keeps an append-only file, 0 when users and sessions die with it, NaN when it does not say.",
            registry=self.registry,
        )
        self.alert_groups = Counter(
            f"{PREFIX}_alert_groups_total",
            "Groups of alerts by what became of them.",
            ("result",),
            registry=self.registry,
        )
        self.incident_diagnoses = Counter(
            f"{PREFIX}_incident_diagnoses_total", "Diagnoses of alerts.", ("outcome",), registry=self.registry
        )
        self.notifications = Counter(
            f"{PREFIX}_notifications_total",
            "Attempts to post an incident on, by target.",
            ("target", "outcome"),
            registry=self.registry,
        )
        self.audit = Counter(
            f"{PREFIX}_audit_entries_total", "Entries of the audit log.", ("outcome",), registry=self.registry
        )
        self.batch_items = Counter(
            f"{PREFIX}_batch_items_total", "Items of batches with a result.", ("state",), registry=self.registry
        )
        self.work_queue = Gauge(
            f"{PREFIX}_work_queue_length", "Work that is not done.", ("queue",), registry=self.registry
        )
        self.redis_memory = Gauge(
            f"{PREFIX}_redis_memory_bytes", "Memory that Redis uses for its data.", registry=self.registry
        )
        self.redis_memory_limit = Gauge(
            f"{PREFIX}_redis_memory_limit_bytes", "Redis' maxmemory; 0: none.", registry=self.registry
        )
        self.redis_clients = Gauge(f"{PREFIX}_redis_clients", "Connections to Redis.", registry=self.registry)
        self.redis_evictions = Counter(
            f"{PREFIX}_redis_evictions_total",
            "Keys that Redis threw away for want of memory, since this gateway first asked.",
            registry=self.registry,
        )
        self.redis_losses = Counter(
            f"{PREFIX}_redis_losses_total",
            "Times that Redis had lost everything since this gateway last asked.",
            registry=self.registry,
        )
