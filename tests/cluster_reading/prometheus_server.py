"""An hour of a cluster's metrics, written down beforehand, in a real Prometheus."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from tests.diagnosis import build
from tests.processes import free_port, stop, wait_for_port

MINUTES, STEP = 75, 30  # the hour, a rate window before it, and some; seconds between scrapes
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SUFFIXES = ("x2x9z", "k4m7q")
Course = Callable[[float], float]  # minutes ago (0: the end) to a level


def steady(level: float, noise: float = 0.2, seed: int = 1) -> Course:
    """Ordinary traffic: it wavers, and every quarter of an hour there are two busy minutes."""
    chance = random.Random(seed)
    waves = [chance.uniform(1 - noise, 1 + noise) for _ in range(MINUTES * 2 + 2)]
    return lambda ago: level * waves[int(ago * 2)] * (2 if ago % 15 > 13 else 1)


def changed(before: float, after: float, ago: float = 20) -> Course:
    return lambda moment: steady(after if moment < ago else before)(moment)


@dataclass
class Recording:
    """Samples until ``end`` as OpenMetrics text."""

    end: datetime
    families: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def counter(self, name: str, labels: dict[str, str], rate: Course) -> None:
        total = 0.0
        for at, ago in self._moments():
            total += rate(ago) * STEP
            self._add(name, labels, total, at)

    def gauge(self, name: str, labels: dict[str, str], level: Course) -> None:
        for at, ago in self._moments():
            self._add(name, labels, level(ago), at)

    def histogram(self, name: str, labels: dict[str, str], rate: Course, median: Course, unit: float = 1) -> None:
        """``median`` in seconds; ``unit``: how many of the histogram's are one."""
        for edge in (*BUCKETS, float("inf")):
            text = "+Inf" if edge == float("inf") else f"{edge * unit:g}"
            self.counter(f"{name}_bucket", {**labels, "le": text}, _below(edge, rate, median))

    def text(self) -> str:
        return "\n".join([line for lines in self.families.values() for line in lines] + ["# EOF", ""])

    def _moments(self) -> Iterator[tuple[float, float]]:
        for index in range(MINUTES * 60 // STEP + 1):
            ago = MINUTES - index * STEP / 60
            yield self.end.timestamp() - ago * 60, ago

    def _add(self, name: str, labels: dict[str, str], value: float, at: float) -> None:
        inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
        self.families[name].append(f"{name}{{{inside}}} {value:.6f} {at:.3f}")


def _below(edge: float, rate: Course, median: Course) -> Course:
    """The rate of those that take at most ``edge`` seconds: an exponential distribution."""
    return lambda ago: rate(ago) * (1 - 2 ** (-edge / median(ago)))


def record(
    into: Recording,
    namespace: str,
    app: str,
    *,
    cpu: Course | None = None,
    throttled: Course | None = None,
    latency: Course | None = None,
    rate: Course | None = None,
    errors: Course = lambda _ago: 0.0,
    mesh: bool = False,
) -> None:
    """A Deployment of two pods, as cAdvisor sees them and as they, or their mesh, count requests. Seconds."""
    rate, latency, held = rate or steady(20, seed=2), latency or steady(0.02), throttled or steady(0.01)
    for suffix in SUFFIXES:
        where = {"namespace": namespace, "pod": f"{app}-7d9c5b6f4-{suffix}"}
        for container in ("app", ""):  # the second is the pod's own cgroup
            labels = {**where, "container": container}
            into.counter("container_cpu_usage_seconds_total", labels, cpu or steady(0.1))
            into.counter("container_cpu_cfs_throttled_seconds_total", labels, held)
            into.counter("container_cpu_cfs_throttled_periods_total", labels, lambda ago: 10 * min(1, held(ago)))
            into.counter("container_cpu_cfs_periods_total", labels, lambda _ago: 10)
            into.gauge("container_memory_working_set_bytes", labels, steady(2e8, 0.05))
        if not mesh:
            into.counter("http_requests_total", {**where, "code": "200"}, lambda ago: rate(ago) * (1 - errors(ago)))
            into.counter("http_requests_total", {**where, "code": "503"}, lambda ago: rate(ago) * errors(ago))
            into.histogram("http_request_duration_seconds", where, rate, latency)
    for reporter in ("source", "destination") if mesh else ():
        about = {"reporter": reporter, "destination_workload": app, "destination_workload_namespace": namespace}
        into.counter("istio_requests_total", {**about, "response_code": "200"}, rate)
        # Only the caller's proxy sees the whole way.
        seen = latency if reporter == "source" else steady(0.02)
        into.histogram("istio_request_duration_milliseconds", about, rate, seen, unit=1000)


def record_node(into: Recording, name: str, instance: str, lost: Course, sent: Course) -> None:
    into.gauge("node_uname_info", {"instance": instance, "nodename": name}, lambda _ago: 1)
    into.counter("node_netstat_Tcp_RetransSegs", {"instance": instance}, lost)
    into.counter("node_netstat_Tcp_OutSegs", {"instance": instance}, sent)


@contextlib.contextmanager
def prometheus_with(recording: Recording, rules: Any, folder: Path) -> Iterator[str]:
    """The URL of a Prometheus that knows the recording; its alerting ``rules`` have been evaluated."""
    (folder / "metrics.txt").write_text(recording.text())
    (folder / "rules.yml").write_text(json.dumps(rules))
    config = {"global": {"evaluation_interval": "1s"}, "rule_files": ["rules.yml"], "scrape_configs": []}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    load = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", "metrics.txt", "data"]
    subprocess.run(load, cwd=folder, check=True, capture_output=True)
    port = free_port()
    url, listen = f"http://127.0.0.1:{port}", f"--web.listen-address=127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", listen],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for_port(port, process)
        _wait_for_alerts(url)
        yield url
    finally:
        stop(process)


def _wait_for_alerts(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(f"{url}/api/v1/alerts", timeout=5) as got:
            if json.load(got)["data"]["alerts"]:
                return
        time.sleep(0.2)
    raise RuntimeError("Prometheus evaluates no rule")


def write_bundle(folder: Path, namespace: str, *apps: str, at: datetime | None = None) -> Path:
    """A capture of a healthy namespace: each app a Deployment with its pod and Service."""
    moment = at or datetime.now(UTC)
    with mock.patch.object(build, "NOW", moment):
        items = [item for app in apps for item in (*build.deployment(app), build.pod(app), build.service(app))]
        nodes = [build.node("node-1")]
    places: dict[str, list[Any]] = {
        f"{plural}/{namespace}.json": [item for item in items if item["kind"] == kind]
        for plural, kind in (
            ("pods", "Pod"),
            ("deployments", "Deployment"),
            ("replicasets", "ReplicaSet"),
            ("services", "Service"),
        )
    }
    for item in items:
        item["metadata"]["namespace"] = namespace
    for place, found in {**places, f"events/{namespace}.json": [], "nodes.json": nodes}.items():
        path = folder / "cluster-resources" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"kind": "List", "items": found}))
    about = {"collectedAt": (moment + timedelta(seconds=1)).isoformat(), "scope": "all"}
    (folder / "collection.json").write_text(json.dumps(about))
    return folder
