"""Faults of init containers, trust, ingresses, batch, autoscaling and deletions, with healthy twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.diagnosis.build import at, causes, container, deployment, diagnosed, event, meta, pod, status
from tests.diagnosis.build import service as a_service


def _init(state: dict[str, Any], *, restarts: int = 0, age: float = 60) -> dict[str, Any]:
    item = pod(
        phase="Pending", age=age, statuses=[status(ready=False, state={"waiting": {"reason": "PodInitializing"}})]
    )
    item["spec"]["initContainers"] = [container("wait")]
    item["status"]["initContainerStatuses"] = [status("wait", ready=False, restarts=restarts, **state)]
    return item


def _ingress(name: str = "payments", **spec: Any) -> dict[str, Any]:
    backend = {"service": {"name": name, "port": {"number": 8080}}}
    rules = [{"http": {"paths": [{"path": "/", "backend": backend}]}}]
    return {"kind": "Ingress", "metadata": meta("web"), "spec": {"rules": rules, "ingressClassName": "nginx", **spec}}


NGINX = {"kind": "IngressClass", "metadata": meta("nginx", None), "spec": {}}


def _job(*conditions: dict[str, Any], name: str = "report", age: float = 30) -> dict[str, Any]:
    about = meta(name, age=age)
    about["ownerReferences"] = [{"kind": "CronJob", "name": "report", "controller": True}]
    return {"kind": "Job", "metadata": about, "spec": {}, "status": {"conditions": list(conditions), "failed": 3}}


CRON = {"kind": "CronJob", "metadata": meta("report"), "spec": {"schedule": "0 3 * * *"}, "status": {}}
FAILED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "limit reached"}
COMPLETE = {"type": "Complete", "status": "True"}


def _scaler(*conditions: dict[str, Any], age: float = 30) -> dict[str, Any]:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "payments"}, "minReplicas": 1, "maxReplicas": 3}
    about = meta("payments", age=age)
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": about,
        "spec": spec,
        "status": {"conditions": list(conditions)},
    }


def _metrics(reason: str, message: str) -> dict[str, Any]:
    return {"type": "ScalingActive", "status": "False", "reason": reason, "message": message}


def _budget(*, allowed: int, healthy: int) -> dict[str, Any]:
    figures = {"expectedPods": 1, "currentHealthy": healthy, "disruptionsAllowed": allowed}
    return {"kind": "PodDisruptionBudget", "metadata": meta("payments"), "spec": {"minAvailable": 1}, "status": figures}


def _deleting(minutes: float) -> dict[str, Any]:
    item = pod()
    item["metadata"]["deletionTimestamp"] = at(minutes)
    item["metadata"]["finalizers"] = ["example.com/hold"]
    return item


WELL: Callable[[], list[Any]] = lambda: [*deployment(), pod(), a_service()]  # noqa: E731 - used as data below

FAULTS: dict[str, tuple[Callable[[], list[Any]], str, str]] = {
    "init-stuck": (
        lambda: [*deployment(available=0), _init({"state": {"running": {"startedAt": at(20)}}})],
        "init_container_stuck",
        "deployment/payments",
    ),
    "init-failing": (
        lambda: [
            *deployment(available=0),
            _init({"state": {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": at(1)}}}, restarts=3),
        ],
        "init_container_failing",
        "deployment/payments",
    ),
    "ingress-backend": (lambda: [*WELL(), NGINX, _ingress("paymnets")], "ingress_backend_missing", "ingress/web"),
    "ingress-class": (
        lambda: [*WELL(), NGINX, _ingress(ingressClassName="traefik")],
        "ingress_class_missing",
        "ingress/web",
    ),
    "job": (lambda: [CRON, _job(FAILED)], "job_failed", "cronjob/report"),
    "hpa-target": (
        lambda: [
            *WELL(),
            _scaler({"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "x"}),
        ],
        "hpa_target_missing",
        "horizontalpodautoscaler/payments",
    ),
    "hpa-requests": (
        lambda: [*WELL(), _scaler(_metrics("FailedGetResourceMetric", "missing request for cpu"))],
        "hpa_missing_requests",
        "horizontalpodautoscaler/payments",
    ),
    "pdb": (lambda: [*WELL(), _budget(allowed=0, healthy=1)], "pdb_blocks_eviction", "poddisruptionbudget/payments"),
    "finalizer": (
        lambda: [*deployment(), a_service(), pod(), _deleting(10)],
        "finalizer_blocking",
        "deployment/payments",
    ),
}
HEALTHY: dict[str, Callable[[], list[Any]]] = {
    "init-runs-for-twenty-seconds": lambda: [
        *deployment(available=0),
        a_service(),
        _init({"state": {"running": {"startedAt": at(0.3)}}}, age=0.4),
    ],
    "ingress-well": lambda: [*WELL(), NGINX, _ingress()],
    "failure-that-a-later-run-made-good": lambda: [
        CRON,
        _job(FAILED, name="report-1", age=90),
        _job(COMPLETE, name="report-2", age=30),
    ],
    "fresh-autoscaler-without-figures": lambda: [
        *WELL(),
        _scaler(_metrics("FailedGetResourceMetric", "no metrics returned"), age=0.5),
    ],
    "budget-that-allows-one": lambda: [*WELL(), _budget(allowed=1, healthy=1)],
    "pod-that-terminates-now": lambda: [*deployment(), a_service(), pod(), _deleting(0.2)],
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_first_incident_with_its_cause_and_object(name: str) -> None:
    build, cause, target = FAULTS[name]
    assert causes(diagnosed(*build()))[:1] == [(cause, target)]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_twin_has_no_incident(name: str) -> None:
    assert causes(diagnosed(*HEALTHY[name]())) == []


EVICTION = 'Usage of EmptyDir volume "scratch" exceeds the limit "8Mi".'


@pytest.mark.parametrize("phase", ["Running", "Failed"], ids=["still-ending", "ended"])
def test_an_eviction_is_told_by_its_event(phase: str) -> None:
    gone = pod(phase=phase, statuses=[status(ready=False)])
    assert causes(diagnosed(*deployment(), gone, event(gone, "Evicted", EVICTION)))[0][0] == "pod_evicted"


def test_an_eviction_that_its_workload_has_recovered_from_is_history() -> None:
    gone = pod(phase="Failed", statuses=[])
    items = [*deployment(), a_service(), pod(), gone, event(gone, "Evicted", EVICTION, ago=20, count=1)]
    assert causes(diagnosed(*items)) == []


def test_a_refused_right_is_answered_with_the_role_that_grants_exactly_it() -> None:
    denied = 'pods is forbidden: User "system:serviceaccount:shop:bot" cannot list resource "pods" in API group ""'
    broken = pod(statuses=[status(ready=False)])
    diagnosis = diagnosed(*deployment(available=0), broken, logs={(broken["metadata"]["name"], "app"): denied})
    root = diagnosis.incidents[0].root_cause
    assert root.cause == "access_denied"
    assert "kubectl -n shop create role bot-pods --verb=list --resource=pods" in [
        step.command for step in root.remediation
    ]


def test_unreadable_ingress_classes_are_not_missing_ones() -> None:
    found = diagnosed(*WELL(), _ingress(ingressClassName="traefik"), unread=("ingressclasses",))
    assert causes(found) == []


def test_a_webhook_that_does_not_answer_is_the_object_to_repair() -> None:
    parent, child = deployment(available=0)
    child["status"]["replicas"] = 0
    hook = {
        "kind": "ValidatingWebhookConfiguration",
        "metadata": meta("policy", None),
        "webhooks": [{"name": "check.policy.example"}],
    }
    refusal = 'Internal error occurred: failed calling webhook "check.policy.example": no endpoints available'
    diagnosis = diagnosed(parent, child, hook, event(child, "FailedCreate", refusal))
    assert causes(diagnosis)[:1] == [("webhook_unavailable", "validatingwebhookconfiguration/policy")]
