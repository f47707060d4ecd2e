"""Faults of claims, volumes, quotas and what else keeps pods out, each beside a near miss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubetriage.contracts.diagnosis import Diagnosis
from tests.diagnosis.build import at, causes, container, deployment, diagnosed, event, meta, node, pod, service, status

APP = "deployment/payments"
DATA = "persistentvolumeclaim/data"
USES_DATA = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
WRITES_DATA = {"containers": [container(volumeMounts=[{"name": "data", "mountPath": "/data"}])], **USES_DATA}
READS_SETTINGS = {
    "containers": [container(volumeMounts=[{"name": "settings", "mountPath": "/etc/nginx/conf.d"}])],
    "volumes": [{"name": "settings", "configMap": {"name": "settings"}}],
}


def _claim(*, phase: str = "Pending", age: float = 60, size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    wants = {"accessModes": ["ReadWriteOnce"], "storageClassName": "manual", **spec}
    wants["resources"] = {"requests": {"storage": size}}
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": meta("data", age=age),
        "spec": wants,
        "status": {"phase": phase},
    }


def _volume(name: str = "disk-1", **labels: str) -> dict[str, Any]:
    """1 GiB for one node."""
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "manual", "capacity": {"storage": "1Gi"}}
    return {
        "kind": "PersistentVolume",
        "metadata": meta(name, None, labels=labels),
        "spec": spec,
        "status": {"phase": "Available"},
    }


def _class(name: str = "manual", provisioner: str = "kubernetes.io/no-provisioner") -> dict[str, Any]:
    return {"kind": "StorageClass", "metadata": meta(name, None), "provisioner": provisioner}


def _waits(message: str, *more: Any, heard: str = "", unread: tuple[str, ...] = (), **spec: Any) -> Diagnosis:
    """A pod with claim ``data`` that the scheduler refuses; ``heard``: what it said ten minutes ago."""
    text = f"0/1 nodes are available: {message}"
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
    item = pod(phase="Pending", statuses=[], conditions=[said], nodeName=None, **USES_DATA, **spec)
    earlier = [event(item, "FailedScheduling", heard, ago=10)] if heard else []
    now = [] if "events" in unread else [event(item, "FailedScheduling", text)]
    return diagnosed(*deployment(available=0, **USES_DATA), service(), node(), item, earlier, now, *more, unread=unread)


def _unbound(claim: dict[str, Any], *more: Any, told: str = "no volume plugin matched") -> Diagnosis:
    note = event(claim, "ProvisioningFailed", told, count=21)
    return _waits("pod has unbound immediate PersistentVolumeClaims. not found", claim, note, *more)


def _runs(*more: Any, heard: str = "", reason: str = "FailedScheduling", log: str = "", **spec: Any) -> Diagnosis:
    """A ready pod, and what was said of it ten minutes ago."""
    item = pod(**{**USES_DATA, **spec})
    notes = [event(item, reason, heard, ago=10)] if heard else []
    logs = {(item["metadata"]["name"], "app"): log}
    return diagnosed(*deployment(**USES_DATA), service(), node(), item, notes, *more, logs=logs)


def _unmounted(said: str, *, age: float = 20, count: int = 8) -> Diagnosis:
    creating = status(ready=False, state={"waiting": {"reason": "ContainerCreating"}})
    item = pod(phase="Pending", statuses=[creating], age=age, **USES_DATA)
    bound = _claim(phase="Bound", volumeName="disk-1")
    note = event(item, "FailedMount", said, ago=0.05, count=count)
    return diagnosed(*deployment(available=0, **USES_DATA), service(), node(), item, bound, note)


def _crashes(log: str, **spec: Any) -> Diagnosis:
    end = {"exitCode": 1, "reason": "Error", "startedAt": at(1.1), "finishedAt": at(1)}
    back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 2m40s restarting failed container"}}
    item = pod(statuses=[status(ready=False, restarts=5, state=back_off, lastState={"terminated": end})], **spec)
    logs = {(item["metadata"]["name"], "app"): log}
    return diagnosed(*deployment(available=0), service(), node(), item, _claim(phase="Bound"), logs=logs)


def _unmade(reason: str, message: str, *, told: str = "") -> Diagnosis:
    """A container that the kubelet has no room for."""
    item = pod(
        phase="Pending", statuses=[status(ready=False, state={"waiting": {"reason": reason, "message": message}})]
    )
    notes = [event(item, "Failed", told)] if told else []
    return diagnosed(*deployment(available=0), service(), node(), item, notes)


def _forbidden(
    why: str, *more: Any, form: str = 'pods "payments-6f-x1" is forbidden: {}', **template: Any
) -> Diagnosis:
    """A ReplicaSet whose pods admission refuses."""
    parent, child = deployment(available=0, **template)
    text = form.format(why)
    failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": text}
    child["status"] = {"replicas": 0, "conditions": [failed]}
    note = event(child, "FailedCreate", f"Error creating: {text}", count=16)
    return diagnosed(parent, child, service(), note, *more)


def _admitted(why: str, *more: Any, **template: Any) -> Diagnosis:
    """The same ReplicaSet once its pods are there; the event remains."""
    parent, child = deployment(**template)
    note = event(child, "FailedCreate", f'Error creating: pods "x" is forbidden: {why}', ago=10)
    return diagnosed(parent, child, service(), pod(**template), note, *more)


def _rolled_forward(why: str) -> Diagnosis:
    """The revision that was refused is scaled down, the next one runs."""
    parent, child = deployment()
    old = {**child, "metadata": {**meta("payments-5e"), "ownerReferences": child["metadata"]["ownerReferences"]}}
    failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": why}
    old |= {"spec": {**child["spec"], "replicas": 0}, "status": {"replicas": 0, "conditions": [failed]}}
    return diagnosed(parent, child, old, service(), pod(), event(old, "FailedCreate", why))


def _quota(resource: str, *, used: str, hard: str) -> dict[str, Any]:
    figures = {"hard": {resource: hard}, "used": {resource: used}}
    return {"kind": "ResourceQuota", "metadata": meta("team"), "spec": {}, "status": figures}


def _stateful_set(
    *more: Any, replicas: int = 1, governed_by: str = "ledger", unread: tuple[str, ...] = ()
) -> Diagnosis:
    labels = {"app": "ledger"}
    spec = {"replicas": 1, "serviceName": governed_by, "selector": {"matchLabels": labels}}
    spec["template"] = {"metadata": {"labels": labels}, "spec": {"containers": [container()]}}
    figures = {"replicas": replicas, "availableReplicas": replicas, "readyReplicas": replicas}
    item = {"kind": "StatefulSet", "metadata": meta("ledger"), "spec": spec, "status": figures}
    pods = [pod("ledger", owner=("StatefulSet", "ledger"))] if replicas else []
    notes = [] if replicas else [event(item, "FailedCreate", REFUSED_CLAIM, count=12)]
    return diagnosed(item, pods, notes, *more, unread=unread)


def _namespace(*, deleted: float | None) -> Diagnosis:
    about = meta("shop", None)
    left = "Some content in the namespace has finalizers remaining: example.com/backup in 1 resource instances"
    kept = {"type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain", "message": left}
    if deleted is not None:
        about["deletionTimestamp"] = at(deleted)
    phase = {"phase": "Active"} if deleted is None else {"phase": "Terminating", "conditions": [kept]}
    return diagnosed({"kind": "Namespace", "metadata": about, "spec": {"finalizers": ["kubernetes"]}, "status": phase})


NO_CLAIM = 'persistentvolumeclaim "data" not found. not found'
NO_CLASS = 'storageclass.storage.k8s.io "manual" not found'
ELSEWHERE = "1 node(s) didn't match PersistentVolume's node affinity."
NO_DIRECTORY = 'MountVolume.SetUp failed for volume "data" : hostPath type check failed: /srv/data is not a directory'
CACHE = 'MountVolume.SetUp failed for volume "kube-api-access-x" : failed to sync configmap cache: timed out waiting'
DENIED = "sh: can't create /data/store: Permission denied\n"
NGINX = 'nginx: [emerg] mkdir() "/var/cache/nginx/client_temp" failed (13: Permission denied)\n'
FULL = 'level=error msg="compaction failed" err="write /data/wal/00012: no space left on device"\n'
NO_LAYER = "Failed to pull image: failed to extract layer: write /var/lib/blobs/1: no space left on device"
WATCHERS = "Error: ENOSPC: System limit for number of file watchers reached, watch '/data/src'\n"
SERVED = "INFO GET /orders 200\n"
CPU = "exceeded quota: team, requested: requests.cpu=100m, used: requests.cpu=100m, limited: requests.cpu=150m"
UNSTATED = "failed quota: team: must specify limits.cpu for: app; limits.memory for: app"
TOO_MUCH = "maximum memory usage per Container is 64Mi, but limit is 256Mi"
DEFAULTED = 'Pod "payments-6f-x1" is invalid: spec.containers[0].resources.requests: Invalid value: "1": {}'
ABOVE = "must be less than or equal to cpu limit of 500m"
RANGE = {
    "kind": "LimitRange",
    "metadata": meta("bounds"),
    "spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"}}]},
}
INSECURE = 'violates PodSecurity "restricted:latest": runAsNonRoot != true (pod must set runAsNonRoot=true)'
NO_ACCOUNT = 'error looking up service account shop/orders: serviceaccount "orders" not found'
NO_PRIORITY = "no PriorityClass with name tier-zero was found"
REFUSED_CLAIM = (
    "Create Pod ledger-0 in StatefulSet ledger failed error: failed to create PVC data-ledger-0: "
    'persistentvolumeclaims "data-ledger-0" is forbidden: exceeded quota: team, requested: requests.storage=1Gi, '
    "used: requests.storage=0, limited: requests.storage=500Mi"
)
MANY, LARGE, GOLD = {"accessModes": ["ReadWriteMany"]}, {"size": "5Gi"}, {"selector": {"matchLabels": {"tier": "gold"}}}

# "cause: what", as in HEALTHY.
FAULTS: dict[str, tuple[Callable[[], Diagnosis], str]] = {
    "pvc_missing: read": (lambda: _waits(NO_CLAIM), APP),
    "pvc_missing: claims may not be read": (lambda: _waits(NO_CLAIM, unread=("persistentvolumeclaims",)), APP),
    "pvc_missing: with room in the quota": (
        lambda: _waits(NO_CLAIM, _quota("requests.storage", used="1Gi", hard="10Gi")),
        APP,
    ),
    "pvc_storage_class_missing: told": (lambda: _unbound(_claim(), told=NO_CLASS), DATA),
    "pvc_storage_class_missing: of the volume too": (lambda: _unbound(_claim(), _class("fast"), _class("slow")), DATA),
    "pvc_access_mode_mismatch: class": (lambda: _unbound(_claim(**MANY), _class(), _volume()), DATA),
    "pvc_access_mode_mismatch: a class by name only": (
        lambda: _unbound(_claim(**MANY), _volume(), told=NO_CLASS),
        DATA,
    ),
    "pvc_capacity_mismatch: too small": (lambda: _unbound(_claim(**LARGE), _class(), _volume()), DATA),
    "pvc_selector_mismatch: label": (lambda: _unbound(_claim(**GOLD), _class(), _volume(tier="bronze")), DATA),
    "volume_mount_failed: host path": (lambda: _unmounted(NO_DIRECTORY), APP),
    "volume_mount_failed: once, for minutes": (lambda: _unmounted(CACHE, count=1), APP),
    "volume_permission_denied: below its mount": (lambda: _crashes(DENIED, **WRITES_DATA), APP),
    "volume_permission_denied: relative": (lambda: _crashes("store.db: permission denied", **WRITES_DATA), APP),
    "volume_node_affinity_conflict: told": (lambda: _waits(ELSEWHERE, _claim(phase="Bound")), APP),
    "volume_node_affinity_conflict: events may not be read": (
        lambda: _waits(ELSEWHERE, _claim(phase="Bound"), unread=("events",)),
        APP,
    ),
    "disk_full: crashes": (lambda: _crashes(FULL, **WRITES_DATA), APP),
    "disk_full: runs on": (lambda: _runs(log=FULL * 5, **WRITES_DATA), APP),
    "disk_full: of the node, by an event": (lambda: _unmade("ImagePullBackOff", "Back-off", told=NO_LAYER), APP),
    "disk_full: of the node, by the status": (lambda: _unmade("CreateContainerError", NO_LAYER), APP),
    "cpu_quota_exceeded: refused": (lambda: _forbidden(CPU), "namespace/shop"),
    "storage_quota_exceeded: of a stateful set": (
        lambda: _stateful_set(service("ledger"), replicas=0),
        "namespace/shop",
    ),
    "storage_quota_exceeded: of a claim that nobody could make": (
        lambda: _waits(NO_CLAIM, _quota("persistentvolumeclaims", used="3", hard="3")),
        "namespace/shop",
    ),
    "quota_requires_resources: refused": (lambda: _forbidden(UNSTATED), APP),
    "limit_range_violation: refused": (lambda: _forbidden(TOO_MUCH), APP),
    "limit_range_violation: above the default": (lambda: _forbidden(ABOVE, RANGE, form=DEFAULTED), APP),
    "pod_security_violation: refused": (lambda: _forbidden(INSECURE), APP),
    "service_account_missing: refused": (lambda: _forbidden(NO_ACCOUNT, serviceAccountName="orders"), APP),
    "priority_class_missing: refused": (lambda: _forbidden(NO_PRIORITY, priorityClassName="tier-zero"), APP),
    "stateful_set_service_missing: runs": (_stateful_set, "statefulset/ledger"),
    "namespace_stuck_terminating: for minutes": (lambda: _namespace(deleted=10), "namespace/shop"),
}

# Looks like one fault and is another.
LOOKALIKES: dict[str, tuple[Callable[[], Diagnosis], str]] = {
    "a-path-beside-the-mounts": (lambda: _crashes(NGINX, **READS_SETTINGS), "crash_loop"),
    "no-inotify-watch-left": (lambda: _crashes(WATCHERS, **WRITES_DATA), "crash_loop"),
    "a-volume-that-has-moved-since": (
        lambda: _waits("1 Insufficient memory.", _claim(phase="Bound"), heard=ELSEWHERE),
        "insufficient_memory",
    ),
}

HEALTHY: dict[str, Callable[[], Diagnosis]] = {
    "pvc_missing: made since": lambda: _runs(_claim(phase="Bound"), heard=NO_CLAIM),
    "pvc_storage_class_missing: deleted when the claim was bound": lambda: _runs(_claim(phase="Bound")),
    "pvc_access_mode_mismatch: nobody uses it yet": lambda: diagnosed(_claim(**MANY), _class(), _volume()),
    "pvc_capacity_mismatch: made a moment ago": lambda: diagnosed(
        (new := _claim(age=0.3, **LARGE)), event(new, "ProvisioningFailed", NO_CLASS), _class(), _volume()
    ),
    "pvc_selector_mismatch: another volume has the label": lambda: _runs(
        _claim(phase="Bound", **GOLD), _class(), _volume(tier="bronze"), _volume("disk-2", tier="gold")
    ),
    "volume_mount_failed: the first try of a new pod": lambda: _unmounted(CACHE, age=0.1, count=1),
    "volume_mount_failed: mounted since": lambda: _runs(
        _claim(phase="Bound"), heard=NO_DIRECTORY, reason="FailedMount"
    ),
    "volume_permission_denied: a file that it can do without": lambda: _runs(
        _claim(phase="Bound"), log=DENIED + SERVED * 20, **WRITES_DATA
    ),
    "volume_node_affinity_conflict: bound since": lambda: _runs(_claim(phase="Bound"), heard=ELSEWHERE),
    "disk_full: cleaned up since": lambda: _runs(_claim(phase="Bound"), log=FULL + SERVED * 20, **WRITES_DATA),
    "cpu_quota_exceeded: used up by what runs": lambda: _admitted(
        CPU, _quota("requests.cpu", used="150m", hard="150m")
    ),
    "storage_quota_exceeded: used up by what is bound": lambda: _runs(
        _claim(phase="Bound"), _quota("requests.storage", used="1Gi", hard="1Gi")
    ),
    "quota_requires_resources: a LimitRange has defaults since": lambda: _admitted(UNSTATED),
    "limit_range_violation: widened since": lambda: _admitted(TOO_MUCH),
    "pod_security_violation: corrected in the next revision": lambda: _rolled_forward(INSECURE),
    "service_account_missing: deleted while its pods run": lambda: _admitted("x", serviceAccountName="orders"),
    "priority_class_missing: made since": lambda: _admitted(NO_PRIORITY, priorityClassName="tier-zero"),
    "stateful_set_service_missing: there": lambda: _stateful_set(service("ledger")),
    "stateful_set_service_missing: none is named": lambda: _stateful_set(governed_by=""),
    "stateful_set_service_missing: services may not be read": lambda: _stateful_set(unread=("services",)),
    "namespace_stuck_terminating: deleted a moment ago": lambda: _namespace(deleted=0.5),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_only_incident_with_its_cause_and_object(name: str) -> None:
    build, target = FAULTS[name]
    diagnosis = build()
    assert causes(diagnosis) == [(name.partition(":")[0], target)]
    assert diagnosis.incidents[0].root_cause.evidence


@pytest.mark.parametrize("name", LOOKALIKES)
def test_what_looks_alike_is_told_apart(name: str) -> None:
    build, cause = LOOKALIKES[name]
    assert [found for found, _ in causes(build())] == [cause]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_near_miss_has_no_incident(name: str) -> None:
    assert causes(HEALTHY[name]()) == []


def test_every_fault_has_a_near_miss() -> None:
    assert {name.partition(":")[0] for name in FAULTS} == {name.partition(":")[0] for name in HEALTHY}
