"""What the answers of Prometheus mean. No I/O in here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from kubetriage.cluster.bundle.observed import parse_alerts
from kubetriage.cluster.prometheus_queries import REQUESTS, RETRANSMISSIONS
from kubetriage.state.snapshot import Alert, MetricSeries

LENGTH = timedelta(minutes=60)
STEP = timedelta(seconds=30)
# Requests per second: nine in one rate window. Below, one slow or failed request is a quantile or a ratio by itself.
ENOUGH_REQUESTS = 0.05
# Share of sent TCP segments. Busy healthy nodes retransmit tens per second, and far less than one in a hundred.
LOSSY_SHARE = 0.01

_JUDGED_BY_REQUESTS = ("latency_", "success_ratio")
# An alert about an object that one of these reports carries the reporter's own pod, service and job beside it.
_REPORTERS = ("kube-state-metrics", "node-exporter")
# From the specific to the general. Not ``job``: that is the scrape job.
_NAMESPACE_LABELS = (
    "exported_namespace",
    "destination_workload_namespace",
    "destination_service_namespace",
    "namespace",
)
_TARGET_LABELS = (
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
    ("destination_workload", "Workload"),
    ("workload", "Workload"),
    ("exported_pod", "Pod"),
    ("pod", "Pod"),
    ("node", "Node"),
    ("destination_service_name", "Service"),
    ("service", "Service"),
)


@dataclass(frozen=True, slots=True)
class Window:
    """The hour before ``end``, on a grid."""

    end: datetime

    @property
    def start(self) -> datetime:
        return self.end - LENGTH

    @property
    def times(self) -> tuple[datetime, ...]:
        return tuple(self.start + STEP * index for index in range(LENGTH // STEP + 1))

    def place(self, moments: Iterable[Sequence[Any]]) -> tuple[float, ...]:
        """``[[seconds, "value"], ...]`` on the grid; NaN where there is no finite value."""
        begin, step = self.start.timestamp(), STEP.total_seconds()
        values = [math.nan] * (LENGTH // STEP + 1)
        for moment, text in moments:
            index, value = round((float(moment) - begin) / step), float(text)
            if 0 <= index < len(values) and math.isfinite(value):
                values[index] = value
        return tuple(values)


def read_series(
    name: str, document: Any, window: Window, namespaces: tuple[str, ...] | None
) -> tuple[MetricSeries, ...]:
    """The series of an answer to ``query_range``. Raises ValueError for what is no such answer."""
    rows = list(_rows(document))
    if name == RETRANSMISSIONS:
        return tuple(_lossy_nodes(rows, window))
    times = window.times
    return tuple(
        MetricSeries(
            name=name,
            target=labels["workload"],
            target_kind="Workload",
            namespace=labels["namespace"],
            times=times,
            values=window.place(values),
        )
        for labels, values in rows
        if labels.get("workload") and labels.get("namespace") and _is_allowed(labels["namespace"], namespaces)
    )


def without_rare_requests(series: Iterable[MetricSeries]) -> tuple[MetricSeries, ...]:
    """Without the latencies and success ratios of moments in which hardly anybody asked."""
    known = list(series)
    rates = {(one.namespace, one.target): one.values for one in known if one.name == REQUESTS}
    kept: list[MetricSeries] = []
    for one in known:
        if one.name.startswith(_JUDGED_BY_REQUESTS):
            rate = rates.get((one.namespace, one.target))
            if rate is None:
                continue
            pairs = zip(one.values, rate, strict=True)
            judged = tuple(value if asked >= ENOUGH_REQUESTS else math.nan for value, asked in pairs)
            kept.append(replace(one, values=judged))
        else:
            kept.append(one)
    return tuple(kept)


def read_alerts(document: Any, window: Window, namespaces: tuple[str, ...] | None) -> tuple[Alert, ...]:
    """Firing alerts of these namespaces with ``target`` and ``target_kind`` among their labels when these say whom
    they are about. Those that began after the window's end are of another time than the state that is looked at:
    the capture's. Raises ValueError for what is no such answer."""
    rows = _data(document).get("alerts")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("no list of alerts")
    found = parse_alerts([row for row in rows if row.get("state") == "firing"], {})
    return tuple(
        replace(alert, labels={**alert.labels, **find_target(alert.labels)})
        for alert in found
        if _is_allowed(_namespace_of(alert.labels), namespaces)
        and (alert.active_at is None or alert.active_at <= window.end)
    )


def find_target(labels: Mapping[str, str]) -> dict[str, str]:
    """Whom an alert with these labels is about; empty when they do not say."""
    for label, kind in _TARGET_LABELS:
        name = labels.get(label, "")
        if name and not any(reporter in name for reporter in _REPORTERS):
            return {"target": name, "target_kind": kind, "target_namespace": _namespace_of(labels)}
    return {}


def _namespace_of(labels: Mapping[str, str]) -> str:
    return next((labels[name] for name in _NAMESPACE_LABELS if labels.get(name)), "")


def _lossy_nodes(rows: Sequence[tuple[Mapping[str, str], Any]], window: Window) -> Iterator[MetricSeries]:
    parts = {(labels.get("nodename", ""), labels.get("part")): window.place(values) for labels, values in rows}
    for (node, part), lost in parts.items():
        sent = parts.get((node, "sent"))
        if part != "retransmitted" or not node or sent is None:
            continue
        last = list(zip(lost, sent, strict=True))[-(len(lost) // 3) :]
        shares = [again / all_of_them for again, all_of_them in last if again >= 0 and all_of_them > 0]
        if shares and statistics.median(shares) >= LOSSY_SHARE:
            yield MetricSeries(
                name=RETRANSMISSIONS,
                target=node,
                target_kind="Node",
                namespace=None,
                times=window.times,
                values=lost,
            )


def _is_allowed(namespace: str, namespaces: tuple[str, ...] | None) -> bool:
    """Series were asked for by namespace already; alerts cannot be, and a proxy may rewrite a query."""
    return namespaces is None or namespace in namespaces


def _rows(document: Any) -> Iterator[tuple[dict[str, str], Any]]:
    data = _data(document)
    if data.get("resultType") != "matrix" or not isinstance(data.get("result"), list):
        raise ValueError("no matrix")
    for row in data["result"]:
        yield {str(key): str(value) for key, value in row["metric"].items()}, row["values"]


def _data(document: Any) -> dict[str, Any]:
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise ValueError("no data")  # noqa: TRY004 - the document is wrong, not the call
    return data
