"""Pods that lost their place to more important ones and find no other.

https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from kubetriage.contracts.diagnosis import ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView, EventNote
from kubetriage.state.objects import condition, name_of, namespace_of, owner_of, pod_spec_of, ref_of
from kubetriage.state.snapshot import Object

_PRIORITY = '{"spec":{"template":{"spec":{"priorityClassName":"<class>"}}}}'
RECENT = timedelta(hours=1)  # events are kept that long by default


@rule("pods", "events", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs")
def find_preempted(view: ClusterView) -> Iterable[Suspect]:
    """Preempted lately, and its replacement still waits for a node."""
    told = [note for note in view.all_events("Preempted") if note.kind == "Pod" and _is_recent(view, note)]
    for pod in view.live_pods if told else ():
        refused = (condition(pod, "PodScheduled") or {}).get("reason") == "Unschedulable"
        if pod_spec_of(pod).get("nodeName") or not refused:
            continue
        note = next((note for note in told if _is_of_controller(note, pod)), None)
        if note is not None:
            yield _preempted(view, pod, note)


def _is_recent(view: ClusterView, note: EventNote) -> bool:
    since = view.ago(note.last)
    return since is not None and since <= RECENT


def _is_of_controller(note: EventNote, pod: Object) -> bool:
    """Of a pod that the same controller had before: its name begins with the controller's."""
    owner = owner_of(pod)
    prefix = f"{owner[1]}-" if owner is not None else name_of(pod)
    return note.namespace == namespace_of(pod) and note.name.startswith(prefix)


def _preempted(view: ClusterView, pod: Object, note: EventNote) -> Suspect:
    workload, pod_ref = view.workload_of(pod), ref_of("Pod", pod)
    refused = condition(pod, "PodScheduled") or {}
    spec = pod_spec_of(pod)
    priority = f"{spec.get('priorityClassName') or 'no priority class'} ({spec.get('priority') or 0})"
    return suspect(
        "pod_preempted",
        workload,
        title=f"{workload.name} lost its place to a pod of higher priority",
        explanation=f"{note.name} was removed for a more important pod ({quotes.shorten(note.message, 160)}), "
        f"and {pod_ref.name} finds no node.",
        evidence=[
            quotes.event(note),
            quotes.field(pod_ref, "spec.priorityClassName", priority),
            quotes.field(pod_ref, "status.conditions[PodScheduled]", str(refused.get("message") or "")),
        ],
        remediation=[
            quotes.look(
                "See who has which priority",
                "kubectl get pods -A -o custom-columns="
                "NS:.metadata.namespace,NAME:.metadata.name,PRIORITY:.spec.priority --sort-by=.spec.priority",
            ),
            quotes.change(
                "Give it a priority class of the rank that it deserves",
                quotes.kubectl(workload.namespace, f"patch {workload.short} -p '{_PRIORITY}'"),
            ),
            quotes.change("Or add a node, or lower the requests of the pods that took its place"),
        ],
        severity=Severity.CRITICAL if not _has_another(view, workload) else Severity.HIGH,
        confidence=0.97,
        runbook_query="pod preempted priority class unschedulable",
    )


def _has_another(view: ClusterView, workload: ObjectRef) -> bool:
    return any(pod_spec_of(pod).get("nodeName") for pod in view.pods_of(workload) if pod in view.live_pods)


RULES = (find_preempted,)
