"""A team's own rules: their language, their files, and how they stand among the built-in ones."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.contracts.diagnosis import Diagnosis, Outcome, Scope
from kubetriage.diagnosis import Cause, diagnose, resources_needed
from kubetriage.diagnosis.documents import DocumentError
from kubetriage.diagnosis.mutes import parse_mutes
from kubetriage.diagnosis.own_rules import Check, parse_checks, try_check
from kubetriage.diagnosis.own_rules.condition import ConditionError, parse_condition
from kubetriage.diagnosis.own_rules.paths import parse_path
from kubetriage.diagnosis.own_rules.patterns import PatternError, compile_pattern
from kubetriage.diagnosis.rule import Rule, rule
from kubetriage.diagnosis.suspect import Suspect
from kubetriage.diagnosis.view import ClusterView
from tests.diagnosis.build import NAMESPACE, at, deployment, pod, snapshot, status

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "own-rules.md").read_text(encoding="utf-8")
OBJECT: dict[str, Any] = {
    "metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart", "a.b/c": "d", "version": "1.0"}},
    "spec": {
        "replicas": 2,
        "paused": False,
        "gone": None,
        "none": [],
        "containers": [
            {"name": "app", "image": "r/app:latest", "memory": "64Mi", "cpu": "1000m", "add": ["NET_ADMIN"]},
            {"name": "side", "image": "r/side:1"},
        ],
    },
}
CHECK = """
cause: acme_tag
title: Image has no fixed tag
kind: Deployment
when: matches(spec.template.spec.containers[*].image, ":1$")
message: "{kind} {name} in {namespace} uses {value}"
fix:
  text: Set a tag
  command: kubectl -n {namespace} edit {kind}/{name}
