"""Facts about objects as small dictionaries and as lines: what several tools share. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubetriage.state.objects import (
    container_statuses,
    containers_of,
    init_container_statuses,
    is_ready,
    labels_of,
    matches,
    name_of,
    namespace_of,
    owner_of,
    phase_of,
    pod_spec_of,
    spec_of,
    status_of,
)
from kubetriage.state.snapshot import Object


def state_of_container(status: Mapping[str, Any]) -> str:
    """``running``, ``waiting: CrashLoopBackOff``, ``terminated: OOMKilled (exit code 137)``."""
    for state, given in (status.get("state") or {}).items():
        detail = given or {}
        reason = detail.get("reason")
        code = f" (exit code {detail['exitCode']})" if "exitCode" in detail else ""
        return f"{state}: {reason}{code}" if reason else f"{state}{code}"
    return "unknown"


def pod_facts(pod: Object) -> dict[str, Any]:
    """A pod's state: phase, readiness, node, restarts and its containers."""
    statuses = [*init_container_statuses(pod), *container_statuses(pod)]
    owner = owner_of(pod)
    return {
        "namespace": namespace_of(pod),
        "name": name_of(pod),
        "phase": phase_of(pod),
        "ready": is_ready(pod),
        "node": spec_of(pod).get("nodeName"),
        "reason": status_of(pod).get("reason"),
        "message": status_of(pod).get("message"),
        "restarts": sum(int(one.get("restartCount") or 0) for one in statuses),
        "owner": f"{owner[0].lower()}/{owner[1]}" if owner else None,
        "conditions": [
            {"type": one.get("type"), "reason": one.get("reason"), "message": one.get("message")}
            for one in status_of(pod).get("conditions") or ()
            if one.get("status") == "False"
        ],
        "containers": [_container_facts(one) for one in statuses],
    }


def _container_facts(status: Mapping[str, Any]) -> dict[str, Any]:
    last = next(iter((status.get("lastState") or {}).items()), None)
    waiting = (status.get("state") or {}).get("waiting") or {}
    return {
        "name": status.get("name"),
        "image": status.get("image"),
        "ready": bool(status.get("ready")),
        "restarts": int(status.get("restartCount") or 0),
        "state": state_of_container(status),
        "message": waiting.get("message"),
        "last": state_of_container({"state": {last[0]: last[1]}}) if last else None,
    }


def pod_line(facts: Mapping[str, Any]) -> str:
    """A pod in one line, as in ``kubectl get pods -o wide``."""
    broken = next((c["state"] for c in facts["containers"] if not c["state"].startswith("running")), None)
    state = broken or facts["reason"] or facts["phase"]
    ready = sum(one["ready"] for one in facts["containers"])
    return (
        f"{facts['namespace']}/{facts['name']}  {ready}/{len(facts['containers'])} ready  {state}  "
        f"{facts['restarts']} restarts  node {facts['node'] or 'none'}"
    )


def pods_of(item: Object, plural: str, pods: Sequence[Object]) -> list[Object]:
    """The pods that belong to an object: itself, a workload's by its selector, a service's by its own."""
    if plural == "pods":
        return [item]
    here = [pod for pod in pods if namespace_of(pod) == namespace_of(item)]
    if plural == "nodes":
        return [pod for pod in pods if spec_of(pod).get("nodeName") == name_of(item)]
    if plural == "cronjobs":
        return [pod for pod in here if (owner_of(pod) or ("", ""))[1].startswith(f"{name_of(item)}-")]
    selector = spec_of(item).get("selector")
    if plural == "services":
        selector = {"matchLabels": selector} if selector else None
    return [pod for pod in here if matches(selector, labels_of(pod))]


def resource_facts(item: Object) -> list[dict[str, Any]]:
    """Each container's image, requests and limits as they are written."""
    found = []
    for container in containers_of(item):
        wanted = container.get("resources") or {}
        found.append(
            {
                "name": container.get("name"),
                "image": container.get("image"),
                "requests": dict(wanted.get("requests") or {}),
                "limits": dict(wanted.get("limits") or {}),
            }
        )
    return found


def workload_facts(item: Object, plural: str) -> dict[str, Any]:
    """Replicas, images and service account of anything that makes pods."""
    spec, status = spec_of(item), status_of(item)
    wanted = spec.get("replicas", 1) if plural in {"deployments", "statefulsets", "replicasets"} else None
    if plural == "daemonsets":
        wanted = status.get("desiredNumberScheduled")
    ready = status.get("numberReady") if plural == "daemonsets" else status.get("readyReplicas")
    return {
        "wanted": wanted,
        "ready": (ready or 0) if wanted is not None else None,
        "images": [one.get("image") for one in containers_of(item)],
        "service_account": pod_spec_of(item).get("serviceAccountName"),
        "node_selector": dict(pod_spec_of(item).get("nodeSelector") or {}),
    }
