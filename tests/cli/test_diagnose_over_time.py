"""Baselines, mutes and own rules as a person runs them, on the bundled sample cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubetriage.contracts.diagnosis import Diagnosis, Outcome

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "shop.tar.gz"
GUIDE = ROOT / "docs" / "own-rules.md"
TODAY = datetime.now(UTC).date()
BROKEN_PLUGIN = "from acme import nothing\n"


def kubetriage(where: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from kubetriage.cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=where,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def diagnose(where: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return kubetriage(where, "diagnose", "--bundle", str(SAMPLE), *arguments, **environment)


def statuses(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str | None]]:
    assert done.returncode == 0, done.stderr
    found = Diagnosis.model_validate_json(done.stdout)
    return [(entry.root_cause.cause, entry.status) for entry in found.incidents]


def without(path: Path, cause: str) -> None:
    """Rewrites a baseline as if ``cause`` had not been there."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    document["incidents"] = [entry for entry in document["incidents"] if entry["root_cause"]["cause"] != cause]
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The guide's check, about every workload of the shop."""
    found = re.search(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "team.yaml").write_text(found[1], encoding="utf-8")
    return folder


@pytest.fixture
def mutes(tmp_path: Path) -> Path:
    path = tmp_path / ".kubetriage-mutes.yaml"
    entry = {"cause": "image_not_found", "object": "cronjob/night*", "reason": "OPS-412"}
    path.write_text(json.dumps({"mutes": [{**entry, "until": "UNTIL"}]}).replace('"UNTIL"', str(TODAY + timedelta(7))))
    return path


def test_first_everything_is_new_then_it_goes_on(tmp_path: Path) -> None:
    arguments = ("--baseline", "last.json", "--update-baseline", "-o", "json")
    assert statuses(diagnose(tmp_path, *arguments)) == [("oom_killed", "new"), ("image_not_found", "new")]
    assert statuses(diagnose(tmp_path, *arguments)) == [("oom_killed", "ongoing"), ("image_not_found", "ongoing")]
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.json"]


def test_without_update_the_baseline_stays(tmp_path: Path) -> None:
    assert diagnose(tmp_path, "--baseline", "last.json").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_text_and_markdown_say_new_ongoing_and_resolved(tmp_path: Path) -> None:
    baseline = tmp_path / "last.json"
    diagnose(tmp_path, "--baseline", "last.json", "--update-baseline")
    without(baseline, "oom_killed")
    document = json.loads(baseline.read_text(encoding="utf-8"))
    gone = json.loads(json.dumps(document["incidents"][0]).replace("nightly", "weekly"))
    document["incidents"].append({**gone, "id": "other"})
    baseline.write_text(json.dumps(document), encoding="utf-8")
    text = diagnose(tmp_path, "--baseline", "last.json").stdout
    assert re.search(r"^checkout fails because payments is OOMKilled +new, confidence", text)
    assert re.search(r"Incident 2: cronjob/nightly cannot start: .* ongoing, confidence", text)
    assert re.search(r"^Resolved: cronjob/weekly cannot start: .*\[reports/cronjob/weekly\]$", text, re.MULTILINE)
    markdown = diagnose(tmp_path, "--baseline", "last.json", "-o", "markdown").stdout
    assert "**critical**, new, confidence" in markdown
    assert "ongoing, confidence" in markdown
    assert "## Resolved\n\n- cronjob/weekly" in markdown


def test_resolved_incidents_do_not_count_for_the_exit_code(tmp_path: Path) -> None:
    diagnose(tmp_path, "--baseline", "last.json", "--update-baseline")
    done = diagnose(tmp_path, "-n", "data", "--baseline", "last.json", "--exit-code", "7")
    assert done.returncode == 0
    assert done.stdout.startswith("no fault found in namespace data")
    assert "Not seen, may go on: checkout fails" in done.stdout


@pytest.mark.parametrize("content", ["", "{", "[]", '{"outcome": "fault_found"}', "\x00"])
def test_a_damaged_baseline_is_one_line_and_exit_2(tmp_path: Path, content: str) -> None:
    (tmp_path / "last.json").write_text(content)
    done = diagnose(tmp_path, "--baseline", "last.json", "--update-baseline")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "baseline last.json is not what -o json writes" in done.stderr
    assert (tmp_path / "last.json").read_text() == content


def test_update_without_a_baseline_is_wrong_usage(tmp_path: Path) -> None:
    assert diagnose(tmp_path, "--update-baseline").returncode == 2


def test_the_default_mutes_are_used_and_told(tmp_path: Path, mutes: Path) -> None:
    done = diagnose(tmp_path, "-n", "reports", "--exit-code", "7")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("no fault found in namespace reports besides 1 muted incident")
    assert f"Muted until {TODAY + timedelta(7)}: cronjob/nightly" in done.stdout
    assert "OPS-412" in done.stdout
    assert "## Muted" in diagnose(tmp_path, "-o", "markdown").stdout


def test_a_muted_incident_goes_on_when_the_mute_ends(tmp_path: Path, mutes: Path) -> None:
    arguments = ("--baseline", "last.json", "--update-baseline", "-o", "json")
    assert statuses(diagnose(tmp_path, *arguments)) == [("oom_killed", "new")]
    mutes.write_text(mutes.read_text().replace(str(TODAY + timedelta(7)), str(TODAY - timedelta(1))))
    ended = diagnose(tmp_path, *arguments)
    assert statuses(ended) == [("oom_killed", "ongoing"), ("image_not_found", "ongoing")]
    assert ended.stderr.count("\n") == 1
    assert f"ended on {TODAY - timedelta(1)} and mutes nothing" in ended.stderr


