"""Dashboards and rules: real names, queries that a real Prometheus answers, alerts that fire when they should."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from agent_service.metrics import Metrics as AgentMetrics
from gateway.metrics import Metrics as GatewayMetrics
from rag_ingest.metrics import Metrics as IngestMetrics
from tests.deployment.test_chart import CHART, NAMESPACE, ci, find_tool, rendered, run
from tests.processes import ROOT, free_port

METRICS: dict[str, type[Any]] = {"gateway": GatewayMetrics, "agent": AgentMetrics, "ingest": IngestMetrics}
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(CHART.glob("dashboards/*.json"))
}
# Given by Prometheus when it scrapes.
TARGET_LABELS = {"namespace", "job", "instance", "pod"}
OPERATIONS = (ROOT / "docs/operations.md").read_text()

every_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


def registries() -> dict[str, CollectorRegistry]:
    return {service: made().registry for service, made in METRICS.items()}


@functools.cache
def exported() -> dict[str, set[str]]:
    """Every series name that a service exports, with its labels."""
    found: dict[str, set[str]] = {}
    for registry in registries().values():
        for family in registry.collect():
            collector = registry._names_to_collectors.get(family.name)
            labels = set(collector._labelnames) if isinstance(collector, MetricWrapperBase) else set()
            if family.type == "counter":
                found[f"{family.name}_total"] = labels
            elif family.type == "histogram":
                found[f"{family.name}_bucket"] = labels | {"le"}
                found |= {f"{family.name}_sum": labels, f"{family.name}_count": labels}
            else:
                found[family.name] = labels
            found |= {sample.name: labels | set(sample.labels) for sample in family.samples if sample.name not in found}
    return found


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]


def queries(name: str) -> list[tuple[str, str]]:
    """(panel's title, query), annotations included."""
    board = DASHBOARDS[name]
    found = [(panel["title"], target["expr"]) for panel in panels(name) for target in panel["targets"]]
    return found + [(item["name"], item["expr"]) for item in board["annotations"]["list"]]


@functools.cache
def rules() -> dict[str, Any]:
    """The rule file, as the Prometheus operator hands it to Prometheus."""
    (rule,) = (item for item in rendered(ci("monitoring")) if item["kind"] == "PrometheusRule")
    spec: dict[str, Any] = rule["spec"]
    return spec


def alerts() -> list[dict[str, Any]]:
    return [rule for group in rules()["groups"] for rule in group["rules"] if "alert" in rule]


def assert_real(expression: str, recorded: frozenset[str] = frozenset()) -> None:
    """Every metric exists, and every label that is matched or summed by is one of its labels."""
    known = exported()
    names = set(re.findall(r"\b(?:kubetriage|process)[a-z0-9_:]+\b", re.sub(r'"[^"]*"', '""', expression)))
    names -= {"kubetriage_"}
    assert names, expression
    assert names - recorded <= set(known), f"{names - recorded - set(known)} in {expression}"
    for metric, matchers in re.findall(r"\b((?:kubetriage|process)_[a-z0-9_]+)\{([^}]*)\}", expression):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers))
        assert labels <= known[metric] | TARGET_LABELS, f"{labels} of {metric}"
    by = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}
    reachable = TARGET_LABELS.union(*(known.get(name, set()) for name in names))
    assert by <= reachable, f"{by} in {expression}"


# Dashboards


