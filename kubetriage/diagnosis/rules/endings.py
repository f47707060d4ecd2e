"""Things that do not go away, and pods that were sent away."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

from kubetriage.contracts.diagnosis import ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView, EventNote
from kubetriage.state.objects import (
    condition,
    deleted_at,
    is_ready,
    namespace_of,
    phase_of,
    pod_spec_of,
    ref_of,
    status_of,
)
from kubetriage.state.snapshot import Object

# Past the grace period the kubelet kills; a minute more covers its own retries.
PATIENCE = timedelta(minutes=1)
RECENT = timedelta(minutes=30)
SETTLED = timedelta(minutes=5)


@rule("pods", "namespaces", "apiservices", "deployments", "replicasets", "statefulsets")
def find_endless_deletions(view: ClusterView) -> Iterable[Suspect]:
    for plural, kind in (("pods", "Pod"), ("namespaces", "Namespace")):
        for item in view.snapshot.items(plural):
            since = view.ago(deleted_at(item))
            if since is not None and since > PATIENCE:
                yield _endless(view, kind, item, since)


def _waits_for_api(item: Object) -> bool:
    """The namespace controller cannot list what is left, because some API does not answer."""
    found = condition(item, "NamespaceDeletionDiscoveryFailure") or {}
    return found.get("status") == "True"


@rule("pods", "events", "deployments", "replicasets", "statefulsets", "daemonsets")
def find_evictions(view: ClusterView) -> Iterable[Suspect]:
    """Evicted lately, by the kubelet's event: the pod may still be ending, or be gone already.
    One eviction that its workload has recovered from is history."""
    for note in view.all_events("Evicted"):
        since = view.ago(note.last)
        if note.kind != "Pod" or since is None or since > RECENT:
            continue
        pod = view.snapshot.get("pods", note.namespace, note.name)
        workload = view.workload_of(pod) if pod is not None else _by_pod_name(view, note)
        if workload is None or (since > SETTLED and _is_well(view, workload)):
            continue
        message = note.message
        node = pod_spec_of(pod).get("nodeName") if pod is not None else None
        yield suspect(
            "pod_evicted",
            workload,
            title=f"pods of {workload.name} are evicted",
            explanation=f"{note.name} was evicted: {quotes.shorten(message, 200)}",
            evidence=[quotes.event(note)],
            remediation=[
                quotes.look("See the node", f"kubectl describe node {node or ''}".strip()),
                quotes.change(
                    "Raise the limit that the message names, or use less",
                    quotes.kubectl(workload.namespace, f"edit {workload.short}"),
                ),
            ],
            severity=Severity.HIGH,
            confidence=0.9,
        )


def _by_pod_name(view: ClusterView, note: EventNote) -> ObjectRef | None:
    """The workload of a pod that is gone: its name is the pod's without the generated endings."""
    for ref, _ in view.workloads():
        if ref.namespace == note.namespace and re.fullmatch(rf"{re.escape(ref.name)}(-[a-z0-9]+){{1,2}}", note.name):
            return ref
    return None


def _is_well(view: ClusterView, workload: ObjectRef) -> bool:
    live = [pod for pod in view.pods_of(workload) if phase_of(pod) != "Failed"]
    return bool(live) and all(is_ready(pod) for pod in live)


def _endless(view: ClusterView, kind: str, item: Object, since: timedelta) -> Suspect:
    ref = ref_of(kind, item)
    finalizers = [str(entry) for entry in item["metadata"].get("finalizers") or ()]
    evidence = [quotes.field(ref, "metadata.deletionTimestamp", str(item["metadata"].get("deletionTimestamp")))]
    if finalizers:
        evidence.append(quotes.field(ref, "metadata.finalizers", ", ".join(finalizers)))
    evidence.extend(
        quotes.field(ref, f"status.conditions[{entry.get('type')}]", str(entry.get("message")))
        for entry in status_of(item).get("conditions") or ()
        if kind == "Namespace" and entry.get("status") == "True"
    )
    cause = "namespace_stuck_terminating" if kind == "Namespace" else (
        "finalizer_blocking" if finalizers else "pod_stuck_terminating"
    )  # fmt: skip
    target = view.workload_of(item) if kind == "Pod" else ref
    # A kubelet that is gone confirms no end: then the node is the fault.
    node = pod_spec_of(item).get("nodeName") if cause == "pod_stuck_terminating" else None
    nodes = [ObjectRef(kind="Node", name=str(node))] if node else []
    apis = [ref_of("APIService", api) for api in view.snapshot.items("apiservices")] if _waits_for_api(item) else []
    held = f", held by {quotes.list_names(finalizers)}" if finalizers else ""
    where = namespace_of(item)
    return suspect(
        cause,
        target,
        title=f"{ref.short} is being deleted and does not go{held}",
        explanation=f"{ref.short} was deleted {int(since.total_seconds())} s ago and is still there{held}.",
        evidence=evidence,
        remediation=[
            quotes.look("See what remains", quotes.kubectl(where, f"get {ref.short} -o yaml")),
            quotes.change(
                "Repair the controller that owns the finalizer; remove it by hand only when nothing is left to do",
                quotes.kubectl(where, f"edit {ref.short}"),
            ),
        ],
        severity=Severity.HIGH,
        confidence=0.9,
        depth=Depth.EFFECT if apis else Depth.CAUSE,
        blames=(*apis, *nodes),
    )


RULES = (find_endless_deletions, find_evictions)
