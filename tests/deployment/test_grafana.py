"""The dashboards: the rules of Grafana's linter, real names, and queries that a real Prometheus answers from the
real services."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.deployment.exported_metrics import assert_real, exported
from tests.deployment.observed.load import Users
from tests.deployment.observed.product import Product, running
from tests.deployment.test_chart import CHART, ci, find_tool, rendered
from tests.processes import ROOT

FOLDER = ROOT / "deploy/grafana/dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
# Of Grafana's units those that we use; the linter wants a known one.
UNITS = {"short", "s", "reqps", "ops", "bytes", "percentunit"}
# An objective has windows of its own, whatever the dashboard's time range.
OBJECTIVE_WINDOWS = {"30d", "1h", "6h", "3d"}

every_dashboard = pytest.mark.parametrize("name", sorted(DASHBOARDS))


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]


def queries(name: str) -> list[tuple[str, str]]:
    """(panel's title, query), annotations included."""
    board = DASHBOARDS[name]
    found = [(panel["title"], target["expr"]) for panel in panels(name) for target in panel["targets"]]
    return found + [(item["name"], item["expr"]) for item in board["annotations"]["list"]]


def variables(name: str) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in DASHBOARDS[name]["templating"]["list"]}


def shipped(values: Path) -> dict[str, str]:
    """The dashboards as the chart hands them to Grafana's sidecar."""
    return {
        name: content
        for item in rendered(values)
        if item["kind"] == "ConfigMap" and item["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, content in item["data"].items()
    }


def test_they_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.grafana", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stderr}make dashboards"
    assert set(DASHBOARDS) == {
        f"kubetriage-{name}"
        for name in ("overview", "gateway", "agent", "models", "retrieval", "diagnosed", "stores", "work")
    }


def test_the_chart_ships_the_same() -> None:
    assert {name: json.loads(content) for name, content in shipped(ci("monitoring")).items()} == {
        f"{name}.json": board for name, board in DASHBOARDS.items()
    }


def test_the_objective_is_that_of_the_chart(tmp_path: Path) -> None:
    """The alerts and the dashboards must not speak of two objectives."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    objective = variables("kubetriage-overview")["objective"]
    assert objective["query"] == str(values["monitoring"]["prometheusRule"]["availabilityObjective"])
    stricter = yaml.safe_load(ci("monitoring").read_text())
    stricter["monitoring"]["prometheusRule"]["availabilityObjective"] = 0.999
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(stricter))
    changed = json.loads(shipped(path)["kubetriage-overview.json"])
    (found,) = (item for item in changed["templating"]["list"] if item["name"] == "objective")
    assert (found["query"], found["current"]["value"]) == ("0.999", "0.999")


@every_dashboard
def test_variables_are_as_grafanas_linter_wants_them(name: str) -> None:
    board, known = DASHBOARDS[name], variables(name)
    assert (board["uid"], board["editable"]) == (name, False)
    assert board["schemaVersion"] >= 39
    datasource = known["datasource"]
    assert (datasource["type"], datasource["query"], datasource["label"]) == ("datasource", "prometheus", "Data source")
    for variable, everything in (("namespace", ".*"), ("job", ".+"), ("instance", ".+")):
        item = known[variable]
        assert (item["type"], item["label"]) == ("query", variable.capitalize())
        assert item["datasource"]["uid"] == "${datasource}"
        assert (item["multi"], item["includeAll"], item["allValue"]) == (True, True, everything)
        assert item["refresh"] == 2, "when the time range changes"


@every_dashboard
def test_panels_are_as_grafanas_linter_wants_them(name: str) -> None:
    for panel in panels(name):
        where = panel["title"]
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), where
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, where
        assert panel["targets"], where
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    numbers = [panel["id"] for panel in DASHBOARDS[name]["panels"]]
    assert len(set(numbers)) == len(numbers)


@every_dashboard
def test_queries_are_as_grafanas_linter_wants_them(name: str) -> None:
    for where, expression in (
        (panel["title"], target["expr"]) for panel in panels(name) for target in panel["targets"]
    ):
        unquoted = re.sub(r'"[^"]*"', '""', expression)
        selected = re.findall(r"\b((?:kubetriage|process)_[a-z0-9_]+)(\{[^}]*\})?", expression)
        assert selected, where
        for metric, matchers in selected:
            assert 'job=~"$job"' in matchers, where
            assert 'instance=~"$instance"' in matchers, where
            if metric.endswith(("_total", "_bucket", "_sum", "_count")):
                assert re.search(rf"\b(rate|increase)\({metric}\{{", expression), f"{where}: a counter as it is"
        # Grafana's own: what a scrape's interval and the range at the top make of them.
        others = set(re.findall(r"\[(.*?)\]", unquoted)) - {"$__rate_interval", "$__range"}
        assert others <= (OBJECTIVE_WINDOWS if name == "kubetriage-overview" else set()), where


@every_dashboard
def test_panels_fill_the_grid_and_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert taken == {(x, y) for x in range(24) for y in range(height)}


@every_dashboard
def test_dashboards_use_only_what_is_exported(name: str) -> None:
    for _, expression in queries(name):
        assert_real(expression)


def test_every_metric_of_ours_is_on_a_dashboard() -> None:
    shown = " ".join(expression for name in DASHBOARDS for _, expression in queries(name))
    for metric in exported():
        if metric.startswith("kubetriage_") and not metric.endswith(("_sum", "_count", "_created")):
            assert re.search(rf"\b{metric}\b", shown), metric


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The real services, after everything has happened to them that a panel shows."""
    directory = tmp_path_factory.mktemp("observed")
    runbooks = directory / "runbooks"
    runbooks.mkdir()
    for book in ("oom-killed.md", "image-pull.md"):  # embedding all of them takes longer than the rest of the test
        shutil.copy(ROOT / "runbooks" / book, runbooks)
    with running(directory, runbooks, find_tool("prometheus"), scrape="1s", limit_ask="20/minute") as found:
        asyncio.run(everything_happens_twice(found))
        yield found


async def everything_happens_twice(product: Product) -> None:
    """A rate is the difference of two scrapes."""
    async with aiohttp.ClientSession() as http:
        users = Users(product, http)
        await users.begin()
        for _ in range(2):
            await users.investigate()
            await users.diagnose()
            await users.work()
            await users.search("container was OOMKilled", "image cannot be pulled")
            await users.blunder()
            await users.without_model()
            await users.without_chroma()
            await users.without_redis()
            await users.hurry(45)  # more than twice the limit: a new minute may begin in the middle
            await users.probe()
            await asyncio.to_thread(product.wait_for_scrapes, 1)


@every_dashboard
def test_every_panel_shows_something(name: str, product: Product) -> None:
    values = {"__rate_interval": "1m", "__range": "1m"}
    values |= {name: item.get("allValue") or item.get("query", "") for name, item in variables(name).items()}
    annotations = {item["name"] for item in DASHBOARDS[name]["annotations"]["list"]}
    empty = []
    for title, expression in queries(name):
        asked = re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)
        shown = [item for item in product.query(asked) if item["value"][1] != "NaN"]
        if not shown and title not in annotations:  # nothing has restarted
            empty.append(f"{title}: {asked}")
    assert not empty


@every_dashboard
def test_the_variables_have_values(name: str, product: Product) -> None:
    for variable in ("namespace", "job", "instance"):
        asked = variables(name)[variable]["query"]["query"]
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", asked).groups()  # type: ignore[union-attr]
        assert label == variable
        assert {series["metric"][label] for series in product.query(re.sub(r"\$\w+", ".+", selector))}, variable
