"""Whether a pod fits a node, for the reasons that objects show: labels, taints, cordons.

The scheduler's message counts nodes per reason; only the objects say which node nearly fitted.
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from kubetriage.state.objects import has_labels, labels_of, matches, name_of, pod_spec_of, spec_of
from kubetriage.state.snapshot import Object

_CORDON_TAINT = "node.kubernetes.io/unschedulable"
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


class Blocker(StrEnum):
    SELECTOR = "node_selector_mismatch"
    AFFINITY = "node_affinity_mismatch"
    TAINT = "taint_not_tolerated"
    CORDON = "node_cordoned"


def find_blockers(pod: Object, node: Object) -> set[Blocker]:
    """Why this node cannot take the pod, as far as labels, taints and cordons tell."""
    found: set[Blocker] = set()
    spec = pod_spec_of(pod)
    if not has_labels(spec.get("nodeSelector") or {}, _node_labels(node)):
        found.add(Blocker.SELECTOR)
    if not matches_node_affinity(spec, node):
        found.add(Blocker.AFFINITY)
    if spec_of(node).get("unschedulable"):
        found.add(Blocker.CORDON)
    if untolerated(spec, node):
        found.add(Blocker.TAINT)
    return found


def matches_node_affinity(spec: Mapping[str, Any], node: Object) -> bool:
    """requiredDuringSchedulingIgnoredDuringExecution: one of the terms, all of its expressions."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(_matches_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def untolerated(spec: Mapping[str, Any], node: Object) -> list[str]:
    """Taints that keep the pod away, as ``key=value:effect``; the cordon's own taint not among them."""
    return [
        _taint_text(taint)
        for taint in spec_of(node).get("taints") or ()
        if taint.get("effect") in ("NoSchedule", "NoExecute")
        and taint.get("key") != _CORDON_TAINT
        and not any(_tolerates(toleration, taint) for toleration in spec.get("tolerations") or ())
    ]


def is_control_plane(node: Object) -> bool:
    return any(key in labels_of(node) for key in _CONTROL_PLANE)


def nearest_nodes(pod: Object, nodes: Sequence[Object]) -> list[tuple[Object, set[Blocker]]]:
    """Nodes with the fewest blockers. Control-plane nodes are kept for other things and only count
    when there is nothing else."""
    candidates = [node for node in nodes if not is_control_plane(node) and not _is_reserved(node)] or nodes
    judged = [(node, find_blockers(pod, node)) for node in candidates]
    least = min((len(blockers) for _, blockers in judged), default=0)
    return [(node, blockers) for node, blockers in judged if len(blockers) == least]


def _node_labels(node: Object) -> Mapping[str, str]:
    """The kubelet sets the hostname label; captures that drop it must not make it a mismatch."""
    return {"kubernetes.io/hostname": name_of(node), **labels_of(node)}


def _is_reserved(node: Object) -> bool:
    """A control-plane node by name: some installers set no role label but cordon it for good."""
    return spec_of(node).get("unschedulable") is True and name_of(node).startswith(("master", "control-plane"))


def _matches_term(term: Mapping[str, Any], node: Object) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False  # an empty term matches no node
    named = {"metadata.name": name_of(node)}
    return matches({"matchExpressions": expressions}, _node_labels(node)) and matches(
        {"matchExpressions": fields}, named
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    effect, key = toleration.get("effect"), toleration.get("key")
    if effect and effect != taint.get("effect"):
        return False
    if toleration.get("operator") == "Exists":
        return not key or key == taint.get("key")
    return key == taint.get("key") and (toleration.get("value") or "") == (taint.get("value") or "")


def _taint_text(taint: Mapping[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"