def test_wrong_mutes_are_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("mutes:\n- cause: oom_kill\n  reason: x\n  until: 2026-12-01\n")
    done = diagnose(tmp_path, "--mutes", "m.yaml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "m.yaml: line 2: no cause 'oom_kill'; did you mean oom_killed" in done.stderr


def test_own_rules_are_listed_tested_explained_and_run(tmp_path: Path, rules: Path) -> None:
    listed = kubetriage(tmp_path, "rules", "list", "--rules", "rules").stdout
    assert re.search(r"^\d+ built-in rules for \d+ causes", listed)
    assert "acme_missing_team_label" in listed
    tested = kubetriage(tmp_path, "rules", "test", "--rules", "rules")
    assert (tested.returncode, tested.stdout.count("pass  ")) == (0, 3)
    explained = kubetriage(tmp_path, "explain", "acme_missing_team_label", KUBETRIAGE_RULES="rules").stdout
    assert "Fix:      Label <name> with the team" in explained
    assert "Runbook:  https://wiki.acme.example/runbooks/team-label" in explained
    assert "Workload names no team (own)" in kubetriage(tmp_path, "explain", "--rules", "rules").stdout
    found = Diagnosis.model_validate_json(diagnose(tmp_path, "--rules", "rules", "-o", "json").stdout)
    assert found.own_causes == ("acme_missing_team_label",)
    causes = [entry.root_cause.cause for entry in found.incidents]
    assert causes[:2] == ["oom_killed", "image_not_found"]
    assert set(causes[2:]) == {"acme_missing_team_label"}
    text = diagnose(tmp_path, "-n", "shop", "--rules", "rules").stdout
    assert "names no team, so nobody is paged for it" in text


def test_an_own_incident_is_not_resolved_by_not_running_its_rule(tmp_path: Path, rules: Path) -> None:
    diagnose(tmp_path, "--rules", "rules", "--baseline", "last.json", "--update-baseline")
    done = diagnose(tmp_path, "--baseline", "last.json", "-o", "json")
    assert {status for _, status in statuses(done)} == {"ongoing"}
    assert "no rule for acme_missing_team_label was run" in done.stdout
    text = diagnose(tmp_path, "--baseline", "last.json").stdout
    assert text.count("Not seen, may go on: ") == 5
    assert re.search(r"^and \d+ more not seen", text, re.MULTILINE)


def test_a_failing_inline_test_is_exit_1(tmp_path: Path, rules: Path) -> None:
    file = rules / "team.yaml"
    file.write_text(file.read_text().replace("expect: silent", "expect: match", 1))
    done = kubetriage(tmp_path, "rules", "test", "--rules", "rules")
    assert done.returncode == 1
    assert "FAIL  acme_missing_team_label: with the label: expected a match, got silence" in done.stdout
    assert "2 passed, 1 failed" in done.stdout


@pytest.mark.parametrize("action", [("diagnose", "--bundle", str(SAMPLE)), ("rules", "list"), ("explain",)])
def test_a_wrong_rule_is_one_line_and_exit_2(tmp_path: Path, rules: Path, action: tuple[str, ...]) -> None:
    file = rules / "team.yaml"
    file.write_text(file.read_text().replace("missing(metadata", "absent(metadata"))
    done = kubetriage(tmp_path, *action, "--rules", "rules")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.search(r"rules rules/team\.yaml: line \d+: when: ", done.stderr)


def test_the_same_cause_twice_is_refused(tmp_path: Path, rules: Path) -> None:
    (rules / "again.yml").write_text((rules / "team.yaml").read_text())
    done = kubetriage(tmp_path, "rules", "list", "--rules", "rules")
    assert done.returncode == 2
    assert "acme_missing_team_label is there already" in done.stderr


def _install(where: Path, module: str) -> dict[str, str]:
    """What pip leaves of a package with a rule, on the path."""
    info = where / "acme_rules-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-rules\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[kubetriage.rules]\nsingle = acme_rules:find_single_replicas\n")
    (where / "acme_rules.py").write_text("from __future__ import annotations\n" + module)
    return {"PYTHONPATH": f"{ROOT}{os.pathsep}{where}"}


def test_an_installed_python_rule_is_found_and_run(tmp_path: Path) -> None:
    module = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert module is not None
    environment = _install(tmp_path, module[1])
    assert "acme_single_replica" in kubetriage(tmp_path, "rules", "list", **environment).stdout
    assert "Workload has one replica only (own)" in kubetriage(tmp_path, "explain", **environment).stdout
    found = statuses(diagnose(tmp_path, "-n", "shop", "-o", "json", **environment))
    assert ("acme_single_replica", None) in found


def test_a_broken_python_rule_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = diagnose(tmp_path, **_install(tmp_path, BROKEN_PLUGIN))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "entry point single (acme_rules:find_single_replicas) cannot be loaded" in done.stderr


def test_a_clean_cluster_with_a_resolved_incident_has_no_fault(tmp_path: Path) -> None:
    diagnose(tmp_path, "-n", "reports", "--baseline", "last.json", "--update-baseline")
    path = tmp_path / "last.json"
    path.write_text(path.read_text().replace('"namespace": "reports"', '"namespace": "data"'))
    found = Diagnosis.model_validate_json(
        diagnose(tmp_path, "-n", "data", "--baseline", "last.json", "-o", "json").stdout
    )
    assert found.outcome is Outcome.NO_FAULT_FOUND
    assert [entry.status for entry in found.incidents] == ["resolved"]