def test_both_are_there_and_the_chart_ships_them() -> None:
    assert set(DASHBOARDS) == {"kubetriage-overview", "kubetriage-agent"}
    shipped = {
        name: json.loads(content)
        for item in rendered(ci("monitoring"))
        if item["kind"] == "ConfigMap" and item["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, content in item["data"].items()
    }
    assert shipped == {f"{name}.json": board for name, board in DASHBOARDS.items()}


@every_dashboard
def test_it_keeps_the_rules_of_grafanas_linter(name: str) -> None:
    board = DASHBOARDS[name]
    assert board["uid"] == name
    assert board["schemaVersion"] >= 39
    assert board["editable"] is False
    variables = {item["name"]: item for item in board["templating"]["list"]}
    assert variables["datasource"] | {"type": "datasource", "query": "prometheus"} == variables["datasource"]
    assert variables["datasource"]["label"] == "Data source"
    for variable in ("job", "instance"):
        item = variables[variable]
        assert item["label"] == variable.capitalize()
        assert item["multi"] is item["includeAll"] is True
        assert item["allValue"] == ".+"
        assert item["refresh"] == 2
    for panel in panels(name):
        where = panel["title"]
        assert panel["title"], panel["id"]
        assert panel["description"], where
        assert panel["datasource"]["uid"] == "${datasource}", where
        assert panel["fieldConfig"]["defaults"]["unit"], where
        assert panel["targets"], where
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            expression = target["expr"]
            assert target["datasource"]["uid"] == "${datasource}"
            for metric, matchers in re.findall(r"\b((?:kubetriage|process)_[a-z0-9_]+)\{([^}]*)\}", expression):
                assert 'job=~"$job"' in matchers, where
                assert 'instance=~"$instance"' in matchers, where
                if metric.endswith(("_total", "_bucket")):
                    assert re.search(rf"(rate|increase)\({metric}\{{", expression), f"{where}: a counter as it is"
            windows = re.findall(r"\[(.*?)\]", re.sub(r'"[^"]*"', '""', expression))
            assert set(windows) <= {"$__rate_interval", "$__range"}, where
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


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
        assert place["x"] + place["w"] <= 24
        taken |= cells


@every_dashboard
def test_dashboards_use_only_what_is_exported(name: str) -> None:
    for _, expression in queries(name):
        assert_real(expression)


def test_every_metric_of_ours_is_on_a_dashboard() -> None:
    shown = " ".join(expression for name in DASHBOARDS for _, expression in queries(name))
    for metric in exported():
        if metric.startswith("kubetriage_") and not metric.endswith(("_sum", "_count", "_created")):
            assert re.search(rf"\b{metric}\b", shown), metric


# What a label may hold here; the first value is enough for the others.
DOMAINS = {
    "method": ("POST",),
    "route": ("/v1/ask", "/v1/diagnose"),
    "status": ("200", "404", "503", "ok", "error"),
    "outcome": ("ok", "error", "completed", "degraded", "fault_found"),
    "decision": ("admitted", "refused"),
    "engine": ("redis", "local"),
}


def drive(registry: CollectorRegistry) -> None:
    """Something happens: every counter rises, every histogram sees a value."""
    for collector in set(registry._names_to_collectors.values()):
        if not isinstance(collector, MetricWrapperBase) or "version" in collector._labelnames:
            continue
        children: list[Any] = [{}]
        for label in collector._labelnames:
            children = [{**child, label: value} for child in children for value in DOMAINS.get(label, ("one", "two"))]
        for child in children:
            one: Any = collector.labels(**child) if child else collector
            if isinstance(collector, Counter):
                one.inc()
            elif isinstance(collector, Histogram):
                one.observe(0.2)
            elif isinstance(collector, Gauge):
                one.set(time.time() if "timestamp" in collector._name else 1)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Prometheus that has scraped the three services' metrics for some seconds."""
    program = find_tool("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    made = registries()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry = made[self.path.strip("/")]
            drive(registry)
            body = generate_latest(registry)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    labels = {"namespace": NAMESPACE}
    target = f"127.0.0.1:{server.server_address[1]}"
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": service,
                "metrics_path": f"/{service}",
                "static_configs": [{"targets": [target], "labels": labels}],
            }
            for service in made
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    process = subprocess.Popen(
        [
            *(program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"),
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                # Two scrapes at least: a rate needs them.
                counted = ask(url, "min(count_over_time(kubetriage_ingest_runs_total[1m]))")
                if counted and float(counted[0]["value"][1]) >= 4:
                    break
            time.sleep(0.3)
        else:
            pytest.fail("Prometheus has scraped nothing in a minute")
        yield url
    finally:
        process.terminate()
        process.wait(20)
        server.shutdown()
        server.server_close()


def ask(url: str, expression: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=10) as answer:
        result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return result


@every_dashboard
def test_every_panel_shows_something(name: str, prometheus: str) -> None:
    board = DASHBOARDS[name]
    everything = {item["name"]: item["allValue"] for item in board["templating"]["list"] if "allValue" in item}
    values = {"__rate_interval": "30s", "__range": "1m", **everything}
    empty, wrong = [], []
    annotations = {item["name"] for item in board["annotations"]["list"]}
    for title, expression in queries(name):
        asked = re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)
        result = ask(prometheus, asked)
        if not result and title not in annotations:  # nothing has restarted
            empty.append(f"{title}: {asked}")
        wrong += [f"{title}: {asked}" for item in result if item["value"][1] == "NaN"]
    assert not empty
    assert not wrong


@every_dashboard
def test_the_variables_have_values(name: str, prometheus: str) -> None:
    for item in DASHBOARDS[name]["templating"]["list"]:
        if item["type"] != "query":
            continue
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", item["definition"]).groups()  # type: ignore[union-attr]
        selector = re.sub(r"\$\w+", ".+", selector)
        assert {series["metric"][label] for series in ask(prometheus, selector)}, item["name"]


# Rules


def test_rules_use_only_what_is_exported() -> None:
    recorded = frozenset(rule["record"] for group in rules()["groups"] for rule in group["rules"] if "record" in rule)
    for group in rules()["groups"]:
        for rule in group["rules"]:
            assert_real(rule["expr"], recorded)
    used = " ".join(alert["expr"] for alert in alerts())
    assert all(name in used for name in recorded), "recorded for nothing"


def test_every_alert_says_what_it_is_and_where_to_read_on() -> None:
    sections = re.findall(r"^## (\w+)$", OPERATIONS, re.MULTILINE)
    for alert in alerts():
        name = alert["alert"]
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["labels"]["team"] == "platform", "monitoring.prometheusRule.alertLabels"
        assert alert["for"]
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page.endswith("docs/operations.md")
        assert anchor == name.lower()
        assert name in sections, f"docs/operations.md has no section {name}"
        assert f"| [{name}](#{anchor}) |" in OPERATIONS
    names = {alert["alert"] for alert in alerts()}
    assert {section for section in sections if section.startswith("Kubetriage")} == names


def test_links_of_the_runbooks_lead_somewhere() -> None:
    anchors = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)}
    for target in re.findall(r"\]\(#([\w-]+)\)", OPERATIONS):
        assert target in anchors, target
    for page in ("operations.md", "deployment.md"):
        text = (ROOT / "docs" / page).read_text()
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / "docs" / target).exists(), f"{page}: {target}"


