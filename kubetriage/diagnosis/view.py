"""The snapshot as rules want to see it: pods by workload, events by object, Services by pod."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from kubetriage.contracts.diagnosis import Evidence, EvidenceKind, ObjectRef, Scope
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.objects import (
    created_at,
    deleted_at,
    has_labels,
    labels_of,
    name_of,
    namespace_of,
    owner_of,
    phase_of,
    ref_of,
    spec_of,
)
from kubetriage.state.snapshot import Object, Snapshot
from kubetriage.state.times import parse_time

Value = TypeVar("Value")

# What a person edits to change pods, and how its plural is called.
WORKLOAD_KINDS = {
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "replicasets": "ReplicaSet",
    "replicationcontrollers": "ReplicationController",
    "jobs": "Job",
    "cronjobs": "CronJob",
}
_PLURALS = {kind: plural for plural, kind in WORKLOAD_KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventNote:
    """An Event, reduced to what rules use. ``last`` is None when the event has no time at all."""

    reason: str
    message: str
    kind: str
    name: str
    namespace: str | None
    warning: bool
    count: int
    first: datetime | None
    last: datetime | None
    field_path: str

    def evidence(self) -> Evidence:
        return Evidence(
            kind=EvidenceKind.EVENT,
            source=ObjectRef(kind=self.kind, name=self.name, namespace=self.namespace),
            where=self.reason,
            quote=self.message,
            time=self.last,
            count=self.count,
        )


class ClusterView:
    """Indexes over one snapshot, each built when first asked for."""

    def __init__(self, snapshot: Snapshot, scope: Scope) -> None:
        self.snapshot = snapshot
        self.scope = scope
        self.now = snapshot.collected_at
        self.asked_for_logs = False
        self._derived: dict[str, Any] = {}
        self._derived_from_logs: dict[str, Any] = {}
        self._workloads: dict[tuple[str, str | None, str], ObjectRef] = {}

    def derive(self, name: str, make: Callable[[], Value]) -> Value:
        """What ``make`` returns, made once per view: for what several rules work out from objects alone."""
        if name not in self._derived:
            self._derived[name] = make()
        found: Value = self._derived[name]
        return found

    def derive_from_logs(self, name: str, make: Callable[[], Value]) -> Value:
        """As ``derive``, of what logs say as well."""
        self.asked_for_logs = True
        if name not in self._derived_from_logs:
            self._derived_from_logs[name] = make()
        found: Value = self._derived_from_logs[name]
        return found

    def with_logs(self, snapshot: Snapshot) -> ClusterView:
        """The same objects with more logs: everything that was worked out from objects alone is kept."""
        following = copy.copy(self)
        following.snapshot = snapshot
        following._derived_from_logs = {}
        return following

    # -- workloads and pods ---------------------------------------------------------------------

    @property
    def pods(self) -> Sequence[Object]:
        return self.snapshot.items("pods")

    @cached_property
    def live_pods(self) -> list[Object]:
        """Pods that should be doing something: not finished, not being deleted."""
        return [pod for pod in self.pods if deleted_at(pod) is None and phase_of(pod) not in ("Succeeded", "Failed")]

    def workload_of(self, item: Object, kind: str = "Pod") -> ObjectRef:
        """Up the owners to what a person edits: the Deployment behind a ReplicaSet, the CronJob
        behind a Job; the object itself when nothing owns it."""
        key = (kind, namespace_of(item), name_of(item))
        found = self._workloads.get(key)
        if found is None:
            found = self._workloads[key] = self._climb(item, kind)
        return found

    def _climb(self, item: Object, kind: str) -> ObjectRef:
        current, current_kind = item, kind
        for _ in range(4):  # Pod, ReplicaSet, Deployment, an operator's resource: never a cycle
            owner = owner_of(current)
            if owner is None:
                break
            owner_kind, owner_name = owner
            plural = _PLURALS.get(owner_kind)
            if plural is None:
                break  # a Node (static pod) or an operator's own kind: the last known one is editable
            found = self.snapshot.get(plural, namespace_of(item), owner_name)
            if found is None:
                return self._unread_owner(item, owner_kind, owner_name)
            current, current_kind = found, owner_kind
        return ref_of(current_kind, current)

    def _unread_owner(self, item: Object, kind: str, name: str) -> ObjectRef:
        """The Deployment of a ReplicaSet that was not read, by the pod-template-hash in its name."""
        suffix = labels_of(item).get("pod-template-hash")
        if kind == "ReplicaSet" and suffix and name.endswith(f"-{suffix}"):
            return ObjectRef(kind="Deployment", name=name[: -len(suffix) - 1], namespace=namespace_of(item))
        return ObjectRef(kind=kind, name=name, namespace=namespace_of(item))

    @cached_property
    def pods_by_workload(self) -> Mapping[ObjectRef, list[Object]]:
        grouped: dict[ObjectRef, list[Object]] = defaultdict(list)
        for pod in self.pods:
            grouped[self.workload_of(pod)].append(pod)
        return grouped

    def pods_of(self, workload: ObjectRef) -> list[Object]:
        return self.pods_by_workload.get(workload, [])

    def workloads(self) -> Iterator[tuple[ObjectRef, Object]]:
        """Deployments, StatefulSets and DaemonSets, and ReplicaSets that nobody owns."""
        for plural in ("deployments", "statefulsets", "daemonsets"):
            for item in self.snapshot.items(plural):
                yield ref_of(WORKLOAD_KINDS[plural], item), item
        for item in self.snapshot.items("replicasets"):
            if owner_of(item) is None:
                yield ref_of("ReplicaSet", item), item

    def find(self, ref: ObjectRef) -> Object | None:
        plural = _PLURALS.get(ref.kind) or _OTHER_PLURALS.get(ref.kind)
        return self.snapshot.get(plural, ref.namespace, ref.name) if plural else None

    def current_replica_set(self, deployment: Object) -> Object | None:
        """The newest ReplicaSet of a Deployment, by its revision annotation."""
        owned = self.replica_sets_of(deployment)
        return owned[-1] if owned else None

    def replica_sets_of(self, deployment: Object) -> list[Object]:
        """Oldest revision first."""
        wanted = (namespace_of(deployment), name_of(deployment))
        return sorted(self._replica_sets.get(wanted, ()), key=_revision)

    @cached_property
    def _replica_sets(self) -> Mapping[tuple[str | None, str], list[Object]]:
        grouped: dict[tuple[str | None, str], list[Object]] = defaultdict(list)
        for item in self.snapshot.items("replicasets"):
            owner = owner_of(item)
            if owner is not None:
                grouped[(namespace_of(item), owner[1])].append(item)
        return grouped

    # -- Services -------------------------------------------------------------------------------

    @cached_property
    def service_pods(self) -> Mapping[tuple[str | None, str], list[Object]]:
        """(namespace, Service) to the live pods that its selector matches."""
        by_namespace: dict[str | None, list[Object]] = defaultdict(list)
        for pod in self.live_pods:
            by_namespace[namespace_of(pod)].append(pod)
        index: dict[tuple[str | None, str], list[Object]] = {}
        for service in self.snapshot.items("services"):
            selector = spec_of(service).get("selector") or {}
            candidates = by_namespace[namespace_of(service)] if selector else []
            index[(namespace_of(service), name_of(service))] = [
                pod for pod in candidates if has_labels(selector, labels_of(pod))
            ]
        return index

    def pods_behind(self, service: Object) -> list[Object]:
        return self.service_pods.get((namespace_of(service), name_of(service)), [])

    @cached_property
    def services_of_workload(self) -> Mapping[ObjectRef, list[Object]]:
        """Workload to the Services whose selector matches its pod template (or its pods)."""
        by_namespace: dict[str | None, list[tuple[ObjectRef, Mapping[str, str]]]] = defaultdict(list)
        for ref, item in self.workloads():
            template = (spec_of(item).get("template") or {}).get("metadata") or {}
            by_namespace[ref.namespace].append((ref, template.get("labels") or {}))
        found: dict[ObjectRef, list[Object]] = defaultdict(list)
        for service in self.snapshot.items("services"):
            selector = spec_of(service).get("selector")
            if not selector:
                continue
            for ref, labels in by_namespace[namespace_of(service)]:
                if has_labels(selector, labels):
                    found[ref].append(service)
        return found

    # -- events ---------------------------------------------------------------------------------

    @cached_property
    def _events(self) -> Mapping[tuple[str, str | None, str], list[EventNote]]:
        grouped: dict[tuple[str, str | None, str], list[EventNote]] = defaultdict(list)
        for item in self.snapshot.items("events"):
            note = _event_note(item)
            if self._is_of_this_object(item, note):
                grouped[(note.kind, note.namespace, note.name)].append(note)
        for notes in grouped.values():
            notes.sort(key=lambda note: note.last or _BEGIN)
        return grouped

    def _is_of_this_object(self, event: Object, note: EventNote) -> bool:
        """Objects come again under the same name: an event of an earlier one is not evidence."""
        if note.kind != "Pod":
            return True
        uid = (event.get("involvedObject") or {}).get("uid")
        pod = self.snapshot.get("pods", note.namespace, note.name)
        if pod is None:
            return True
        if uid and pod["metadata"].get("uid") == uid:
            return True
        born = created_at(pod)
        return born is None or note.last is None or note.last >= born - timedelta(minutes=1)

    def events_of(self, ref: ObjectRef, *reasons: str) -> list[EventNote]:
        """Events of an object, oldest first; only of these reasons when any are given."""
        notes = self._events.get((ref.kind, ref.namespace, ref.name), [])
        return [note for note in notes if note.reason in reasons] if reasons else notes

    def all_events(self, *reasons: str) -> Iterator[EventNote]:
        for notes in self._events.values():
            for note in notes:
                if not reasons or note.reason in reasons:
                    yield note

    # -- logs -----------------------------------------------------------------------------------

    def log(self, pod: Object, container: str, *, previous: bool = False) -> LogText | None:
        self.asked_for_logs = True
        key = LogKey(namespace_of(pod) or "", name_of(pod), container, previous)
        return self.snapshot.logs.get(key)

    def all_logs(self) -> Iterable[LogText]:
        self.asked_for_logs = True
        return self.snapshot.logs.values()

    # -- namespaces -----------------------------------------------------------------------------

    def in_scope(self, namespace: str | None) -> bool:
        return self.snapshot.namespaces is None or namespace is None or namespace in self.snapshot.namespaces

    def ago(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else self.now - moment


_OTHER_PLURALS = {
    "Pod": "pods",
    "Service": "services",
    "Node": "nodes",
    "Namespace": "namespaces",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "PersistentVolume": "persistentvolumes",
    "ConfigMap": "configmaps",
    "Ingress": "ingresses",
    "Gateway": "gateways",
    "HTTPRoute": "httproutes",
    "ResourceQuota": "resourcequotas",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
}
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


def _revision(replica_set: Object) -> tuple[int, str]:
    annotations = replica_set["metadata"].get("annotations") or {}
    text = annotations.get("deployment.kubernetes.io/revision", "0")
    return (int(text) if text.isdigit() else 0, replica_set["metadata"].get("creationTimestamp") or "")


def _event_note(item: Object) -> EventNote:
    about: Mapping[str, Any] = item.get("involvedObject") or {}
    series: Mapping[str, Any] = item.get("series") or {}
    last = series.get("lastObservedTime") or item.get("lastTimestamp") or item.get("eventTime")
    first = item.get("firstTimestamp") or item.get("eventTime") or last
    cluster_scoped = about.get("kind") in _CLUSTER_SCOPED
    return EventNote(
        reason=str(item.get("reason") or ""),
        message=str(item.get("message") or "").strip(),
        kind=str(about.get("kind") or ""),
        name=str(about.get("name") or ""),
        namespace=None if cluster_scoped else about.get("namespace") or namespace_of(item),
        warning=item.get("type") == "Warning",
        count=int(series.get("count") or item.get("count") or 1),
        first=parse_time(first),
        last=parse_time(last or item["metadata"].get("creationTimestamp")),
        field_path=str(about.get("fieldPath") or ""),
    )


_CLUSTER_SCOPED = ("Node", "Namespace", "PersistentVolume")
