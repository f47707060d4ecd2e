"""Workloads without the pods that they should have: scaled to zero, paused, or simply too few.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import start_allowance
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.rules.nodes import SCHEDULER
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import (
    annotations_of,
    condition,
    created_at,
    name_of,
    pod_spec_of,
    ref_of,
    spec_of,
    status_of,
)
from kubetriage.state.snapshot import Object
from kubetriage.state.times import parse_time

_READS = (
    "deployments", "statefulsets", "daemonsets", "replicasets", "pods", "services", "events",
    "horizontalpodautoscalers", "endpoints",
)  # fmt: skip
# Longer than the start of ordinary programs; a slow one has a progress deadline of 10 minutes.
PATIENCE = timedelta(minutes=3)
# Operators that scale to zero on purpose mark what they manage.
_SCALERS = ("autoscaling.knative.dev", "scaledobject.keda.sh", "keda.sh", "downscaler/", "kube-green")


@rule(*_READS)
def find_zero_replicas(view: ClusterView) -> Iterable[Suspect]:
    """Scaled to zero although a Service counts on it. Without a Service nobody misses it."""
    for workload, item in view.workloads():
        if spec_of(item).get("replicas") != 0 or _sleeps_on_purpose(view, workload, item):
            continue
        services = [
            service
            for service in view.services_of_workload.get(workload, ())
            if not view.pods_behind(service) and _may_be_missed(view, workload, service)
        ]
        if services:
            yield _zero(view, workload, item, services)


@rule(*_READS)
def find_paused_rollouts(view: ClusterView) -> Iterable[Suspect]:
    """Paused, and the template is newer than the pods."""
    for item in view.snapshot.items("deployments"):
        status = status_of(item)
        behind = int(status.get("updatedReplicas") or 0) < int(spec_of(item).get("replicas") or 0)
        if not spec_of(item).get("paused") or not behind:
            continue
        ref = ref_of("Deployment", item)
        yield suspect(
            "rollout_paused",
            ref,
            title=f"the rollout of {ref.name} is paused halfway",
            explanation=f"{ref.short} has spec.paused and {status.get('updatedReplicas') or 0} of "
            f"{spec_of(item).get('replicas')} pods of the new revision.",
            evidence=[quotes.field(ref, "spec.paused", "true")],
            remediation=[quotes.change("Resume it", quotes.kubectl(ref.namespace, f"rollout resume {ref.short}"))],
            severity=Severity.MEDIUM,
            confidence=0.9,
        )


@rule(*_READS)
def find_missing_pods(view: ClusterView) -> Iterable[Suspect]:
    """Too few available pods: the symptom that other rules explain; alone when nothing else says
    why. A rollout that makes progress is healthy."""
    for workload, item in view.workloads():
        wanted = _wanted(item)
        status = status_of(item)
        have = int(status.get("availableReplicas") or status.get("numberAvailable") or status.get("readyReplicas") or 0)
        if wanted == 0 or have >= wanted or not _is_overdue(view, workload, item, have):
            continue
        yield _too_few(view, workload, item, wanted, have)


@rule("statefulsets", "services")
def find_missing_governing_services(view: ClusterView) -> Iterable[Suspect]:
    """A StatefulSet whose headless Service is not there gives its pods no names."""
    for item in view.snapshot.items("statefulsets"):
        name, ref = spec_of(item).get("serviceName"), ref_of("StatefulSet", item)
        if not name or not view.snapshot.was_read("services", ref.namespace):
            continue
        if view.snapshot.get("services", ref.namespace, str(name)) is None:
            yield suspect(
                "stateful_set_service_missing",
                ref,
                title=f"{ref.name} has no governing Service: {name} does not exist",
                explanation=f"{ref.short} names Service {name}, so its pods get no stable DNS names.",
                evidence=[quotes.field(ref, "spec.serviceName", str(name))],
                remediation=[
                    quotes.change(
                        f"Create headless Service {name} with the StatefulSet's selector",
                        quotes.kubectl(ref.namespace, f"create service clusterip {name} --clusterip=None"),
                    )
                ],
                severity=Severity.MEDIUM,
                confidence=0.9,
            )


def _wanted(item: Object) -> int:
    replicas = spec_of(item).get("replicas")
    if replicas is not None:
        return int(replicas)
    return int(status_of(item).get("desiredNumberScheduled") or 1)


def _sleeps_on_purpose(view: ClusterView, workload: ObjectRef, item: Object) -> bool:
    if any(key.startswith(_SCALERS) for key in annotations_of(item)):
        return True
    for scaler in view.snapshot.in_namespace("horizontalpodautoscalers", workload.namespace):
        target = spec_of(scaler).get("scaleTargetRef") or {}
        if target.get("name") == workload.name and spec_of(scaler).get("minReplicas") == 0:
            return True
    return False


def _may_be_missed(view: ClusterView, workload: ObjectRef, service: Object) -> bool:
    """Feature-flag daemons and the like ship scaled down beside a Service; what was never scaled
    up has no revision history and no event."""
    if spec_of(service).get("type") == "ExternalName":
        return False
    item = view.find(workload)
    revision = annotations_of(item).get("deployment.kubernetes.io/revision") if item is not None else None
    return bool(revision) or workload.kind != "Deployment" or bool(view.events_of(workload, "ScalingReplicaSet"))


def _zero(view: ClusterView, workload: ObjectRef, item: Object, services: list[Object]) -> Suspect:
    names = quotes.list_names([name_of(service) for service in services])
    evidence: list[Evidence] = [quotes.field(workload, "spec.replicas", "0")]
    evidence += [
        quotes.field(ref_of("Service", s), "spec.selector", spec_of(s).get("selector") or {}) for s in services[:1]
    ]
    scaled = [note for note in view.events_of(workload, "ScalingReplicaSet") if "Scaled down" in note.message]
    evidence += [quotes.event(note) for note in scaled[-1:]]
    before = _replicas_before(view, item)
    return suspect(
        "zero_replicas",
        workload,
        title=f"{workload.name} is scaled to zero",
        explanation=f"{workload.short} has spec.replicas 0, while Service {names} needs its pods.",
        evidence=evidence,
        remediation=[
            quotes.look("See who scaled it", quotes.kubectl(workload.namespace, f"describe {workload.short}")),
            quotes.change(
                "Scale it up",
                quotes.kubectl(workload.namespace, f"scale {workload.short} --replicas={before}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.92,
    )


def _replicas_before(view: ClusterView, item: Object) -> int:
    """What the newest ReplicaSet was last told to have, by the controller's own annotation."""
    current = view.current_replica_set(item)
    text = annotations_of(current).get("deployment.kubernetes.io/desired-replicas", "") if current else ""
    return int(text) if text.isdigit() and int(text) > 0 else 1


