"""Panels without an axis of time: a number, bars, a table. Pure: series in, SVG out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.grafana.pictures import svg
from deploy.grafana.pictures.data import Line
from deploy.grafana.pictures.svg import Box
from deploy.grafana.pictures.units import written

_ROW = 19.0


def number(panel: dict[str, Any], series: list[Line], box: Box) -> Iterator[str]:
    """A panel of the type stat: the latest value, and behind it how it came to be."""
    points = series[0].points if series else ()
    if not points:
        yield svg.text(box.x + box.w / 2, box.y + box.h / 2 + 6, "No data", size=16, fill=svg.MUTED, anchor="middle")
        return
    defaults = panel["fieldConfig"]["defaults"]
    latest = points[-1][1]
    color = _color(latest, defaults["thresholds"]["steps"])
    if len(points) > 1:
        values = [value for _, value in points]
        low, high = min([*values, 0.0]), max([*values, 0.0])
        bottom, height = box.bottom - 1, box.h * 0.32
        times = points[0][0], points[-1][0]
        line = [
            (
                box.x + 1 + (at - times[0]) / (times[1] - times[0]) * (box.w - 2),
                bottom - (value - low) / ((high - low) or 1) * height,
            )
            for at, value in points
        ]
        yield svg.area(line, [(box.x + 1, bottom), (box.right - 1, bottom)], color, 0.15)
        yield svg.outline(line, color)
    shown = written(latest, defaults["unit"])
    yield svg.text(box.x + box.w / 2, box.y + box.h * 0.5, shown, size=26, fill=color, anchor="middle", bold=True)


def bars(panel: dict[str, Any], series: list[Line], box: Box) -> Iterator[str]:
    """A panel of the type bargauge."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    rows = [(line.name, line.points[-1][1]) for line in series if line.points][: int(box.h // _ROW)]
    if not rows:
        return
    most = max(value for _, value in rows) or 1.0
    names = min(max(len(name) for name, _ in rows) * 5.9 + 18, box.w * 0.45)
    height = min(_ROW, box.h / len(rows))
    for place, (name, value) in enumerate(rows):
        y = box.y + 4 + place * (height + 3)
        bar = Box(box.x + names, y, (box.w - names - 70) * value / most, height - 3)
        yield svg.text(bar.x - 8, y + height / 2 + 2, svg.fitted(name, names - 14), anchor="end")
        yield svg.rectangle(Box(bar.x, y, box.w - names - 70, bar.h), svg.FAINT, radius=2)
        yield svg.rectangle(bar, svg.STATES["green"], radius=2)
        yield svg.text(box.right - 10, y + height / 2 + 2, written(value, unit), fill=svg.STATES["green"], anchor="end")


def table(panel: dict[str, Any], series: list[Line], box: Box) -> Iterator[str]:
    """A panel of the type table, with the headings of its transformation."""
    options = panel["transformations"][0]["options"]
    places: dict[str, int] = options["indexByName"]
    headings = {name: options["renameByName"][name] for name in sorted(places, key=lambda name: places[name])}
    width = (box.w - 16) / len(headings)
    for column, heading in enumerate(headings.values()):
        yield svg.text(box.x + 8 + column * width, box.y + 12, heading, fill="#6e9fff", bold=True)
    for row, line in enumerate(series[: int((box.h - 20) // _ROW)]):
        y = box.y + 18 + (row + 1) * _ROW
        yield svg.horizontal(box.x + 8, box.right - 8, y - 13)
        values = {**line.labels, "Value": f"{line.points[-1][1]:.0f}"}
        for column, name in enumerate(headings):
            yield svg.text(box.x + 8 + column * width, y, svg.fitted(values.get(name, ""), width))


def _color(value: float, steps: list[dict[str, Any]]) -> str:
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return svg.STATES[reached[-1]]
