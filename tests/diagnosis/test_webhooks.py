"""Admission webhooks that must answer: told before the first pod is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kubetriage.contracts.diagnosis import Scope
from kubetriage.diagnosis import diagnose
from tests.diagnosis.build import causes, deployment, diagnosed, meta, pod, service, snapshot, status


def webhook(*, policy: str = "Fail", of: str = "payments", namespace: str = "shop") -> dict[str, Any]:
    rules = [{"resources": ["pods"], "operations": ["CREATE"]}]
    entry = {
        "name": "check.example.com",
        "failurePolicy": policy,
        "rules": rules,
        "clientConfig": {"service": {"name": of, "namespace": namespace, "port": 443}},
    }
    return {"kind": "ValidatingWebhookConfiguration", "metadata": meta("check", None), "webhooks": [entry]}


def test_a_webhook_without_its_service_is_told() -> None:
    found = diagnosed(*deployment(), pod(), service(), webhook(of="gone"))
    assert causes(found) == [("webhook_unavailable", "validatingwebhookconfiguration/check")]
    assert "pods that it watches are refused" in found.incidents[0].root_cause.explanation


def test_a_webhook_is_explained_by_what_breaks_its_pods() -> None:
    killed = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-23T11:59:00Z"}}
    broken = pod(statuses=[status(ready=False, restarts=4, state={"waiting": {"reason": "CrashLoopBackOff"}})])
    broken["status"]["containerStatuses"][0]["lastState"] = killed
    found = diagnosed(*deployment(available=0), broken, service(), webhook())
    assert causes(found) == [("oom_killed", "deployment/payments")]
    assert "webhook_unavailable" in [one.cause for one in found.incidents[0].related]


def test_a_webhook_that_answers_or_may_be_skipped_is_no_fault() -> None:
    assert causes(diagnosed(*deployment(), pod(), service(), webhook())) == []
    assert causes(diagnosed(*deployment(), pod(), service(), webhook(policy="Ignore", of="gone"))) == []


def test_services_that_were_not_read_are_not_missing() -> None:
    assert causes(diagnosed(*deployment(), pod(), webhook(of="gone"), unread=("services",))) == []


def test_a_service_of_a_namespace_that_was_not_looked_at_is_not_missing() -> None:
    whole = replace(
        snapshot(*deployment(), pod(), service(), webhook(of="policy", namespace="guards")), namespaces=None
    )
    assert causes(diagnose(whole, Scope())) == [("webhook_unavailable", "validatingwebhookconfiguration/check")]
    assert causes(diagnose(replace(whole, namespaces=("shop",)), Scope(namespace="shop"))) == []