def _values(text: str) -> set[str]:
    """Chart values that a page names: `gateway.limits.ask`, `firstUser.enabled=false`."""
    sections = "|".join(yaml.safe_load((CHART / "values.yaml").read_text()))
    return set(re.findall(rf"(?<![\w/.-])((?:{sections})(?:\.[A-Za-z]+)+)(?![\w-]|\.\w)", text))


@pytest.mark.parametrize("page", ["docs/operations.md", "docs/deployment.md"])
def test_pages_name_values_that_exist(page: str) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = _values((ROOT / page).read_text()) - {"redis.conf"}
    assert named
    for path in named:
        place: Any = values
        for name in path.split("."):
            assert name in place, f"{page}: {path}"
            place = place[name]


@pytest.fixture
def rule_file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rules(), sort_keys=False))
    return path


def test_promtool_takes_the_rules(rule_file: Path) -> None:
    done = run("promtool", "check", "rules", rule_file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(len(group['rules']) for group in rules()['groups'])} rules found" in done.stdout


def _series(name: str, values: str, **labels: str) -> dict[str, str]:
    inside = ", ".join(f'{key}="{value}"' for key, value in {"namespace": NAMESPACE, **labels}.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


_UP = [_series(f"kubetriage_{service}_build_info", "1x600", pod="p") for service in METRICS]
_HTTP = "kubetriage_gateway_http_requests_total"
_RUNS = "kubetriage_agent_runs_total"
_ASK = {"method": "POST", "route": "/v1/ask"}
_STAMP = "kubetriage_ingest_last_success_timestamp_seconds"
_BUCKET = "kubetriage_agent_run_duration_seconds_bucket"


def _http(status: str, values: str, **labels: str) -> dict[str, str]:
    return _series(_HTTP, values, **{**_ASK, "status": status, **labels})


# (what happens, a sample a minute; minutes after which these alerts fire and no others)
CASES: dict[str, tuple[list[dict[str, str]], dict[int, set[str]]]] = {
    "all is well": (
        [
            *_UP,
            _http("200", "0+60x600"),
            _http("422", "0+60x600"),
            _series(_RUNS, "0+60x600", outcome="completed"),
            _series(_STAMP, "0+60x600", pod="i"),
            _series(_BUCKET, "0+60x600", le="5"),
            _series(_BUCKET, "0+60x600", le="30"),
            _series(_BUCKET, "0+60x600", le="+Inf"),
            _series("kubetriage_gateway_store_failures_total", "0x600"),
            _series("kubetriage_agent_memory_failures_total", "0x600"),
            _series("kubetriage_agent_runs_active", "3x600", pod="a"),
        ],
        {10: set(), 300: set()},
    ),
    "nobody asks": ([*_UP, _http("200", "7x600"), _series(_RUNS, "5x600", outcome="degraded")], {300: set()}),
    "everything is gone after ten minutes": (
        [_series(f"kubetriage_{service}_build_info", "1x10 stale", pod="p") for service in METRICS],
        {
            10: set(),
            14: set(),
            17: {"KubetriageGatewayDown", "KubetriageAgentDown"},
            30: {"KubetriageGatewayDown", "KubetriageAgentDown", "KubetriageIngestDown"},
        },
    ),
    "one of two gateways is gone": (
        [*_UP, _series("kubetriage_gateway_build_info", "1x5 stale", pod="q")],
        {60: set()},
    ),
    "a fifth fails, then no more": (
        [*_UP, _http("200", "0+54x600"), _http("502", "0x30 13+13x30 403x600")],
        {
            25: set(),
            60: {"KubetriageHighErrorRate", "KubetriageErrorBudgetBurn"},
            130: {"KubetriageErrorBudgetBurn"},  # the slow windows still remember
        },
    ),
    "probes and scrapes fail": (
        [*_UP, _http("200", "0+60x600"), _http("503", "0+60x600", route="/readyz")],
        {60: set()},
    ),
    "a hundredth fails for hours: slow, and only a warning": (
        [*_UP, _http("200", "0+99x600"), _http("502", "0+1x600")],
        {30: set(), 300: {"KubetriageErrorBudgetBurn"}},
    ),
    "questions take a minute": (
        [
            *_UP,
            _series(_BUCKET, "0+1x600", le="30"),
            _series(_BUCKET, "0+10x600", le="60"),
            _series(_BUCKET, "0+10x600", le="+Inf"),
        ],
        {5: set(), 30: {"KubetriageSlowAnswers"}},
    ),
    "redis goes away": (
        [*_UP, _series("kubetriage_gateway_store_failures_total", "0x20 1+30x600", pod="p")],
        {20: set(), 30: {"KubetriageMemoryFailing"}},
    ),
    "one redis call times out": (
        [*_UP, _series("kubetriage_agent_memory_failures_total", "0x20 1x600", pod="p")],
        {22: set(), 25: set(), 30: set()},
    ),
    "chroma goes away": (
        [*_UP, _series(_RUNS, "0+5x600", outcome="completed"), _series(_RUNS, "0x20 5+5x600", outcome="degraded")],
        {20: set(), 60: {"KubetriageDegradedAnswers"}},
    ),
    "an agent is full": (
        [*_UP, _series("kubetriage_agent_runs_active", "60x600", pod="a")],
        {3: set(), 10: {"KubetriageSaturated"}},
    ),
    "the ingest works no more": (
        [*_UP, _series(_STAMP, "0+60x10 600x600", pod="i")],
        {20: set(), 40: {"KubetriageIngestStale"}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_alerts_fire_when_they_should_and_only_then(case: str, rule_file: Path, tmp_path: Path) -> None:
    happens, expected = CASES[case]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for alert in alerts():
        by_name.setdefault(alert["alert"], []).append(alert)
    checks = [
        {
            "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)],
        }
        for minute, firing in expected.items()
    ]
    for firing in expected.values():
        assert firing <= set(by_name)
    test = {
        "rule_files": [str(rule_file)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "name": case, "input_series": happens, "promql_expr_test": checks}],
    }
    path = tmp_path / "case.yaml"
    path.write_text(yaml.safe_dump(test, sort_keys=False))
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_that_fires() -> None:
    fired = {name for _, expected in CASES.values() for firing in expected.values() for name in firing}
    assert fired == {alert["alert"] for alert in alerts()}


def test_the_slow_leak_is_a_warning_and_the_fast_one_is_critical() -> None:
    burning = [alert for alert in alerts() if alert["alert"] == "KubetriageErrorBudgetBurn"]
    assert {alert["labels"]["window"]: alert["labels"]["severity"] for alert in burning} == {
        "1h": "critical",
        "6h": "critical",
        "3d": "warning",
    }


def test_texts_of_alerts_can_be_rendered(rule_file: Path, tmp_path: Path) -> None:
    """promtool renders the annotations of an alert that is expected in full."""
    (alert,) = (item for item in alerts() if item["alert"] == "KubetriageHighErrorRate")
    url = alert["annotations"]["runbook_url"]
    test = {
        "rule_files": [str(rule_file)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [_http("200", "0+50x60"), _http("502", "0+50x60")],
                "alert_rule_test": [
                    {
                        "eval_time": "30m",
                        "alertname": "KubetriageHighErrorRate",
                        "exp_alerts": [
                            {
                                "exp_labels": {**alert["labels"], "namespace": NAMESPACE},
                                "exp_annotations": {
                                    "summary": "Many requests to Kubetriage fail",
                                    "description": "50% of the requests of the last 5 minutes in namespace triage "
                                    "ended with a 5xx.",
                                    "runbook_url": url,
                                },
                            }
                        ],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "case.yaml"
    path.write_text(yaml.safe_dump(test))
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