def _is_overdue(view: ClusterView, workload: ObjectRef, item: Object, have: int) -> bool:
    progressing = condition(item, "Progressing") or {}
    if progressing.get("status") == "False":
        return True
    if not view.snapshot.was_read("pods", workload.namespace):
        return False  # its pods may have been started a moment ago
    pods = view.pods_of(workload)
    if not pods and workload.kind == "Deployment" and not view.snapshot.was_read("replicasets", workload.namespace):
        return False  # nothing tells which pods are its own
    youngest = max((time for pod in pods if (time := created_at(pod)) is not None), default=None)
    begun = youngest or parse_time(progressing.get("lastUpdateTime")) or created_at(item)
    waited = view.ago(begun)
    # A ready pod counts as available when it has been so for that long.
    patience = PATIENCE + timedelta(seconds=int(spec_of(item).get("minReadySeconds") or 0))
    patience += max((start_allowance(pod) for pod in pods), default=timedelta())
    if have > 0 and progressing.get("reason") == "ReplicaSetUpdated" and waited is not None and waited < patience:
        return False
    return waited is None or waited >= patience or not pods


def _too_few(view: ClusterView, workload: ObjectRef, item: Object, wanted: int, have: int) -> Suspect:
    progressing, available = condition(item, "Progressing") or {}, condition(item, "Available") or {}
    evidence = [quotes.field(workload, "status.availableReplicas", f"{have} of {wanted}")]
    evidence.extend(
        quotes.field(workload, f"status.conditions[{found['type']}]", f"{found.get('reason')}: {found['message']}")
        for found in (progressing, available)
        if found.get("status") == "False" and found.get("message")
    )
    hosts = {pod_spec_of(pod).get("nodeName") for pod in view.pods_of(workload)}
    blames = [ObjectRef(kind="Node", name=str(host)) for host in sorted(filter(None, hosts))]
    if None in hosts:
        blames.append(SCHEDULER)
    stuck = progressing.get("reason") == "ProgressDeadlineExceeded"
    return suspect(
        "rollout_stuck" if stuck else "replicas_unavailable",
        workload,
        title=f"{workload.name} has {have} of {wanted} pods available",
        explanation=f"{workload.short} wants {wanted} pods and has {have} available"
        f"{'; its rollout makes no progress' if stuck else ''}.",
        evidence=evidence,
        remediation=[
            quotes.look("See its pods", quotes.kubectl(workload.namespace, "get pods -o wide")),
            quotes.look("See its events", quotes.kubectl(workload.namespace, f"describe {workload.short}")),
        ],
        severity=Severity.HIGH if have == 0 else Severity.MEDIUM,
        confidence=0.55,
        depth=Depth.SYMPTOM,
        blames=tuple(blames),
    )


RULES = (find_zero_replicas, find_paused_rollouts, find_missing_pods, find_missing_governing_services)
