"""Panels with time from left to right: lines and heat. Pure: series in, SVG out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy.grafana.pictures import svg
from deploy.grafana.pictures.data import Line, Span
from deploy.grafana.pictures.svg import Box
from deploy.grafana.pictures.units import ticks, written

_LEGEND_ROW = 14.0
_LEGEND_ROWS = 4
_AXIS = 14.0  # below a plot, for the time


@dataclass(frozen=True, slots=True)
class _Scale:
    """From time and value to pixels."""

    box: Box
    span: Span
    low: float
    high: float

    def x(self, at: float) -> float:
        return self.box.x + (at - self.span.start) / (self.span.end - self.span.start) * self.box.w

    def y(self, value: float) -> float:
        return self.box.bottom - (value - self.low) / (self.high - self.low) * self.box.h


def lines(panel: dict[str, Any], series: list[Line], box: Box, span: Span) -> Iterator[str]:
    """A panel of the type timeseries."""
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"].get("stacking", {}).get("mode") == "normal"
    shown = [line for line in series if line.points]
    rows = min(len(shown), _LEGEND_ROWS)
    legend = (rows + 1) * _LEGEND_ROW
    drawn = _stacked(shown) if stacked else [(line.points, ()) for line in shown]
    values = [value for points, _ in drawn for _, value in points]
    marks = ticks(max([*values, 0.0]), min([*values, 0.0]), base=2 if defaults["unit"] == "bytes" else 10)
    labels = [written(mark, defaults["unit"]) for mark in marks]
    left = 8 + max(len(label) for label in labels) * 5.6
    scale = _Scale(box.inside(left, 4, 6, legend + _AXIS), span, marks[0], marks[-1])
    for mark, label in zip(marks, labels, strict=True):
        yield svg.horizontal(scale.box.x, scale.box.right, scale.y(mark))
        yield svg.text(scale.box.x - 5, scale.y(mark) + 3.5, label, size=10, fill=svg.MUTED, anchor="end")
    yield from _times(scale)
    for number, (points, below) in enumerate(drawn):
        color = svg.SERIES[number % len(svg.SERIES)]
        upper = [(scale.x(at), scale.y(value)) for at, value in points]
        under = [(scale.x(at), scale.y(value)) for at, value in below]
        floor = under or [(upper[0][0], scale.y(0)), (upper[-1][0], scale.y(0))]
        yield svg.area(upper, floor, color, 0.25 if stacked else 0.06)
        yield svg.outline(upper if len(upper) > 1 else [*upper, (upper[0][0] + 1, upper[0][1])], color)
    yield from _legend(shown, defaults["unit"], box.inside(8, box.h - legend, 8, 0))


def heat(panel: dict[str, Any], series: list[Line], box: Box, span: Span) -> Iterator[str]:
    """A panel of the type heatmap: cumulative buckets, the darkest where the fewest are."""
    buckets = sorted((line for line in series if line.points), key=lambda line: float(line.labels["le"]))
    counts = _per_bucket(buckets)
    used = [index for index, column in enumerate(counts) if any(value > 0 for value in column.values())]
    if not used:
        return
    first, last = max(used[0] - 1, 0), used[-1]
    unit = panel["options"]["yAxis"]["unit"]
    names = [_bound(buckets[index].labels["le"], unit) for index in range(first, last + 1)]
    scale = _Scale(box.inside(8 + max(map(len, names)) * 5.6, 4, 6, _AXIS + 4), span, 0, len(names))
    height = scale.box.h / len(names)
    for number, name in enumerate(names):
        if number % math.ceil(len(names) / 7) == 0:
            y = scale.y(number + 0.5) + 3.5
            yield svg.text(scale.box.x - 5, y, name, size=10, fill=svg.MUTED, anchor="end")
    yield from _times(scale)
    most = max(max(column.values()) for column in counts if column)
    colored: dict[str, list[Box]] = {}
    width = scale.box.w * span.step / (span.end - span.start)
    for number in range(len(names)):
        for at, value in counts[first + number].items():
            if value > 0 and at > span.start:
                shade = svg.HEAT[min(int(value / most * len(svg.HEAT)), len(svg.HEAT) - 1)]
                cell = Box(scale.x(at) - width, scale.y(number + 1) + 0.5, width - 0.5, height - 1)
                colored.setdefault(shade, []).append(cell)
    for shade, cells in colored.items():
        yield svg.cells(cells, shade)


def _stacked(series: list[Line]) -> list[tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]]:
    """Each line on top of those before it, with what it stands on."""
    height: dict[float, float] = {}
    made = []
    for line in series:
        below = tuple((at, height.get(at, 0.0)) for at, _ in line.points)
        points = tuple((at, base + value) for (at, value), (_, base) in zip(line.points, below, strict=True))
        height |= dict(points)
        made.append((points, below))
    return made


def _per_bucket(buckets: list[Line]) -> list[dict[float, float]]:
    """Prometheus' buckets hold everything below; a picture shows each alone."""
    made, smaller = [], dict[float, float]()
    for line in buckets:
        own = dict(line.points)
        made.append({at: max(value - smaller.get(at, 0.0), 0.0) for at, value in own.items()})
        smaller = own
    return made


def _bound(le: str, unit: str) -> str:
    return "more" if le == "+Inf" else written(float(le), unit)


def _times(scale: _Scale) -> Iterator[str]:
    """Round minutes along the bottom."""
    span = scale.span
    step = next(step for step in (60, 120, 300, 600, 1800, 3600, 21600, 86400) if (span.end - span.start) / step <= 6)
    at = math.ceil(span.start / step) * step
    while at <= span.end:
        x = scale.x(at)
        yield svg.vertical(x, scale.box.y, scale.box.bottom)
        label = time.strftime("%H:%M", time.gmtime(at))
        if x < scale.box.right - 12:
            yield svg.text(x, scale.box.bottom + 12, label, size=10, fill=svg.MUTED, anchor="middle")
        at += step


def _legend(series: list[Line], unit: str, box: Box) -> Iterator[str]:
    """Name, mean and highest value; the last row says how many more there are."""
    columns = (box.right - 76, box.right)
    for x, heading in zip(columns, ("Mean", "Max"), strict=True):
        yield svg.text(x, box.y + 10, heading, size=10, fill="#6e9fff", anchor="end")
    for number, line in enumerate(series[:_LEGEND_ROWS]):
        y = box.y + (number + 1) * _LEGEND_ROW + 10
        if number == _LEGEND_ROWS - 1 and len(series) > _LEGEND_ROWS:
            yield svg.text(box.x + 16, y, f"and {len(series) - number} more", size=10, fill=svg.MUTED)
            return
        yield svg.rectangle(Box(box.x, y - 5, 10, 3), svg.SERIES[number % len(svg.SERIES)], radius=1)
        yield svg.text(box.x + 16, y, svg.fitted(line.name, box.w - 160, 10), size=10)
        values = [value for _, value in line.points]
        for x, value in zip(columns, (sum(values) / len(values), max(values)), strict=True):
            yield svg.text(x, y, written(value, unit), size=10, anchor="end")
