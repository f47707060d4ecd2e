"""Pictures of dashboards: numbers as Grafana writes them, shapes where the values are, one picture for each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from deploy.grafana.pictures.data import Line, Span
from deploy.grafana.pictures.plots import heat, lines
from deploy.grafana.pictures.svg import STATES, Box, fitted
from deploy.grafana.pictures.units import ticks, written
from deploy.grafana.pictures.values import bars, number, table
from tests.deployment.test_grafana import DASHBOARDS, panels
from tests.processes import ROOT

PAGE = ROOT / "docs/dashboards.md"
BOX = Box(0, 0, 400, 200)
SPAN = Span(start=0, end=600, scrape_seconds=15)


def line(*values: float, name: str = "a", **labels: str) -> Line:
    return Line(name=name, labels=labels, points=tuple((at * 60.0, value) for at, value in enumerate(values)))


def panel(kind: str) -> dict[str, Any]:
    """The first of its kind on any dashboard."""
    return next(one for name in sorted(DASHBOARDS) for one in panels(name) if one["type"] == kind)


def words(shapes: Any) -> list[str]:
    return [found for shape in shapes for found in re.findall(r">([^<]+)</text>", shape)]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.995, "percentunit", "99.5%"),
        (0.0004, "s", "400 µs"),
        (0.25, "s", "250 ms"),
        (90, "s", "1.5 min"),
        (64 * 2**20, "bytes", "64 MiB"),
        (9670, "short", "9.67 K"),
        (0.7, "reqps", "0.7 req/s"),
        (0, "s", "0 s"),
        (-0.5, "percentunit", "-50%"),
    ],
)
def test_numbers_are_written_with_their_unit(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text


@pytest.mark.parametrize(
    ("high", "low", "marks"),
    [(10, 0, [0, 2.5, 5, 7.5, 10]), (0.07, 0, [0, 0.02, 0.04, 0.06, 0.08]), (1, -3, [-3, -2, -1, 0, 1]), (0, 0, None)],
)
def test_axes_have_round_marks_around_the_values(high: float, low: float, marks: list[float] | None) -> None:
    found = ticks(high, low)
    assert found[0] <= low
    assert found[-1] >= high
    assert marks is None or found == pytest.approx(marks)


def test_a_line_ends_where_its_values_are() -> None:
    shapes = [*lines(panel("timeseries"), [line(0, 5, 10, name="p95")], BOX, SPAN)]
    (drawn,) = (shape for shape in shapes if 'fill="none"' in shape)
    heights = [float(point.split()[1]) for point in re.findall(r"[\d.]+ [\d.]+", drawn)]
    assert heights == sorted(heights, reverse=True), "up is less in SVG"
    assert heights[1] == pytest.approx((heights[0] + heights[2]) / 2, abs=0.2)
    assert "p95" in words(shapes)


def test_stacked_lines_stand_on_each_other() -> None:
    stacked = next(
        one
        for name in sorted(DASHBOARDS)
        for one in panels(name)
        if one["fieldConfig"]["defaults"].get("custom", {}).get("stacking", {}).get("mode") == "normal"
    )
    shapes = [*lines(stacked, [line(1, 1), line(2, 2, name="b")], BOX, SPAN)]
    tops = [float(re.search(r"M[\d.]+ ([\d.]+)", shape)[1]) for shape in shapes if 'fill="none"' in shape]  # type: ignore[index]
    bottom = max(float(y) for shape in shapes for y in re.findall(r'd="M[\d.]+ ([\d.]+)H', shape))
    assert (bottom - tops[1]) / (bottom - tops[0]) == pytest.approx(3, abs=0.05)


def test_more_lines_than_the_legend_has_room_for_are_counted() -> None:
    shapes = lines(panel("timeseries"), [line(1, 2, name=f"line {number}") for number in range(9)], BOX, SPAN)
    assert "and 6 more" in words(shapes)


def test_heat_shows_each_bucket_alone() -> None:
    """Cumulative: 3 of 3 are below 0.5 s and none below 0.1 s."""
    buckets = [line(*[value] * 3, le=le) for le, value in (("0.1", 0), ("0.5", 3), ("1.0", 3), ("+Inf", 3))]
    shapes = [*heat(panel("heatmap"), buckets, BOX, SPAN)]
    assert words(shapes)[:2] == ["100 ms", "500 ms"]
    (cells,) = (shape for shape in shapes if 'z"' in shape)
    assert cells.count("M") == 2, "one column each, but for the first moment"


def test_a_number_has_the_colour_of_its_threshold() -> None:
    failed = next(one for one in panels("kubetriage-overview") if one["title"] == "Failed requests")
    drawn = ["".join(number(failed, [line(value)], BOX)) for value in (0, 0.01, 0.2)]
    assert [re.findall(r'fill="(#\w+)" text-anchor', one) for one in drawn] == [[colour] for colour in STATES.values()]
    assert words(number(failed, [], BOX)) == ["No data"]


def test_bars_and_tables_show_names_and_values() -> None:
    series = [line(8, name="oom_killed", cause="oom_killed", object_namespace="shop"), line(2, name="dns", cause="dns")]
    assert words(bars(panel("bargauge"), series, BOX)) == ["oom_killed", "8", "dns", "2"]
    assert words(table(panel("table"), series, BOX)) == [
        *("Namespace", "Cause", "Incidents"),
        *("shop", "oom_killed", "8"),
        *("dns", "2"),
    ]


def test_what_is_too_long_is_cut() -> None:
    assert fitted("payments", 100) == "payments"
    assert fitted("a very long name of something", 60) == "a very lo…"


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_the_docs_have_a_picture_of_it_as_it_is_now(name: str) -> None:
    picture = Path(ROOT / "docs/dashboards" / f"{name}.svg")
    assert f"](dashboards/{name}.svg)" in PAGE.read_text()
    assert picture.stat().st_size < 150_000
    shown = {element.text or "" for element in ElementTree.fromstring(picture.read_text()).iter() if element.text}
    for one in DASHBOARDS[name]["panels"]:
        cut = re.escape(one["title"][:8])
        assert any(re.search(cut, text) for text in shown), f"no {one['title']}: make pictures"
    assert "No data" not in shown, "a panel without data"
