"""Runs a dashboard's queries against a Prometheus, as Grafana does."""

from __future__ import annotations

import json
import math
import re
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

_POINTS = 60  # of a line: more are not seen and make the picture heavy


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From when to when (seconds since the epoch), and how often there was a scrape."""

    start: float
    end: float
    scrape_seconds: float

    @property
    def step(self) -> float:
        return max((self.end - self.start) / _POINTS, self.scrape_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series: its legend, its labels, and (time, value) points; NaN and infinity are left out."""

    name: str
    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class Source:
    """A Prometheus, looked at over one span. ``variables``: what the dashboard's own variables stand for."""

    def __init__(self, url: str, span: Span, variables: dict[str, str]) -> None:
        self._url = url
        self.span = span
        # Grafana's rule: four scrapes, and never less than a step.
        window = max(4 * span.scrape_seconds, span.step)
        whole = math.ceil(span.end - span.start)
        self._values = {"__rate_interval": f"{math.ceil(window)}s", "__range": f"{whole}s", **variables}

    def lines(self, target: dict[str, Any]) -> list[Line]:
        """What a panel's target brings, over the span or, for an instant query, at its end."""
        expression = re.sub(r"\$(\w+)", lambda found: self._values[found[1]], target["expr"])
        if target.get("instant"):
            found = self._ask("query", query=expression, time=self.span.end)
        else:
            span = self.span
            found = self._ask("query_range", query=expression, start=span.start, end=span.end, step=span.step)
        return [_line(one, target.get("legendFormat", "")) for one in found]

    def _ask(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the caller's own Prometheus
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found


def variables_of(board: dict[str, Any]) -> dict[str, str]:
    """The dashboard's variables with everything selected."""
    return {
        item["name"]: item.get("allValue") or item["query"]
        for item in board["templating"]["list"]
        if item["type"] != "datasource"
    }


def _line(series: dict[str, Any], legend: str) -> Line:
    labels: dict[str, str] = series["metric"]
    points = [(float(at), float(value)) for at, value in series.get("values") or [series["value"]]]
    return Line(
        name=re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend),
        labels=labels,
        points=tuple(point for point in points if math.isfinite(point[1])),
    )
