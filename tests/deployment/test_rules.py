"""Rules: real names, alerts that fire when they should, and pages that say what to do."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubetriage.retrieval.searcher import bundled_folder
from tests.deployment.alert_cases import CASES, QUIET, http
from tests.deployment.exported_metrics import assert_real
from tests.deployment.test_chart import CHART, NAMESPACE, ci, find_tool, rendered, run
from tests.processes import ROOT

OPERATIONS = (ROOT / "docs/operations.md").read_text()
PLAIN = ROOT / "deploy/prometheus/rules.yaml"
# Of our own alerts, with the names that they serve.
RUNBOOKS: dict[str, list[str]] = {
    path.name: yaml.safe_load(path.read_text().split("---\n")[1])["alerts"]
    for path in sorted(bundled_folder().glob("kubetriage-*.md"))
}


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
    """That a search for its name finds this runbook first is a test of the bundled runbooks."""
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["labels"]["team"] == "platform", "monitoring.prometheusRule.alertLabels"
        assert alert["for"]
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        folder, _, name = alert["annotations"]["runbook_url"].rpartition("/")
        assert folder.endswith("/runbooks")
        assert alert["alert"] in RUNBOOKS[name], f"runbooks/{name} does not serve {alert['alert']}"
        assert re.search(rf"^\| {alert['alert']} \|.*\]\(\.\./runbooks/{name}\)", OPERATIONS, re.MULTILINE)
    assert {name for served in RUNBOOKS.values() for name in served} == {alert["alert"] for alert in alerts()}


def test_links_of_the_pages_lead_somewhere() -> None:
    for page in ("operations.md", "deployment.md", "logging.md"):
        text = (ROOT / "docs" / page).read_text()
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / "docs" / target).exists(), f"{page}: {target}"


def _values(text: str) -> set[str]:
    """Chart values that a page names: `gateway.limits.ask`, `firstUser.enabled=false`."""
    sections = "|".join(yaml.safe_load((CHART / "values.yaml").read_text()))
    return set(re.findall(rf"(?<![\w/.-])((?:{sections})(?:\.[A-Za-z]+)+)(?![\w-]|\.\w)", text))


PAGES = ["docs/operations.md", "docs/deployment.md", *(f"runbooks/{name}" for name in RUNBOOKS)]


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_values_that_exist(page: str) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = _values((ROOT / page).read_text()) - {"redis.conf", "tracing.md"}  # files
    assert named or page.endswith("kubetriage-errors.md"), "it names none"
    for path in named:
        place: Any = values
        for name in path.split("."):
            assert name in place, f"{page}: {path}"
            place = place[name]


@pytest.fixture
def rule_file(tmp_path: Path) -> Path:
    """The rules as the chart hands them to the operator."""
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rules(), sort_keys=False))
    return path


def test_the_plain_file_is_what_the_chart_says() -> None:
    helm = Path(find_tool("helm")).parent
    done = subprocess.run(
        [sys.executable, ROOT / "helm/rules.py", "--check"],
        env={**os.environ, "PATH": f"{helm}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}make rules"


def test_the_plain_file_does_without_namespaces(tmp_path: Path) -> None:
    """As where a Prometheus scrapes addresses and gives its targets no labels."""
    bare = [
        {**one, "series": one["series"].replace(f'namespace="{NAMESPACE}", ', "")}
        for one in CASES["a fifth fails, then no more"][0]
    ]
    expected = {"expr": "count(ALERTS)", "eval_time": "60m", "exp_samples": [{"labels": "{}", "value": 4}]}
    promtool_tests(tmp_path, PLAIN, [{"interval": "1m", "input_series": bare, "promql_expr_test": [expected]}])


def test_promtool_takes_the_rules(rule_file: Path) -> None:
    done = run("promtool", "check", "rules", rule_file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(len(group['rules']) for group in rules()['groups'])} rules found" in done.stdout


def promtool_tests(directory: Path, rule_file: Path, tests: list[dict[str, Any]]) -> None:
    """promtool runs these tests of the rules."""
    path = directory / "tests.yaml"
    content = {"rule_files": [str(rule_file)], "evaluation_interval": "1m", "tests": tests}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(rule_file: Path, tmp_path: Path) -> None:
    def check(minute: int, firing: set[str]) -> dict[str, Any]:
        return {
            "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)],
        }

    tests = [
        {
            "interval": "1m",
            "name": case,
            "input_series": happens,
            "promql_expr_test": [check(minute, firing) for minute, firing in expected.items()],
        }
        for case, (happens, expected) in CASES.items()
    ]
    promtool_tests(tmp_path, rule_file, tests)


def test_alerts_are_silent_when_it_only_comes_near(rule_file: Path, tmp_path: Path) -> None:
    tests = [
        {
            "interval": "1m",
            "name": name,
            "input_series": happens,
            "promql_expr_test": [
                {"expr": f'ALERTS{{alertname="{name}", alertstate="firing"}}', "eval_time": f"{minute}m"}
                for minute in minutes
            ],
        }
        for name, (happens, minutes) in QUIET.items()
    ]
    promtool_tests(tmp_path, rule_file, tests)


def test_every_alert_has_a_case_that_fires() -> None:
    fired = {name for _, expected in CASES.values() for firing in expected.values() for name in firing}
    assert fired == {alert["alert"] for alert in alerts()}


def test_every_alert_has_a_near_miss_in_its_own_metrics() -> None:
    recorded = {
        rule["record"]: rule["expr"] for group in rules()["groups"] for rule in group["rules"] if "record" in rule
    }
    assert set(QUIET) == {alert["alert"] for alert in alerts()}
    for alert in alerts():
        asked = re.sub(r"kubetriage:[\w:]+", lambda found: recorded[found[0]], alert["expr"])
        metrics = {one["series"].partition("{")[0] for one in QUIET[alert["alert"]][0]}
        assert metrics == set(re.findall(r"\bkubetriage_\w+", asked)), alert["alert"]


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
    expected = {
        "exp_labels": {**alert["labels"], "namespace": NAMESPACE},
        "exp_annotations": {
            "summary": "Many requests to Kubetriage fail",
            "description": "50% of the requests of the last 5 minutes in namespace triage ended with a 5xx.",
            "runbook_url": alert["annotations"]["runbook_url"],
        },
    }
    test = {
        "interval": "1m",
        "input_series": [http("200", "0+50x60"), http("502", "0+50x60")],
        "alert_rule_test": [{"eval_time": "30m", "alertname": alert["alert"], "exp_alerts": [expected]}],
    }
    promtool_tests(tmp_path, rule_file, [test])
