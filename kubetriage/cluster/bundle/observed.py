"""What a bundle holds besides API objects: alerts, metric series, connection tests, node services."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from kubetriage.state.snapshot import Alert, ConnectivityCheck, MetricSeries, NodeService
from kubetriage.state.times import parse_time

# Column endings of ``prometheus/metrics.csv`` to canonical series names (see MetricSeries).
_SERIES = {
    "cpu_cfs": "cpu_throttled_seconds",
    "cpu": "cpu_cores",
    "mem": "memory_bytes",
    "rps": "requests_per_second",
    "success_rate": "success_ratio",
    "network_receive": "receive_packets_per_second",
    "network_transmit": "transmit_packets_per_second",
    "tcp_retans": "tcp_retransmissions_per_second",
    "tcp_retrans": "tcp_retransmissions_per_second",
}
_LATENCY = re.compile(r"^p(\d+)latency$")


def parse_alerts(document: Any, targets: Mapping[str, str]) -> tuple[Alert, ...]:
    """Alerts of Prometheus' API (``data.alerts``) or of an anomaly report (``alerts`` with
    ``name``, ``type`` and ``evidence``). ``targets`` maps object names to kinds."""
    rows = document.get("data", document).get("alerts") if isinstance(document, dict) else document
    return tuple(_alert(row, targets) for row in rows or () if isinstance(row, dict))


def _alert(row: Mapping[str, Any], targets: Mapping[str, str]) -> Alert:
    labels = {str(key): str(value) for key, value in (row.get("labels") or {}).items()}
    notes = {str(key): str(value) for key, value in (row.get("annotations") or {}).items()}
    if not labels:
        name = str(row.get("name") or row.get("entity_name") or row.get("entry_service") or "")
        kind = str(row.get("type") or row.get("entity_type") or targets.get(name) or "Service")
        labels = {"target": name, "target_kind": kind}
        notes = {"evidence": "\n".join(map(str, row.get("evidence") or [row.get("raw_error") or ""]))}
        if row.get("url"):
            notes["url"] = f"{row.get('request_method', 'GET')} {row['url']}"
        if row.get("occurrences") is not None:
            notes["occurrences"] = str(row["occurrences"])
    return Alert(
        name=labels.get("alertname") or str(row.get("metric_category") or row.get("business_action") or "anomaly"),
        labels=labels,
        annotations=notes,
        active_at=parse_time(row.get("activeAt") or row.get("startsAt")),
        value=str(row.get("value") or ""),
    )


def parse_connectivity(document: Any) -> tuple[ConnectivityCheck, ...]:
    return tuple(
        ConnectivityCheck(
            namespace=str(row.get("namespace")),
            service=str(row.get("service")),
            port=int(row.get("port") or 0),
            succeeded=bool(row.get("succeeded")),
            output=str(row.get("output") or ""),
            from_nodes=tuple(map(str, row.get("fromNodes") or ())),
        )
        for row in (document.get("checks") if isinstance(document, dict) else document) or ()
    )


def parse_metrics(
    text: str, kinds: Mapping[str, str], namespace: str | None, shift: timedelta
) -> tuple[MetricSeries, ...]:
    """The columns ``<target>-<metric>`` of a table with a ``time`` column. ``kinds``: names of known
    objects to their kinds; ``shift`` is added to the table's local times to make them UTC."""
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    if len(rows) < 2:
        return ()
    header, body = rows[0], rows[1:]
    times = [_local(row[0], shift) for row in body]
    kept = [(time, row) for time, row in zip(times, body, strict=True) if time is not None]
    return tuple(_columns(header, kept, kinds, namespace))


def _columns(
    header: Sequence[str],
    rows: Sequence[tuple[datetime, Sequence[str]]],
    kinds: Mapping[str, str],
    namespace: str | None,
) -> Iterator[MetricSeries]:
    moments = tuple(time for time, _ in rows)
    for index, column in enumerate(header):
        target, _, metric = column.rpartition("-")
        latency = _LATENCY.match(metric)
        name = f"latency_p{latency[1]}_ms" if latency else _SERIES.get(metric)
        if not target or name is None:
            continue
        kind = kinds.get(target, "Workload")
        yield MetricSeries(
            name=name,
            target=target,
            target_kind=kind,
            namespace=None if kind == "Node" else namespace,
            times=moments,
            values=tuple(_number(row[index]) if index < len(row) else math.nan for _, row in rows),
        )


def parse_node_service(node: str, service: str, text: str) -> NodeService:
    return NodeService(node=node, service=service, status=text)


def _local(text: str, shift: timedelta) -> datetime | None:
    time = parse_time(text.strip())
    return time + shift if time is not None else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