runbook: https://acme.example/tags
"""


def check(text: str = CHECK, **changes: str) -> Check:
    for key, value in changes.items():
        line = f"{key}: {value}\n"
        text = re.sub(rf"(?m)^{key}: .*\n", line, text) if f"\n{key}: " in text else text + line
    return parse_checks(text, "rules.yaml")[0]


def diagnosed(*items: Any, rules: Iterable[Rule], **more: Any) -> Diagnosis:
    return diagnose(snapshot(*items, **more), Scope(namespace=NAMESPACE), tuple(rules))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("spec.replicas == 2", True),
        ("spec.replicas != 2", False),
        ("spec.replicas < 3 and spec.replicas >= 2", True),
        ("spec.replicas > 2 or spec.paused == false", True),
        ("spec.paused == 0", False),
        ("not spec.replicas == 3", True),
        ("not (spec.replicas == 2 or spec.paused == true)", False),
        ("spec.containers[*].memory < '1Gi'", True),
        ("'64Mi' < '1Gi'", True),
        ("'1Gi' <= '64Mi'", False),
        ("spec.containers[*].cpu == 1", True),
        ("metadata.labels.version == '1'", False),
        ("metadata.labels.version < 2", True),
        ("metadata.name < 'z'", False),  # texts have no order
        ("metadata.labels['a.b/c'] == 'd'", True),
        ('metadata.labels["a.b/c"] == "d"', True),
        ("spec.containers[0].name == 'app'", True),
        ("spec.containers[7].name == 'app'", False),
        ("missing(spec.containers[*].memory)", True),
        ("exists(spec.containers[*].memory)", True),
        ("missing(spec.containers[*].image)", False),
        ("missing(spec.none[*].x)", False),  # no elements, so none that lacks it
        ("missing(spec.nothing[*].x)", True),
        ("missing(spec.gone)", True),
        ("missing(metadata.labels.team)", True),
        ("metadata.labels.team != 'x'", False),  # of what is absent nothing holds
        ("spec.replicas in [1, 2]", True),
        ("spec.replicas not in [1, 2]", False),
        ("'NET_ADMIN' in spec.containers[*].add", True),
        ("metadata.name in []", False),
        ("contains(spec.containers[*].add, 'NET_ADMIN')", True),
        ("contains(spec.containers[*].image, ':lat')", True),
        ("contains(metadata.labels, 'app')", True),
        ("contains(spec.replicas, 2)", False),
        ("matches(spec.containers[*].image, ':latest$')", True),
        (r"matches(spec.containers[*].image, '^\w+/side:\d$')", True),
        ("matches(spec.replicas, '2')", False),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    assert parse_condition(condition).holds(OBJECT) is holds


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("", "the end"),
        ("spec.replicas", "expected a comparison"),
        ("spec.replicas ==", "expected a path, a text"),
        ("spec.replicas = 2", "cannot read '= 2'"),
        ("(spec.a == 1", "expected ')'"),
        ("spec.a == 1 spec.b == 2", "expected and, or, or the end, found spec.b"),
        ("missing('x')", "expected a path"),
        ("spec.a == null", "found null"),
        ("matches(spec.a, spec.b)", "needs a pattern in quotes"),
        ("matches(spec.a, '(a')", "missing )"),
        (r"matches(spec.a, '(a)\1')", "invalid escape"),
        ("matches(spec.a, '(?=a)')", "invalid perl operator"),
        ("__import__('os') == 1", "expected a comparison"),
        ("not " * 40 + "spec.a == 1", "nested too deep"),
        ("(" * 5_000, "longer than"),
    ],
)
def test_what_is_no_condition(condition: str, message: str) -> None:
    with pytest.raises(ConditionError, match=re.escape(message)):
        parse_condition(condition)


_TOKENS = (
    "and or not in ( ) [ ] , == != < <= > >= exists( missing( contains( matches( true false null spec.a spec.b[*].c "
    "metadata.labels['x/y'] [*] [0] 'text' \"64Mi\" '(a+)+$' 1 -2.5 99999999999999999999 é \\ \" '"
)
_WORDS = st.sampled_from(_TOKENS.split(" "))
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.just(10**400)
    | st.text(max_size=5)
    | st.sampled_from(["64Mi", "1e999", "1E", "nan", "100m"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_WORDS, max_size=12).map(" ".join) | st.text(max_size=40), _JSON, _JSON)
def test_a_condition_raises_nothing_but_its_own_error(text: str, one: Any, other: Any) -> None:
    with contextlib.suppress(ConditionError):
        parse_condition(text).holds({"spec": {"a": one, "b": other}})


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]), _JSON, _JSON)
def test_any_two_values_compare(mark: str, one: Any, other: Any) -> None:
    held = parse_condition(f"spec.a {mark} spec.b").holds({"spec": {"a": one, "b": other}})
    assert held is False or (one is not None and other is not None)


@settings(max_examples=300, deadline=None)
@given(st.lists(_WORDS, max_size=12).map("".join) | st.text(max_size=30), st.text(max_size=30) | st.just("\ud800"))
def test_a_pattern_raises_nothing_but_its_own_error(text: str, sample: str) -> None:
    with contextlib.suppress(PatternError):
        compile_pattern(text)(sample)


@pytest.mark.parametrize("pattern", [r"(a+)+$b", r"(a|a)*b", r".*.*.*.*x", r"(?:a?){50}a{50}b"])
def test_a_hostile_pattern_ends(pattern: str) -> None:
    """With Python's own engine these run for longer than the suite's timeout."""
    assert not compile_pattern(pattern)("a" * 100_000)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("((a{100}){100}){100}", "repetition size"),
        ("(?=a)", "invalid perl operator"),
        ("[a", "missing ]"),
        ("a" * 300, "longer than"),
    ],
)
def test_a_pattern_that_is_refused_says_why(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError, match=reason):
        compile_pattern(pattern)


def test_a_place_is_named_as_people_find_it() -> None:
    places = parse_path("spec.containers[*].memory").places(OBJECT)
    assert [(place.where, place.value) for place in places] == [
        ("spec.containers[app].memory", "64Mi"),
        ("spec.containers[side].memory", None),
    ]


def test_a_check_finds_and_says_what_its_file_says() -> None:
    found = diagnosed(deployment(), pod(), rules=[check(severity="high").rule()])
    assert (found.outcome, found.own_causes) == (Outcome.FAULT_FOUND, ("acme_tag",))
    cause = found.incidents[0].root_cause
    assert (cause.cause, cause.object.short, cause.severity) == ("acme_tag", "deployment/payments", "high")
    assert cause.title == "deployment payments in shop uses registry.example/app:1"
    assert [(quote.where, quote.quote) for quote in cause.evidence] == [
        ("spec.template.spec.containers[app].image", "registry.example/app:1")
    ]
    steps = [(step.text, step.command) for step in cause.remediation]
    assert ("Set a tag", "kubectl -n shop edit deployment/payments") in steps
    assert ("Runbook: https://acme.example/tags", None) in steps


def test_what_is_missing_is_shown_by_what_should_hold_it() -> None:
    own = check(kind="Pod", when="missing(metadata.labels.team)")
    cause = diagnosed(deployment(), pod(), rules=[own.rule()]).incidents[0].root_cause
    assert [(quote.where, quote.quote) for quote in cause.evidence] == [("metadata.labels", '{"app": "payments"}')]
    assert cause.object.short == "deployment/payments"  # what a person edits


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "data"},
        {"namespace": "'*-prod'"},
        {"labels": "{app: cart}"},
        {"when": "spec.replicas > 1"},
        {"kind": "StatefulSet"},
    ],
)
def test_a_check_is_silent_where_it_does_not_concern(changes: dict[str, str]) -> None:
    assert diagnosed(deployment(), pod(), rules=[check(**changes).rule()]).outcome is Outcome.NO_FAULT_FOUND


def test_what_is_being_deleted_is_no_fault() -> None:
    parent, child = deployment()
    parent["metadata"]["deletionTimestamp"] = at(1)
    assert not diagnosed(parent, child, pod(), rules=[check().rule()]).incidents


def _out_of_memory() -> list[Any]:
    killed = status(state={"waiting": {"reason": "CrashLoopBackOff"}}, ready=False, restarts=5)
    killed["lastState"] = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": at(1)}}
    return [deployment(available=0), pod(statuses=[killed])]


def test_a_broken_convention_neither_explains_a_crash_nor_hides_in_it() -> None:
    items = _out_of_memory()
    found = diagnosed(*items, rules=[check(severity="critical").rule()])
    without = diagnosed(*items, rules=[])
    own = [entry for entry in found.incidents if entry.root_cause.cause == "acme_tag"]
    others = [entry for entry in found.incidents if entry.root_cause.cause != "acme_tag"]
    assert (len(own), own[0].related, own[0].affected) == (1, (), ())
    assert [entry.model_copy(update={"rank": 1}) for entry in others] == [
        entry.model_copy(update={"rank": 1}) for entry in without.incidents
    ]


def test_an_explaining_check_may_be_the_root() -> None:
    broken = [deployment(available=0), pod(statuses=[status(ready=False)])]
    found = diagnosed(*broken, rules=[check(explains="true", severity="critical").rule()])
    assert [entry.root_cause.cause for entry in found.incidents] == ["acme_tag"]
    assert found.incidents[0].related


def test_no_field_reaches_a_command() -> None:
    with pytest.raises(DocumentError, match=r"line \d+: \{value\} is not known here"):
        check(CHECK.replace("edit {kind}", "edit {value}"))
    parent, child = deployment("x; rm -rf /")
    cause = diagnosed(parent, child, rules=[check().rule()]).incidents[0].root_cause
    assert [step.command for step in cause.remediation if step.command] == ["kubectl -n shop edit deployment/<name>"]


def test_the_engine_reads_what_a_check_needs_and_keeps_no_trace_of_it() -> None:
    own = check(kind="Lease", when="exists(spec)").rule()
    before = [resource.plural for resource in resources_needed(Scope())]
    assert "leases" in {resource.plural for resource in resources_needed(Scope(), (own,))}
    assert [resource.plural for resource in resources_needed(Scope())] == before


def test_a_rule_that_raises_costs_nothing_but_itself() -> None:
    @rule("pods")
    def find_broken(view: ClusterView) -> Iterable[Suspect]:
        raise KeyError("team")

    found = diagnosed(*_out_of_memory(), rules=[find_broken])
    assert found.incidents
    assert [(gap.resource, gap.reason) for gap in found.unreadable] == [("rule broken", "KeyError: 'team'")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("acme_tag", "oom_killed"), "line 2: cause 'oom_killed' is a built-in one"),
        (("acme_tag", "Tag"), "line 2: cause 'Tag' must begin with your team"),
        (("kind: Deployment", "kind: Widget"), "line 4: kind 'Widget' is not read; known are"),
        (("kind: Deployment", "kind: Secret"), "line 4: Secrets are never read"),
        (("when: matches(", "when: match("), "line 5: when: expected a comparison"),
        (("{kind} {name} in", "{kind} {nome} in"), "line 6: {nome} is not known here; known are {kind}"),
        (("title:", "titel:"), "line 3: unknown key 'titel'"),
        (("title: Image has no fixed tag\n", ""), "title is missing"),
        (("runbook: ", "severity: bad\nrunbook: "), "severity must be one of critical, high, medium, low"),
        (("runbook: ", "evidence: [1x]\nrunbook: "), "is no path"),
        (("runbook: ", "tests: [{expect: maybe, object: {}}]\nrunbook: "), "expect must be match or silent"),
        (("runbook: ", "tests: [{expect: match, object: {kind: Pod}}]\nrunbook: "), "object is a Pod"),
        (("runbook: ", "explains: perhaps\nrunbook: "), "explains must be true or false"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(change: tuple[str, str], message: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(message)):
        parse_checks(CHECK.replace(*change), "rules.yaml")


def test_inline_tests_tell_match_from_silence() -> None:
    image = "{spec: {template: {spec: {containers: [{image: 'x:1'}]}}}}"
    tests = f"""[
      {{name: good, expect: match, object: {image}, message: deployment test in default uses x:1}},
      {{name: silent, expect: silent, object: {{}}}},
      {{name: too loud, expect: silent, object: {image}}},
      {{name: too silent, expect: match, object: {{spec: {{at: 2026-01-01}}}}}},
      {{name: other words, expect: match, object: {image}, message: nope}}]"""
    problems = {trial.example: trial.problem for trial in try_check(check(tests=tests.replace("\n", " ")))}
    assert problems["good"] == problems["silent"] == ""
    assert problems["too loud"].startswith("expected silence, got: deployment test")
    assert problems["too silent"] == "expected a match, got silence"
    assert problems["other words"].startswith("expected 'nope', got")
    assert [trial.problem for trial in try_check(check())] == ["it has no tests"]
    odd = check(kind="Pod", when="exists(kind)", tests="[{expect: match, object: {metadata: {ownerReferences: [x]}}}]")
    assert next(try_check(odd)).problem.startswith("the object is not as an API server would hold it")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="acmewhenkidtls_:-*&!{}[]'\"\n 019#|>%@`,?()=.", max_size=120))
def test_a_file_raises_nothing_but_its_own_error(text: str) -> None:
    for document in (text, f"{CHECK}{text}", CHECK.replace("matches(", text), f"{CHECK}tests: {text}"):
        with contextlib.suppress(DocumentError):
            for entry in parse_checks(document, "rules.yaml"):
                list(try_check(entry))


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guides_check_passes_its_own_tests() -> None:
    checks = parse_checks(_blocks("yaml")[0], "docs/own-rules.md")
    trials = [trial for entry in checks for trial in try_check(entry)]
    assert len(trials) == 3
    assert not [trial for trial in trials if trial.problem]
    found = diagnosed(deployment(), pod(), rules=[entry.rule() for entry in checks])
    assert found.incidents[0].root_cause.cause == "acme_missing_team_label"


def test_the_guides_python_rule_runs() -> None:
    names: dict[str, Any] = {"__name__": "acme_rules"}
    exec(compile("from __future__ import annotations\n" + _blocks("python")[0], "own-rules.md", "exec"), names)
    own = names["find_single_replicas"]
    assert isinstance(own, Rule)
    assert isinstance(names["SINGLE"], Cause)
    found = diagnosed(deployment(), pod(), rules=[own])
    assert [entry.root_cause.cause for entry in found.incidents] == ["acme_single_replica"]


def test_the_guides_mutes_are_understood() -> None:
    assert len(parse_mutes(_blocks("yaml")[1], today=date(2026, 11, 23))) == 1
