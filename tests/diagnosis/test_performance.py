"""Slow without being broken: which of several slow workloads is the cause."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from kubetriage.diagnosis.anomalies import find_change_point
from kubetriage.state import Alert, MetricSeries
from tests.diagnosis.build import NAMESPACE, NOW, causes, deployment, diagnosed, pod, service

TIMES = tuple(NOW - timedelta(seconds=5 * (40 - step)) for step in range(40))


def series(name: str, target: str, before: float, after: float) -> MetricSeries:
    values = tuple(before if step < 20 else after for step in range(40))
    return MetricSeries(
        name=name, target=target, target_kind="Service", namespace=NAMESPACE, times=TIMES, values=values
    )


def world(*names: str) -> list[Any]:
    return [[*deployment(name), pod(name), service(name)] for name in names]


def test_of_two_slow_services_the_callee_is_the_cause() -> None:
    found = diagnosed(
        *world("checkout", "payments"),
        metrics=(series("latency_p50_ms", "checkout", 20, 900), series("latency_p50_ms", "payments", 10, 400)),
    )
    assert causes(found) == [("pod_network_delay", "deployment/payments")]


def test_a_throttled_busy_and_slow_service_is_saturated() -> None:
    found = diagnosed(
        *world("payments"),
        metrics=(
            series("latency_p90_ms", "payments", 10, 400),
            series("cpu_throttled_seconds", "payments", 0.0, 0.8),
            series("cpu_cores", "payments", 0.02, 0.2),
        ),
    )
    assert causes(found) == [("cpu_saturated", "deployment/payments")]


def test_more_load_without_slowness_is_no_fault() -> None:
    found = diagnosed(*world("payments"), metrics=(series("cpu_cores", "payments", 0.05, 0.3),))
    assert causes(found) == []


def test_a_steady_series_has_no_incident() -> None:
    found = diagnosed(*world("payments"), metrics=(series("latency_p50_ms", "payments", 40, 42),))
    assert causes(found) == []


def test_many_retransmissions_blame_the_node() -> None:
    labels = {"target": "node-1", "target_kind": "Node"}
    notes = {"evidence": "TCP retransmission Normal=0.1 -> Current=9.5"}
    found = diagnosed(*world("payments"), alerts=(Alert(name="net", labels=labels, annotations=notes),))
    assert causes(found) == [("node_network_loss", "node/node-1")]


def test_the_change_point_is_where_the_level_changed() -> None:
    changed = series("latency_p50_ms", "payments", 10, 400)
    assert find_change_point(changed.times, changed.values) == TIMES[20]
