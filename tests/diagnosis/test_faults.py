"""Each fault is named with its cause and object, and its healthy twin stays silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubetriage.contracts.diagnosis import Outcome
from tests.diagnosis.build import (
    at,
    causes,
    container,
    deployment,
    diagnosed,
    event,
    meta,
    node,
    pod,
    service,
    status,
)

WAITING_IMAGE = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}


def _pull(message: str, **spec: Any) -> list[Any]:
    broken = pod(phase="Pending", statuses=[status(ready=False, state=WAITING_IMAGE)], **spec)
    return [
        *deployment(available=0),
        service(),
        broken,
        event(broken, "Failed", f'Failed to pull image "x": {message}'),
    ]


def _waiting(reason: str, message: str) -> list[Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    broken = pod(phase="Pending", statuses=[status(ready=False, state=state)])
    return [*deployment(available=0), broken]


def _ended(reason: str, code: int, *, ago: float = 1, restarts: int = 6) -> dict[str, Any]:
    end = {"terminated": {"reason": reason, "exitCode": code, "startedAt": at(ago + 1), "finishedAt": at(ago)}}
    return status(ready=False, restarts=restarts, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=end)


def _unscheduled(message: str, **spec: Any) -> list[Any]:
    refused = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
    broken = pod(phase="Pending", statuses=[], conditions=refused, nodeName=None, **spec)
    return [*deployment(available=0), broken]


def _probe(kind: str, message: str, probe: dict[str, Any], **state: Any) -> list[Any]:
    field = f"{kind.lower()}Probe"
    broken = pod(containers=[container(**{field: probe})], statuses=[status(ready=False, **state)])
    return [*deployment(available=0), service(), broken, event(broken, "Unhealthy", f"{kind} probe failed: {message}")]


def _quota(resource: str) -> list[Any]:
    parent, child = deployment(available=0)
    child["status"]["replicas"] = 0
    figures = f"requested: {resource}=1, used: {resource}=9, limited: {resource}=9"
    text = f'pods "x" is forbidden: exceeded quota: team, {figures}'
    return [parent, child, event(child, "FailedCreate", f"Error creating: {text}")]


FAULTS: dict[str, tuple[Callable[[], list[Any]], str, str]] = {
    "image-not-found": (lambda: _pull("manifest unknown: not found"), "image_not_found", "deployment/payments"),
    "registry-dns": (
        lambda: _pull("dial tcp: lookup reg.example: no such host"),
        "image_registry_unreachable",
        "deployment/payments",
    ),
    "registry-refuses": (
        lambda: _pull("failed to authorize: 401 Unauthorized"),
        "image_pull_unauthorized",
        "deployment/payments",
    ),
    "pull-secret-missing": (
        lambda: _pull("failed to authorize: 403 Forbidden", imagePullSecrets=[{"name": "gone"}]),
        "image_pull_secret_missing",
        "deployment/payments",
    ),
    "secret-missing": (
        lambda: _waiting("CreateContainerConfigError", 'secret "db" not found'),
        "secret_missing",
        "deployment/payments",
    ),
    "config-key-missing": (
        lambda: _waiting("CreateContainerConfigError", "couldn't find key url in ConfigMap shop/settings"),
        "config_key_missing",
        "deployment/payments",
    ),
    "root-forbidden": (
        lambda: _waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
        "run_as_non_root_violation",
        "deployment/payments",
    ),
    "oom": (
        lambda: [
            *deployment(available=0),
            pod(
                containers=[container(resources={"limits": {"memory": "64Mi"}})],
                statuses=[_ended("OOMKilled", 137)],
            ),
        ],
        "oom_killed",
        "deployment/payments",
    ),
    "crash": (
        lambda: [*deployment(available=0), pod(statuses=[_ended("Error", 1)])],
        "crash_loop",
        "deployment/payments",
    ),
    "clean-exit": (
        lambda: [*deployment(available=0), pod(statuses=[_ended("Completed", 0)])],
        "container_exits_cleanly",
        "deployment/payments",
    ),
    "cpu": (
        lambda: [node(), *_unscheduled("0/1 nodes are available: 1 Insufficient cpu.")],
        "insufficient_cpu",
        "deployment/payments",
    ),
    "node-selector": (
        lambda: [
            node(),
            *_unscheduled(
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
                nodeSelector={"disk": "ssd"},
            ),
        ],
        "node_selector_mismatch",
        "deployment/payments",
    ),
    "taint": (
        lambda: [
            node(taints=[{"key": "gpu", "effect": "NoSchedule"}]),
            *_unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint {gpu: }."),
        ],
        "taint_not_tolerated",
        "deployment/payments",
    ),
    "cordon": (
        lambda: [
            node(unschedulable=True),
            *_unscheduled("0/1 nodes are available: 1 node(s) were unschedulable."),
        ],
        "node_cordoned",
        "deployment/payments",
    ),
    "readiness-port": (
        lambda: _probe(
            "Readiness", "dial tcp 10.0.0.1:9999: connect: connection refused", {"tcpSocket": {"port": 9999}}
        ),
        "readiness_probe_wrong_port",
        "deployment/payments",
    ),
    "readiness-protocol": (
        lambda: _probe("Readiness", "malformed HTTP response", {"httpGet": {"port": 8080, "path": "/"}}),
        "readiness_probe_wrong_protocol",
        "deployment/payments",
    ),
    "selector": (
        lambda: [*deployment(), pod(), service(selector={"app": "paymnets"})],
        "service_selector_mismatch",
        "service/payments",
    ),
    "target-port": (
        lambda: [*deployment(), pod(), service(target="web")],
        "service_port_mismatch",
        "service/payments",
    ),
    "protocol": (
        lambda: [*deployment(), pod(), service(protocol="UDP")],
        "service_protocol_mismatch",
        "service/payments",
    ),
    "zero": (lambda: [*deployment(replicas=0), service()], "zero_replicas", "deployment/payments"),
    "pods-quota": (lambda: _quota("pods"), "pods_quota_exceeded", "namespace/shop"),
    "memory-quota": (lambda: _quota("requests.memory"), "memory_quota_exceeded", "namespace/shop"),
    "kubelet": (
        lambda: [node(ready="Unknown"), *deployment(), pod()],
        "kubelet_unavailable",
        "node/node-1",
    ),
    "address": (
        lambda: [
            *deployment("checkout", containers=[container(env=[{"name": "PAYMENTS_ADDR", "value": "payment:8080"}])]),
            *deployment(),
            pod(),
            pod("checkout"),
            service(),
        ],
        "service_address_wrong",
        "deployment/checkout",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_first_incident_with_its_cause_and_object(name: str) -> None:
    build, cause, target = FAULTS[name]
    diagnosis = diagnosed(*build())
    assert causes(diagnosis)[:1] == [(cause, target)]
    finding = diagnosis.incidents[0].root_cause
    assert finding.evidence
    assert any(step.command for step in finding.remediation)


HEALTHY: dict[str, Callable[[], list[Any]]] = {
    "everything-well": lambda: [node(), *deployment(), pod(), service()],
    "one-restart-long-ago": lambda: [
        *deployment(),
        pod(statuses=[status(restarts=1, lastState=_ended("Error", 1, ago=600)["lastState"])]),
        service(),
    ],
    "scaled-to-zero-and-nobody-needs-it": lambda: deployment(replicas=0),
    "image-still-pulling": lambda: [
        *deployment(available=0),
        pod(
            phase="Pending", age=0.2, statuses=[status(ready=False, state={"waiting": {"reason": "ContainerCreating"}})]
        ),
    ],
    "readiness-failed-once-at-the-start": lambda: [
        *deployment(),
        (ready := pod(containers=[container(readinessProbe={"tcpSocket": {"port": 8080}})])),
        event(ready, "Unhealthy", "Readiness probe failed: dial tcp: connect: connection refused", ago=50, count=1),
        service(),
    ],
    "leader-election-service": lambda: [
        *deployment(),
        pod(),
        service(),
        {"kind": "Service", "metadata": meta("leader"), "spec": {"ports": [{"port": 1}]}},
    ],
    "refused-long-ago-and-created-since": lambda: [
        *(pair := deployment()),
        pod(),
        event(pair[1], "FailedCreate", 'serviceaccount "payments" not found', ago=55),
        service(),
    ],
    "finished-pod": lambda: [pod("report", phase="Succeeded", owner=("Job", "report"), statuses=[])],
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_twin_has_no_incident(name: str) -> None:
    diagnosis = diagnosed(*HEALTHY[name]())
    assert causes(diagnosis) == []
    assert diagnosis.outcome is Outcome.NO_FAULT_FOUND


def test_a_caller_of_a_broken_service_joins_that_incident() -> None:
    settings = [{"name": "PAYMENTS_ADDR", "value": "payments:8080"}]
    checkout = pod("checkout", containers=[container(env=settings)], statuses=[status(ready=False)])
    line = 'level=error err="dial tcp: payments:8080: connect: connection refused"'
    diagnosis = diagnosed(
        *deployment("checkout", available=0, containers=[container(env=settings)]),
        checkout,
        service("checkout"),
        *deployment(available=0),
        pod(statuses=[_ended("OOMKilled", 137)], containers=[container(resources={"limits": {"memory": "64Mi"}})]),
        service(),
        logs={(checkout["metadata"]["name"], "app"): line},
        question="Why is checkout failing?",
    )
    assert causes(diagnosis) == [("oom_killed", "deployment/payments")]
    incident = diagnosis.incidents[0]
    assert incident.title.startswith("checkout fails because payments is OOMKilled")
    assert incident.chain[0].object.name == "checkout"
    assert incident.chain[-1].object.short == "deployment/payments"


def test_unreadable_secrets_are_not_absent_secrets() -> None:
    faults = _pull("failed to authorize: 403 Forbidden", imagePullSecrets=[{"name": "there"}])
    diagnosis = diagnosed(*faults, unread=("secrets",))
    assert causes(diagnosis) == [("image_pull_unauthorized", "deployment/payments")]


def test_unreadable_pods_make_it_inconclusive_with_the_right_that_is_needed() -> None:
    diagnosis = diagnosed(*deployment(), service(), unread=("pods",))
    assert diagnosis.outcome is Outcome.INCONCLUSIVE
    assert "needs list pods" in diagnosis.summary
