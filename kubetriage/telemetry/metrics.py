"""Shared shapes of metrics, so that the services' dashboards agree."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds. From a proxied call (1 ms) to an agent run at its deadline (2 min).
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
# Others are counted and traced as one: whoever calls may invent them.
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Seconds. From a Redis on the same machine to the longest that a service waits for one.
_REDIS_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class RequestMetrics:
    """Rate, errors and duration per route template (never per raw path: labels stay bounded)."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        labels = ("method", "route", "status")
        self.requests = Counter(
            f"{prefix}_http_requests_total", "HTTP requests by route and status.", labels, registry=registry
        )
        self.duration = Histogram(
            f"{prefix}_http_request_duration_seconds",
            "Time from the request's first byte to the answer's last.",
            ("method", "route"),
            registry=registry,
            buckets=LATENCY_BUCKETS,
        )
        self.in_flight = Gauge(f"{prefix}_http_requests_in_flight", "Requests being answered now.", registry=registry)

    def observe(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one finished request."""
        known = method if method in KNOWN_METHODS else "OTHER"
        self.requests.labels(known, route, str(status)).inc()
        self.duration.labels(known, route).observe(seconds)


class RedisMetrics:
    """Rate, errors and duration of the round trips to Redis. ``command``: those that our code sends."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.duration = Histogram(
            f"{prefix}_redis_duration_seconds",
            "Time of a round trip to Redis, the wait for a connection included.",
            ("command", "outcome"),
            registry=registry,
            buckets=_REDIS_BUCKETS,
        )

    def observe(self, command: str, worked: bool, seconds: float) -> None:
        """Counts one round trip."""
        self.duration.labels(command, "ok" if worked else "error").observe(seconds)


def build_info(registry: CollectorRegistry, prefix: str, version: str) -> None:
    """``<prefix>_build_info{version=...} 1``."""
    Gauge(f"{prefix}_build_info", "The running version.", ("version",), registry=registry).labels(version).set(1)
