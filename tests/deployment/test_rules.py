"""Rules: real names, alerts that fire when they should, and pages that say what to do."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployment.exported_metrics import METRICS, assert_real
from tests.deployment.test_chart import CHART, NAMESPACE, ci, rendered, run
from tests.processes import ROOT

OPERATIONS = (ROOT / "docs/operations.md").read_text()


@functools.cache
def rules() -> dict[str, Any]:
    """The rule file, as the Prometheus operator hands it to Prometheus."""
    (rule,) = (item for item in rendered(ci("monitoring")) if item["kind"] == "PrometheusRule")
    spec: dict[str, Any] = rule["spec"]
    return spec


def alerts() -> list[dict[str, Any]]:
    return [rule for group in rules()["groups"] for rule in group["rules"] if "alert" in rule]


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
    named = _values((ROOT / page).read_text()) - {"redis.conf", "tracing.md"}  # files
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
