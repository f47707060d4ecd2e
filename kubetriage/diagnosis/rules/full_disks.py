"""Disks without space: the program's word in its log, or the kubelet's when it cannot make the container.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Remediation, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.complaints import find_complaints
from kubetriage.diagnosis.containers import ContainerRun, find_runs, is_in_trouble
from kubetriage.diagnosis.logs import Symptom
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.rules.runtime import find_mount
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import pod_spec_of, ref_of

NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
# The kernel answers ENOSPC also to who has no inotify watch left: the disk has room then.
_WATCHES = re.compile(r"inotify|fsnotify|file watchers|\bwatch\b", re.IGNORECASE)
# The kubelet tries again every five minutes at the latest: what it said before twice that is over.
RECENT = timedelta(minutes=10)


@rule("pods", "events", "nodes", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs")
def find_full_disks(view: ClusterView) -> Iterable[Suspect]:
    for entry in find_complaints(view):
        if entry.hit.symptom is Symptom.DISK_FULL and not _WATCHES.search(entry.hit.line):
            yield _full(view, entry.run, entry.hit.line, [entry.evidence()])
    for run in find_runs(view):
        evidence = list(_refusals(view, run))
        if evidence:
            yield _full(view, run, evidence[0].quote, evidence)


def _refusals(view: ClusterView, run: ContainerRun) -> Iterator[Evidence]:
    """Where the kubelet says so: it writes image layers, volumes and the container itself to the node's disk."""
    if run.ready or not (run.waiting_reason or is_in_trouble(run, view.now)):
        return
    pod_ref = ref_of("Pod", run.pod)
    for field, state in (("state.waiting", run.state.get("waiting")), ("lastState.terminated", run.last_end)):
        message = str((state or {}).get("message") or "")
        if NO_SPACE.search(message):
            yield quotes.field(pod_ref, f"status.containerStatuses[{run.name}].{field}.message", message)
    for note in view.events_of(pod_ref, "Failed", "FailedMount", "FailedCreatePodSandBox")[-2:]:
        mine = not note.field_path or f"{{{run.name}}}" in note.field_path
        if mine and NO_SPACE.search(note.message) and (note.last is None or view.now - note.last <= RECENT):
            yield quotes.event(note)


def _full(view: ClusterView, run: ContainerRun, line: str, evidence: list[Evidence]) -> Suspect:
    workload, pod_ref = view.workload_of(run.pod), ref_of("Pod", run.pod)
    mounts = {str(mount.get("mountPath")): str(mount.get("name")) for mount in run.spec.get("volumeMounts") or ()}
    path = find_mount(line, mounts)
    claim = _claim_of(run, mounts[path]) if path else None
    node = pod_spec_of(run.pod).get("nodeName")
    if path:
        evidence.append(quotes.field(pod_ref, f"spec.containers[{run.name}].volumeMounts", f"{mounts[path]}: {path}"))
    return suspect(
        "disk_full",
        workload,
        title=f"{workload.name} fails: {f'its volume at {path}' if path else 'a disk that it writes to'} is full",
        explanation=f"Container {run.name} of {pod_ref.name}: {quotes.shorten(line, 240)}",
        evidence=evidence,
        remediation=_steps(workload, run, pod_ref, path, claim),
        severity=Severity.HIGH if run.ready else Severity.CRITICAL,
        confidence=0.94,
        blames=() if claim or not node else (ObjectRef(kind="Node", name=str(node)),),
    )


def _claim_of(run: ContainerRun, volume: str) -> str | None:
    for entry in pod_spec_of(run.pod).get("volumes") or ():
        if entry.get("name") == volume:
            name = (entry.get("persistentVolumeClaim") or {}).get("claimName")
            return str(name) if name else None
    return None


def _steps(
    workload: ObjectRef, run: ContainerRun, pod: ObjectRef, path: str | None, claim: str | None
) -> list[Remediation]:
    where = f" {path}" if path else ""
    look = quotes.look(
        "See how full it is", quotes.kubectl(workload.namespace, f"exec {pod.name} -c {run.name} -- df -h{where}")
    )
    if claim is None:
        return [
            look,
            quotes.change(
                "Free space: what the program need not keep, or what else fills the node's disk",
                quotes.kubectl(workload.namespace, f"edit {workload.short}"),
            ),
        ]
    patch = '{"spec":{"resources":{"requests":{"storage":"<amount>"}}}}'
    return [
        look,
        quotes.change(
            f"Free space, or enlarge claim {claim} (where its class has allowVolumeExpansion)",
            quotes.kubectl(workload.namespace, f"patch pvc {claim} -p '{patch}'"),
        ),
    ]


RULES = (find_full_disks,)
