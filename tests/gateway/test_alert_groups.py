"""What is read from labels, who may read it, and what the outside is told: pure functions."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.documents import fitted
from gateway.incidents.groups import identity_of, read_group, request_for, runbooks_for
from gateway.incidents.messages import document, signature_headers, slack_message
from gateway.incidents.visibility import may_read_diagnosis, may_see, reach_of
from gateway.users import User
from gateway.work.queue import pause_before
from kubetriage.contracts.diagnosis import (
    Diagnosis,
    Evidence,
    EvidenceKind,
    Finding,
    Incident,
    ObjectRef,
    Outcome,
    Remediation,
    Scope,
    Severity,
    Unreadable,
)
from kubetriage.contracts.identity import Role
from kubetriage.contracts.incidents import AlertedGroup, AlertIncident, AlertmanagerNotification
from tests.gateway.alerting import notification

KSM = {"job": "kube-state-metrics", "service": "kps-kube-state-metrics", "pod": "kps-kube-state-metrics-7d9-x"}
SCOPES: dict[str, tuple[dict[str, str], tuple[str | None, str | None, str | None]]] = {
    "a namespace alone": ({"namespace": "shop"}, ("shop", None, None)),
    "nothing": ({}, (None, None, None)),
    "a pod": ({"namespace": "shop", "pod": "api-5c-x"}, ("shop", "Pod", "api-5c-x")),
    "a pod and its node": ({"namespace": "shop", "pod": "api-5c-x", "node": "n1"}, ("shop", "Pod", "api-5c-x")),
    "a deployment, and the exporter's pod": (
        {**KSM, "namespace": "shop", "deployment": "api"},
        ("shop", "Deployment", "api"),
    ),
    "a node, and where the exporter runs": ({**KSM, "namespace": "monitoring", "node": "n1"}, (None, "Node", "n1")),
    "a job, not the scrape job": (
        {"namespace": "shop", "job": "api", "job_name": "nightly"},
        ("shop", "Job", "nightly"),
    ),
    "an object without a namespace": ({"deployment": "api"}, (None, None, None)),
    "a namespace that is none": ({"namespace": "Shop; rm -rf /", "pod": "../../x"}, (None, None, None)),
}


def group_of(labels: dict[str, str], **more: Any) -> AlertedGroup:
    body = {**notification(namespace=None), "commonLabels": {"alertname": "A", **labels}, **more}
    return read_group(AlertmanagerNotification.model_validate(body), cluster_label="cluster")


@pytest.mark.parametrize(("labels", "wanted"), SCOPES.values(), ids=SCOPES)
def test_the_scope_is_what_all_alerts_share(
    labels: dict[str, str], wanted: tuple[str | None, str | None, str | None]
) -> None:
    group = group_of(labels)
    asked = request_for(group)
    assert (asked.namespace, asked.kind, asked.name) == wanted


def test_text_of_labels_is_data() -> None:
    hostile = "a\x1b[31m\u202eb\n\n<!channel> password=hunter2hunter2 " + "x" * 5000
    group = group_of(
        {"namespace": "shop", "cluster": "eu west!", "note": hostile},
        commonAnnotations={"summary": hostile},
    )
    assert group.cluster is None
    for text in (group.summary, group.labels["note"]):
        assert "\n" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "hunter2" not in text
        assert len(text) <= 500
    assert len(group_of({f"l{n}": "x" for n in range(500)}).labels) <= 40
    assert runbooks_for(group).alert == "A"


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "http://a/|<!channel>", "https://u:p@host/", "http://[", "ftp://x/", "http://x/\u202e"],
)
def test_links_that_are_more_than_a_link_are_left_out(url: str) -> None:
    alert = {"status": "firing", "labels": {}, "generatorURL": url}
    good = {"status": "firing", "labels": {}, "generatorURL": "http://prometheus:9090/graph?g0.expr=a"}
    assert group_of({}, alerts=[alert, good]).links == ("http://prometheus:9090/graph?g0.expr=a",)


def test_the_same_group_of_two_clusters_is_two_incidents() -> None:
    told = AlertmanagerNotification.model_validate(notification())
    one, other = (group_of({"namespace": "shop", "cluster": cluster}) for cluster in ("eu", "us"))
    assert identity_of(told, one) != identity_of(told, other)
    assert identity_of(told, one) == identity_of(told, one)


def diagnosis(*refs: ObjectRef, namespace: str | None = "shop", quote: str = "OOMKilled") -> Diagnosis:
    incidents = tuple(
        Incident(
            id=str(rank),
            rank=rank,
            title=f"{ref} is OOMKilled",
            severity=Severity.HIGH,
            confidence=1,
            root_cause=Finding(
                cause="oom_killed",
                object=ObjectRef(kind="Deployment", name="api", namespace="shop"),
                title="t",
                explanation="It needs <more> & more",
                severity=Severity.HIGH,
                confidence=1,
                evidence=(Evidence(kind=EvidenceKind.FIELD, source=ref, where="status", quote=quote),),
                remediation=(Remediation(text="raise", command="kubectl set resources deploy/api", changes=True),),
            ),
        )
        for rank, ref in enumerate(refs, 1)
    )
    outcome = Outcome.FAULT_FOUND if incidents else Outcome.NO_FAULT_FOUND
    return Diagnosis(outcome=outcome, summary="api fails", scope=Scope(namespace=namespace), incidents=incidents)


POD = ObjectRef(kind="Pod", name="api-x", namespace="shop")
REACHES = {
    "its own namespace": (diagnosis(POD), {"shop"}),
    "a shared kind": (diagnosis(ObjectRef(kind="Node", name="n1")), {"shop"}),
    "another namespace, in evidence": (
        diagnosis(ObjectRef(kind="Pod", name="x", namespace="vault")),
        {"shop", "vault"},
    ),
    "a cluster-scoped kind": (diagnosis(ObjectRef(kind="PersistentVolume", name="pv")), {"shop", ""}),
    "what could not be read elsewhere": (
        diagnosis().model_copy(update={"unreadable": (Unreadable(resource="pods", namespace="vault", reason="no"),)}),
        {"vault"},
    ),
    "the whole cluster": (diagnosis(namespace=None), {""}),
}


@pytest.mark.parametrize(("found", "reach"), REACHES.values(), ids=REACHES)
def test_a_diagnosis_is_read_by_those_who_may_read_all_it_speaks_of(found: Diagnosis, reach: set[str]) -> None:
    assert reach_of(found) == reach
    team = User("bob", Role.VIEWER, ("shop",), None, disabled=False, epoch=0)
    assert may_read_diagnosis(team, reach_of(found)) == (reach <= {"shop"})
    assert may_read_diagnosis(User("ada", Role.VIEWER, None, None, disabled=False, epoch=0), reach_of(found))


@pytest.mark.parametrize(
    ("namespaces", "clusters", "seen"),
    [(None, None, True), (("shop",), None, True), (("pay",), None, False), ((), None, False), (None, ("us",), False),
     (("shop",), ("eu",), True)],
)  # fmt: skip
def test_an_incident_is_seen_by_those_who_may_read_its_namespace_and_cluster(
    namespaces: tuple[str, ...] | None, clusters: tuple[str, ...] | None, seen: bool
) -> None:
    user = User("bob", Role.VIEWER, namespaces, clusters, disabled=False, epoch=0)
    assert may_see(user, group_of({"namespace": "shop"}), "eu") is seen
    assert not may_see(user, group_of({}), None) or (namespaces, clusters) == (None, None)


def incident(**changes: Any) -> AlertIncident:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    made = AlertIncident(
        id="i_" + "0" * 24,
        status="firing",
        alerts=group_of(
            {"namespace": "shop", "deployment": "api"}, commonAnnotations={"summary": "<!channel> *x* & y"}
        ),
        diagnosis_state="done",
        headline="api fails <https://evil|click>",
        version=1,
        opened_at=now,
        updated_at=now,
        diagnosis=diagnosis(POD, quote="```<@U123>"),
    )
    return made.model_copy(update=changes)


def test_slack_sees_no_mention_and_no_link_that_an_alert_made_up() -> None:
    message = json.loads(slack_message("diagnosed", incident()))
    section = message["blocks"][1]["text"]
    assert section["verbatim"]
    assert "&lt;!channel&gt;" in section["text"]
    assert "&lt;https://evil|click&gt;" in section["text"]
    assert "```kubectl set resources deploy/api```" in section["text"]
    links = [part.partition("|")[0] for part in json.dumps(message).split("<")[1:]]
    assert links == ["http://prometheus:9090/graph?g0.expr=up&amp;g0.tab=1"]
    long = incident(
        headline="x" * 9000, alerts=group_of({"namespace": "shop"}, commonAnnotations={"summary": "&" * 500})
    )
    blocks = json.loads(slack_message("diagnosed", long))["blocks"]
    assert len(blocks[0]["text"]["text"]) <= 150
    assert len(blocks[1]["text"]["text"]) <= 3000


def test_the_signature_is_over_time_and_body() -> None:
    body = document("resolved", incident())
    headers = signature_headers(body, "key", 1_700_000_000)
    wanted = hmac.new(b"key", b"1700000000." + body, hashlib.sha256).hexdigest()
    assert headers == {"X-Kubetriage-Timestamp": "1700000000", "X-Kubetriage-Signature": f"v1={wanted}"}
    assert json.loads(body)["event"] == "resolved"


def test_a_document_that_is_too_large_keeps_the_worst_and_says_so() -> None:
    large = diagnosis(*[POD] * 64, quote="q" * 8000)
    kept = fitted(large, 100_000)
    assert len(kept.model_dump_json()) <= 100_000
    assert [entry.rank for entry in kept.incidents] == list(range(1, len(kept.incidents) + 1))
    assert kept.summary == f"api fails ({64 - len(kept.incidents)} incidents left out)"
    assert fitted(diagnosis(POD), 100_000) == diagnosis(POD)


def test_pauses_double_up_to_five_minutes_and_are_spread() -> None:
    pauses = [pause_before(attempt, 2.0, "1-0") for attempt in range(2, 40)]
    assert all(2.0 ** (n + 1) / 2 <= pause <= 2.0 ** (n + 1) for n, pause in enumerate(pauses[:7]))
    assert all(150 <= pause <= 300 for pause in pauses[8:])
    assert len({pause_before(2, 2.0, f"{n}-0") for n in range(50)}) == 50
