"""A whole dashboard: its heading and its panels at their places in the grid."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from deploy.grafana.pictures import plots, svg, values
from deploy.grafana.pictures.data import Line, Source, Span
from deploy.grafana.pictures.svg import Box

_COLUMN, _ROW, _GAP, _HEAD, _TITLE = 52.0, 27.0, 8.0, 46.0, 24.0


def draw(board: dict[str, Any], source: Source) -> str:
    """The dashboard as an SVG file's text, with what its queries bring from ``source``."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    width = 24 * _COLUMN + _GAP
    shapes = [*_heading(board, source.span, width)]
    for panel in board["panels"]:
        box = _place(panel["gridPos"])
        if panel["type"] == "row":
            shapes.append(svg.text(box.x + 4, box.y + 14, f"⌄  {panel['title']}", size=13, bold=True))
            continue
        shapes.append(svg.rectangle(box, svg.PANEL, border=svg.BORDER, radius=2))
        shapes.append(svg.text(box.x + 9, box.y + 17, svg.fitted(panel["title"], box.w - 18, 12), size=12, bold=True))
        series = [line for target in panel["targets"] for line in source.lines(target)]
        shapes.extend(_content(panel, series, box.inside(1, _TITLE, 1, 4), source.span))
    return svg.document(width, _HEAD + rows * _ROW + _GAP, shapes, board["title"])


def _content(panel: dict[str, Any], series: list[Line], box: Box, span: Span) -> Iterator[str]:
    match panel["type"]:
        case "timeseries":
            yield from plots.lines(panel, series, box, span)
        case "heatmap":
            yield from plots.heat(panel, series, box, span)
        case "stat":
            yield from values.number(panel, series, box)
        case "bargauge":
            yield from values.bars(panel, series, box.inside(8, 2, 8, 2))
        case "table":
            yield from values.table(panel, series, box)
        case other:
            raise ValueError(f"panels of the type {other} cannot be drawn yet")


def _heading(board: dict[str, Any], span: Span, width: float) -> Iterator[str]:
    yield svg.text(_GAP + 4, 29, board["title"], size=18, bold=True)
    begun, ended = (time.strftime("%H:%M", time.gmtime(at)) for at in (span.start, span.end))
    chosen = [
        f"{item['label']}: {item['query'] if item['type'] == 'textbox' else 'All'}"
        for item in board["templating"]["list"]
        if item["type"] != "datasource"
    ]
    line = "   ·   ".join([*chosen, f"{begun} to {ended} UTC"])
    yield svg.text(width - _GAP - 4, 28, line, fill=svg.MUTED, anchor="end")


def _place(grid: dict[str, int]) -> Box:
    return Box(
        _GAP + grid["x"] * _COLUMN, _HEAD + grid["y"] * _ROW, grid["w"] * _COLUMN - _GAP, grid["h"] * _ROW - _GAP
    )
