"""Small healthy API objects for tests: each builder's defaults describe something that works."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Diagnosis, Scope, Unreadable
from kubetriage.diagnosis import diagnose
from kubetriage.state import LogKey, LogText, Snapshot
from kubetriage.state.resources import RESOURCES

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NAMESPACE = "shop"
_uids = itertools.count(1)
_PLURALS = {resource.kind: resource.plural for resource in RESOURCES}


def at(minutes_ago: float) -> str:
    return (NOW - timedelta(minutes=minutes_ago)).isoformat().replace("+00:00", "Z")


def meta(name: str, namespace: str | None = NAMESPACE, *, age: float = 60, **more: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name, "uid": f"uid-{next(_uids)}", "creationTimestamp": at(age), **more}
    return {**about, "namespace": namespace} if namespace else about


def container(name: str = "app", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": f"registry.example/{name}:1", "ports": [{"containerPort": 8080}], **more}


def status(name: str = "app", *, ready: bool = True, restarts: int = 0, **more: Any) -> dict[str, Any]:
    state = more.pop("state", {"running": {"startedAt": at(50)}})
    return {"name": name, "ready": ready, "restartCount": restarts, "state": state, "lastState": {}, **more}


def pod(
    app: str = "payments",
    *,
    containers: list[dict[str, Any]] | None = None,
    statuses: list[dict[str, Any]] | None = None,
    phase: str = "Running",
    owner: tuple[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    age: float = 60,
    conditions: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    statuses = [status()] if statuses is None else statuses
    ready = phase == "Running" and all(entry["ready"] for entry in statuses)
    kind, name = owner or ("ReplicaSet", f"{app}-6f")
    about = meta(f"{app}-6f-{next(_uids)}", age=age, labels=dict(labels or {"app": app}))
    about["ownerReferences"] = [{"kind": kind, "name": name, "controller": True}]
    return {
        "kind": "Pod",
        "metadata": about,
        "spec": {"containers": containers or [container()], "nodeName": "node-1", **spec},
        "status": {
            "phase": phase,
            "containerStatuses": statuses,
            "conditions": conditions or [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def deployment(
    app: str = "payments", *, replicas: int = 1, available: int | None = None, **template: Any
) -> list[dict[str, Any]]:
    """The Deployment and its ReplicaSet."""
    have = replicas if available is None else available
    pod_template = {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container()], **template}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": pod_template}
    revision = {"deployment.kubernetes.io/revision": "1"}
    parent = {
        "kind": "Deployment",
        "metadata": meta(app, annotations=revision),
        "spec": spec,
        "status": {"replicas": replicas, "availableReplicas": have, "updatedReplicas": replicas},
    }
    about = meta(f"{app}-6f", annotations=revision)
    about["ownerReferences"] = [{"kind": "Deployment", "name": app, "controller": True}]
    child = {
        "kind": "ReplicaSet",
        "metadata": about,
        "spec": spec,
        "status": {"replicas": replicas, "readyReplicas": have},
    }
    return [parent, child]


def service(
    name: str = "payments", *, selector: Mapping[str, str] | None = None, port: int = 8080, **more: Any
) -> dict[str, Any]:
    entry = {"port": port, "targetPort": more.pop("target", 8080), "protocol": more.pop("protocol", "TCP")}
    return {
        "kind": "Service",
        "metadata": meta(name),
        "spec": {"selector": dict(selector or {"app": name}), "ports": [entry], **more},
    }


def node(
    name: str = "node-1", *, ready: str = "True", labels: Mapping[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": "KubeletReady" if ready == "True" else "NodeStatusUnknown"}
    return {
        "kind": "Node",
        "metadata": meta(name, None, labels=dict(labels or {})),
        "spec": spec,
        "status": {"conditions": [condition], "allocatable": {"cpu": "4", "memory": "8Gi"}},
    }


def event(
    about: Mapping[str, Any], reason: str, message: str, *, ago: float = 1, count: int = 5, **more: Any
) -> dict[str, Any]:
    target = {
        "kind": about["kind"],
        "name": about["metadata"]["name"],
        "namespace": about["metadata"].get("namespace"),
        "uid": about["metadata"]["uid"],
    }
    return {
        "kind": "Event",
        "metadata": meta(f"event-{next(_uids)}"),
        "involvedObject": target,
        "reason": reason,
        "message": message,
        "type": more.pop("type", "Warning"),
        "count": count,
        "firstTimestamp": at(ago + 5),
        "lastTimestamp": at(ago),
    }


def snapshot(
    *items: Any, logs: Mapping[tuple[str, str], str] | None = None, unread: tuple[str, ...] = (), **more: Any
) -> Snapshot:
    """Everything in ``items`` (nested lists are flattened); every other kind was read and is empty.
    ``logs``: (pod, container) to text of the previous and current run. ``unread``: plurals."""
    objects: dict[str, list[Any]] = {resource.plural: [] for resource in RESOURCES if resource.plural not in unread}
    for item in _flat(items):
        objects[_PLURALS[item["kind"]]].append(item)
    texts = {
        LogKey(NAMESPACE, name, of, previous): LogText(text)
        for (name, of), text in (logs or {}).items()
        for previous in (False, True)
    }
    gaps = tuple(Unreadable(resource=plural, status=403, reason="forbidden") for plural in unread)
    return Snapshot(objects=objects, collected_at=NOW, namespaces=(NAMESPACE,), logs=texts, unreadable=gaps, **more)


def diagnosed(*items: Any, question: str | None = None, **more: Any) -> Diagnosis:
    return diagnose(snapshot(*items, **more), Scope(namespace=NAMESPACE, question=question))


def causes(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """(cause, kind/name) of each incident, best first."""
    return [(entry.root_cause.cause, entry.root_cause.object.short) for entry in diagnosis.incidents]


def _flat(items: Any) -> list[Any]:
    return [leaf for item in items for leaf in (_flat(item) if isinstance(item, list | tuple) else [item])]
