"""Is there what was asked about at all? A misspelt name must never be answered with "no fault found"."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from kubetriage.contracts.diagnosis import Scope
from kubetriage.state.resources import RESOURCES, Resource
from kubetriage.state.snapshot import Snapshot

# kubectl's short names (kubectl api-resources), of the kinds that people type.
_SHORT = {
    "cj": "cronjobs",
    "cm": "configmaps",
    "deploy": "deployments",
    "ds": "daemonsets",
    "ep": "endpoints",
    "hpa": "horizontalpodautoscalers",
    "ing": "ingresses",
    "netpol": "networkpolicies",
    "no": "nodes",
    "ns": "namespaces",
    "pdb": "poddisruptionbudgets",
    "po": "pods",
    "pv": "persistentvolumes",
    "pvc": "persistentvolumeclaims",
    "quota": "resourcequotas",
    "rs": "replicasets",
    "sa": "serviceaccounts",
    "sc": "storageclasses",
    "sts": "statefulsets",
    "svc": "services",
}


def find_missing_target(snapshot: Snapshot, scope: Scope) -> str | None:
    """Why there can be no answer: the scope's namespace or object is not there, or its kind was not read.

    None when it is there, or when nothing says that it is not.
    """
    if scope.namespace is not None and _namespace_is_missing(snapshot, scope.namespace):
        near = _nearest(scope.namespace, _names(snapshot, "namespaces", None))
        return f"there is no namespace {scope.namespace}{near}"
    if scope.name is None:
        return None
    kinds = _resources_called(scope.kind)
    names = {name for kind in kinds for name in _names(snapshot, kind.plural, scope.namespace)}
    if scope.name in names:
        return None
    where = f" in namespace {scope.namespace}" if scope.namespace else ""
    subject = f"{scope.kind or 'object'}/{scope.name}{where}"
    if scope.kind is not None and not any(snapshot.was_read(kind.plural, scope.namespace) for kind in kinds):
        return f"cannot tell about {subject}: {kinds[0].plural if kinds else scope.kind} were not read"
    return f"there is no {subject}{_nearest(scope.name, names)}"


def _namespace_is_missing(snapshot: Snapshot, namespace: str) -> bool:
    """Only when the namespaces were read, and nothing else that was read lives in it."""
    known = _names(snapshot, "namespaces", None)
    if not known or namespace in known:
        return False
    return not any(snapshot.in_namespace(plural, namespace) for plural in snapshot.objects)


def _resources_called(kind: str | None) -> Sequence[Resource]:
    """Those that ``kind`` may mean: Kind, plural, singular or short name. Without a kind, all."""
    if kind is None:
        return RESOURCES
    wanted = _SHORT.get(kind.lower(), kind.lower()).partition(".")[0]
    return [resource for resource in RESOURCES if wanted in {resource.plural, resource.kind.lower()}]


def _names(snapshot: Snapshot, plural: str, namespace: str | None) -> set[str]:
    """Of the objects of this kind that are in ``namespace`` (None: anywhere) or cluster-wide."""
    found = snapshot.items(plural) if namespace is None else snapshot.in_namespace(plural, namespace)
    return {item["metadata"]["name"] for item in (*found, *snapshot.in_namespace(plural, None))}


def _nearest(name: str, names: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=3)
    return f"; did you mean {', '.join(near)}?" if near else ""
