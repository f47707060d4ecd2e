"""Changes of behaviour: what became slower, busier or quieter, from alerts or from series.

Alerts are taken as they come when they say a target, what changed and by how much; otherwise the
change is computed from the series: the median of the first quarter against that of the last third.
Ordinary traffic has bursts, gaps and noise. So a change has to be large, to last (half of the last
third), to go on where that can be told, and to leave the range in which the series moved before.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.snapshot import Alert, MetricSeries


class Behaviour(StrEnum):
    SLOW = "median latency"
    SLOW_TAIL = "tail latency"
    THROTTLED = "CPU throttling"
    BUSY = "CPU use"
    QUIET = "throughput"
    ERRORS = "success rate"
    RETRANSMITS = "TCP retransmissions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """``before`` and ``after`` in the series' unit (ms, cores, requests/s ...); before is None when
    the report gives no figure."""

    target: str
    behaviour: Behaviour
    before: float | None
    after: float
    quote: str
    source: str
    is_node: bool = False
    time: datetime | None = None
    namespace: str | None = None  # None: not told


# Smaller changes are load, not faults. Relative rise and absolute floor per behaviour.
_RISE = {
    Behaviour.SLOW: (2.0, 20.0),  # ms
    Behaviour.SLOW_TAIL: (2.0, 40.0),  # ms
    Behaviour.THROTTLED: (3.0, 0.1),  # throttled seconds per second
    Behaviour.BUSY: (2.0, 0.05),  # cores
    Behaviour.RETRANSMITS: (3.0, 0.5),  # segments per second
}
# Of 100 ms periods; as kubernetes-mixin's CPUThrottlingHigh. Small limits throttle one in ten all day long.
_FLOORS = {"cpu_throttled_ratio": 0.25}
# A short series is a capture of the fault, perhaps with its end. A longer one is the time until now: three
# quarters of its last sixth (of an hour: ten minutes) must be as bad, or it is over, or comes and goes.
_GOES_ON = timedelta(minutes=30)
_FALL = {Behaviour.QUIET: 0.7, Behaviour.ERRORS: 0.97}
_SERIES = {
    "latency_p50_ms": Behaviour.SLOW,
    "latency_p90_ms": Behaviour.SLOW_TAIL,
    "latency_p95_ms": Behaviour.SLOW_TAIL,
    "latency_p99_ms": Behaviour.SLOW_TAIL,
    "cpu_throttled_seconds": Behaviour.THROTTLED,
    "cpu_throttled_ratio": Behaviour.THROTTLED,
    "cpu_cores": Behaviour.BUSY,
    "requests_per_second": Behaviour.QUIET,
    "success_ratio": Behaviour.ERRORS,
    "tcp_retransmissions_per_second": Behaviour.RETRANSMITS,
}
_CHANGE = re.compile(
    r"(?:(?P<name>[\w.-]*p\d+latency): )?Normal=(?P<before>[\d.]+)[^>]{0,20}->\s*Cur(?:rent)?=(?P<after>[\d.]+)"
)
_ALERT_KINDS = (
    (re.compile(r"throttl", re.IGNORECASE), Behaviour.THROTTLED),
    (re.compile(r"retrans", re.IGNORECASE), Behaviour.RETRANSMITS),
    (re.compile(r"\bcpu\b", re.IGNORECASE), Behaviour.BUSY),
    (re.compile(r"throughput.?drop|traffic.*drop", re.IGNORECASE), Behaviour.QUIET),
    (re.compile(r"success rate|error.?spike|error rate", re.IGNORECASE), Behaviour.ERRORS),
    (re.compile(r"latency|slow response", re.IGNORECASE), Behaviour.SLOW_TAIL),
)
# Whose rules alerts of Prometheus are: a team's own threshold says that requests fail, or what a limit does. That
# something is slow says nothing of why, and nobody was asked how it was before.
_TOLD_BY_ALERTS = frozenset({Behaviour.ERRORS, Behaviour.THROTTLED})
_NOTES = ("summary", "description", "message")
_WORD_BEGINS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_VALUE = re.compile(r"Val(?:ue)?:?\s*(?P<after>[\d.]+)")


def find_anomalies(view: ClusterView) -> list[Anomaly]:
    """Everything that changed for the worse. A report of anomalies is complete; without one it is the series that
    tell, and what alerts add to them."""
    reported = [entry for alert in view.snapshot.alerts for entry in _of_report(alert)]
    if reported:
        return reported
    changed = [entry for series in view.snapshot.metrics for entry in _of_series(series)]
    return changed + [entry for alert in view.snapshot.alerts for entry in _of_alert(alert)]


def _of_report(alert: Alert) -> Iterator[Anomaly]:
    """Of an alert that comes with its figures."""
    target = alert.labels.get("target")
    if not target:
        return
    is_node = alert.labels.get("target_kind") == "Node"
    for line in alert.annotations.get("evidence", "").splitlines():
        behaviour = next((kind for pattern, kind in _ALERT_KINDS if pattern.search(line)), None)
        if behaviour is None or "MISSING" in line:
            continue
        for name, before, after in _figures(line):
            actual = behaviour
            if behaviour is Behaviour.SLOW_TAIL and "p50" in name:
                actual = Behaviour.SLOW
            yield Anomaly(
                target=target,
                behaviour=actual,
                before=before,
                after=after,
                quote=line,
                source=f"alert {alert.name}",
                is_node=is_node,
                time=alert.active_at,
            )


def _of_alert(alert: Alert) -> Iterator[Anomaly]:
    """Of a firing alert of Prometheus, by the words that its rule's author chose."""
    target = alert.labels.get("target")
    notes = next((alert.annotations[name] for name in _NOTES if alert.annotations.get(name)), "")
    words = f"{_WORD_BEGINS.sub(' ', alert.name)}: {notes}"
    behaviour = next((kind for pattern, kind in _ALERT_KINDS if pattern.search(words)), None)
    if not target or behaviour not in _TOLD_BY_ALERTS:
        return
    yield Anomaly(
        target=target,
        behaviour=behaviour,
        before=None,
        after=_number(alert.value),
        quote=f"{alert.name}: {notes}" if notes else alert.name,
        source=f"alert {alert.name}",
        is_node=alert.labels.get("target_kind") == "Node",
        time=alert.active_at,
        namespace=alert.labels.get("target_namespace") or None,
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _figures(line: str) -> Iterator[tuple[str, float | None, float]]:
    changes = list(_CHANGE.finditer(line))
    for change in changes:
        yield change["name"] or "", float(change["before"]), float(change["after"])
    value = _VALUE.search(line)
    if not changes and value:
        yield "", None, float(value["after"])


def _of_series(series: MetricSeries) -> Iterator[Anomaly]:
    behaviour = _SERIES.get(series.name)
    count = len(series.values)
    if behaviour is None or count < 8:
        return
    first, last = _clean(series.values[: count // 4]), _clean(series.values[-(count // 3) :])
    # Half of the samples at least: fewer are a target that came or went, or that is hardly asked.
    if not first or len(first) * 2 < count // 4 or len(last) * 2 < count // 3:
        return
    before, after = statistics.median(first), statistics.median(last)
    levels = [after]
    if series.times[-1] - series.times[0] >= _GOES_ON:
        recent = sorted(_clean(series.values[-(count // 6) :])) or [before]
        mildest = len(recent) // 4
        levels.append(recent[-1 - mildest] if behaviour in _FALL else recent[mildest])
    floor = _FLOORS.get(series.name)
    if not all(_is_worse(behaviour, before, level, floor) for level in levels):
        return
    if not _leaves_range(behaviour, first, after):
        return
    yield Anomaly(
        target=series.target,
        behaviour=behaviour,
        before=before,
        after=after,
        quote=f"{series.name}: {before:.4g} → {after:.4g}",
        source=series.name,
        is_node=series.target_kind == "Node",
        time=find_change_point(series.times, series.values),
        namespace=series.namespace,
    )


def _is_worse(behaviour: Behaviour, before: float, after: float, floor: float | None = None) -> bool:
    if behaviour in _FALL:
        return before > 0 and after < before * _FALL[behaviour]
    ratio, usual_floor = _RISE[behaviour]
    return after >= (usual_floor if floor is None else floor) and after >= before * ratio


def _leaves_range(behaviour: Behaviour, first: Sequence[float], after: float) -> bool:
    """Whether ``after`` lies beyond nine of ten earlier samples: what comes and goes has been there before."""
    ranked = sorted(first)
    tenth = len(ranked) // 10
    return after < ranked[tenth] if behaviour in _FALL else after > ranked[-1 - tenth]


def find_change_point(times: Sequence[datetime], values: Sequence[float]) -> datetime | None:
    """When a series changed: the split with the largest difference of means, in units of the
    noise (a CUSUM for one change; Page, Biometrika 1954)."""
    clean = [(time, value) for time, value in zip(times, values, strict=True) if not math.isnan(value)]
    if len(clean) < 8:
        return None
    numbers = [value for _, value in clean]
    total, mean = sum(numbers), statistics.fmean(numbers)
    best, where, left = 0.0, None, 0.0
    for index in range(1, len(numbers)):
        left += numbers[index - 1]
        deviation = abs(left - index * mean) / math.sqrt(index * (len(numbers) - index))
        if deviation > best:
            best, where = deviation, clean[index][0]
    return where if total else None


def _clean(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]
