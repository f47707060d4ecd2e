"""New, ongoing, resolved; and never resolved when nobody could look."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.contracts.diagnosis import (
    Diagnosis,
    Evidence,
    EvidenceKind,
    Finding,
    Incident,
    ObjectRef,
    Outcome,
    Scope,
    Severity,
    Unreadable,
)
from kubetriage.diagnosis.baseline import base_name, compare
from kubetriage.diagnosis.outcome import conclude
from tests.diagnosis.build import NOW, deployment, diagnosed, pod, status


def ref(kind: str, name: str, namespace: str | None = "shop") -> ObjectRef:
    return ObjectRef(kind=kind, name=name, namespace=namespace)


def finding(
    cause: str = "oom_killed", target: ObjectRef | None = None, *, kind: EvidenceKind = EvidenceKind.FIELD
) -> Finding:
    target = target or ref("Deployment", "payments")
    quote = Evidence(kind=kind, source=ref("Pod", f"{target.name}-556896b5fb-96x7l"), where="x", quote="y")
    return Finding(
        cause=cause,
        object=target,
        title=f"{target.name}: {cause}",
        explanation="",
        severity=Severity.HIGH,
        confidence=0.9,
        evidence=(quote,),
    )


def incident(root: Finding | None = None, *related: Finding, key: str | None = None) -> Incident:
    root = root or finding()
    return Incident(
        id=key or f"{root.cause}|{root.object}",
        rank=1,
        title=root.title,
        severity=root.severity,
        confidence=0.9,
        root_cause=root,
        related=related,
    )


def diagnosis(*incidents: Incident, unreadable: tuple[Unreadable, ...] = (), **more: Any) -> Diagnosis:
    scope = more.pop("scope", Scope())
    outcome, summary = conclude(incidents, unreadable, scope)
    checked = more.pop("checked", ("events", "pods"))
    return Diagnosis(
        outcome=outcome,
        summary=summary,
        scope=scope,
        incidents=incidents,
        unreadable=unreadable,
        checked=checked,
        collected_at=NOW,
        **more,
    )


def statuses(found: Diagnosis) -> list[tuple[str, str | None]]:
    return [(entry.root_cause.cause, entry.status) for entry in found.incidents]


def gap(resource: str, namespace: str | None = "shop", **more: Any) -> Unreadable:
    return Unreadable(resource=resource, namespace=namespace, status=403, reason="forbidden", **more)


def test_a_first_run_is_all_new() -> None:
    assert statuses(compare(diagnosis(incident()), None)) == [("oom_killed", "new")]


def test_the_same_incident_goes_on_and_another_is_new() -> None:
    again = compare(diagnosis(incident(), incident(finding("image_not_found"))), diagnosis(incident()))
    assert statuses(again) == [("oom_killed", "ongoing"), ("image_not_found", "new")]
    assert again.outcome is Outcome.FAULT_FOUND


def test_what_is_gone_is_resolved_after_the_others_and_no_fault() -> None:
    before = diagnosis(incident(), incident(finding("image_not_found")))
    found = compare(diagnosis(incident(finding("image_not_found"))), before)
    assert statuses(found) == [("image_not_found", "ongoing"), ("oom_killed", "resolved")]
    assert [entry.rank for entry in found.incidents] == [1, 2]
    none = compare(diagnosis(), before)
    assert none.outcome is Outcome.NO_FAULT_FOUND
    assert [entry.status for entry in none.incidents] == ["resolved", "resolved"]


def test_what_was_resolved_last_time_is_forgotten_and_new_when_it_comes_back() -> None:
    resolved = compare(diagnosis(), diagnosis(incident()))
    assert compare(diagnosis(), resolved).incidents == ()
    assert statuses(compare(diagnosis(incident()), resolved)) == [("oom_killed", "new")]


def test_a_pod_of_another_hash_is_the_same_object() -> None:
    before = diagnosis(incident(finding(target=ref("Pod", "payments-556896b5fb-96x7l"))))
    now = diagnosis(incident(finding(target=ref("Pod", "payments-6bc4f9d7c8-s4k87"))))
    assert statuses(compare(now, before)) == [("oom_killed", "ongoing")]


@pytest.mark.parametrize(
    ("kind", "name", "base"),
    [
        ("Pod", "payments-556896b5fb-96x7l", "payments"),
        ("Pod", "nightly-29923964-tpm2f", "nightly"),
        ("Pod", "agent-x7k2p", "agent"),
        ("Pod", "web-0", "web-0"),
        ("Pod", "etcd-control-plane", "etcd-control-plane"),
        ("ReplicaSet", "payments-556896b5fb", "payments"),
        ("Job", "nightly-29923964", "nightly"),
        ("Deployment", "app-556896b5fb", "app-556896b5fb"),
    ],
)
def test_base_names(kind: str, name: str, base: str) -> None:
    assert base_name(ref(kind, name)) == base


def test_a_symptom_that_found_another_root_is_neither_new_nor_resolved() -> None:
    symptom, root = finding("service_no_ready_endpoints"), finding("oom_killed")
    deeper = compare(diagnosis(incident(root, symptom)), diagnosis(incident(symptom)))
    assert statuses(deeper) == [("oom_killed", "new")]
    back = compare(diagnosis(incident(symptom)), diagnosis(incident(root, symptom)))
    assert statuses(back) == [("service_no_ready_endpoints", "ongoing"), ("oom_killed", "resolved")]


@pytest.mark.parametrize(
    ("root", "gaps", "over"),
    [
        (finding(), (gap("configmaps"),), False),  # was read then, is not now: a rule may have needed it
        (finding(), (gap("configmaps", None),), False),
        (finding(), (gap("configmaps", "data"),), True),
        (finding(kind=EvidenceKind.EVENT), (gap("events"),), False),
        (finding(kind=EvidenceKind.LOG), (gap("pods/log", verb="get", name="payments-6bc4f9d7c8-s4k87"),), False),
        (finding(kind=EvidenceKind.LOG), (gap("pods/log", verb="get", name="cart-6bc4f9d7c8-s4k87"),), True),
        (finding(), (gap("pods/log", verb="get", name="payments-6bc4f9d7c8-s4k87"),), True),
        (finding(target=ref("Node", "node-1", None)), (gap("pods", "data"),), False),
        (finding(), (), True),
    ],
)
def test_resolved_is_only_said_of_what_could_be_read(root: Finding, gaps: tuple[Unreadable, ...], over: bool) -> None:
    found = compare(diagnosis(unreadable=gaps), diagnosis(incident(root)))
    assert [entry.status for entry in found.incidents] == (["resolved"] if over else [])
    assert len(found.unverified) == (0 if over else 1)
    if not over:
        assert found.outcome is Outcome.INCONCLUSIVE
        assert "could not be read" in found.unverified[0].reason


def test_what_was_as_unreadable_then_does_not_matter() -> None:
    gaps = (gap("leases", None),)
    found = compare(diagnosis(unreadable=gaps), diagnosis(incident(), unreadable=gaps))
    assert statuses(found) == [("oom_killed", "resolved")]


def test_a_kind_that_is_not_in_the_bundle_any_more_forbids_resolved() -> None:
    found = compare(diagnosis(checked=("pods",)), diagnosis(incident()))
    assert found.unverified[0].reason == "events were not read"


def test_what_could_not_be_verified_stays_known() -> None:
    blind = compare(diagnosis(unreadable=(gap("pods"),)), diagnosis(incident()))
    assert blind.incidents == ()
    assert statuses(compare(diagnosis(incident()), blind)) == [("oom_killed", "ongoing")]
    assert statuses(compare(diagnosis(), blind)) == [("oom_killed", "resolved")]


@pytest.mark.parametrize("scope", [Scope(namespace="data"), Scope(namespace="shop", kind="deployment", name="cart")])
def test_another_scope_says_nothing_of_it(scope: Scope) -> None:
    found = compare(diagnosis(scope=scope), diagnosis(incident()))
    assert found.outcome is Outcome.NO_FAULT_FOUND
    assert [entry.reason for entry in found.unverified] == ["it is outside of what was asked about"]


def test_an_own_rule_that_was_not_run_resolves_nothing() -> None:
    before = diagnosis(incident(finding("acme_label")))
    assert compare(diagnosis(), before).unverified[0].reason == "no rule for acme_label was run"
    assert compare(diagnosis(), before).outcome is Outcome.NO_FAULT_FOUND
    assert statuses(compare(diagnosis(own_causes=("acme_label",)), before)) == [("acme_label", "resolved")]


def test_with_the_engine() -> None:
    killed = status(state={"waiting": {"reason": "CrashLoopBackOff"}}, ready=False, restarts=5)
    killed["lastState"] = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": NOW.isoformat()}}
    sick = diagnosed(deployment(available=0), pod(statuses=[killed]))
    well = diagnosed(deployment(), pod())
    assert {entry.status for entry in compare(sick, well).incidents} == {"new"}
    assert {entry.status for entry in compare(sick, sick).incidents} == {"ongoing"}
    assert {entry.status for entry in compare(well, sick).incidents} == {"resolved"}
    unread = diagnosed(deployment(), pod(), unread=("configmaps",))
    assert compare(unread, sick).unverified
