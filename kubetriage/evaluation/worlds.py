"""Small clusters from a few lines of YAML, as captured ones: what is not said is healthy. Pure.

namespace: shop
apps:
  orders:                       # a Deployment with its ReplicaSet, pods and Service
    replicas: 2
    container: {resources: {limits: {memory: 64Mi}}}
    state: {waiting: {reason: CrashLoopBackOff}}
    ended: {exitCode: 137, reason: OOMKilled}
    restarts: 7
    log: |
      loading
    events:
    - {reason: BackOff, message: back-off restarting failed container}
objects: []                     # whole API objects
without: [services]             # resources that could not be read
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from kubetriage.cluster.bundle import BundleCluster
from kubetriage.cluster.bundle.files import ArchiveFiles
from kubetriage.cluster.bundle.layouts import build_index
from kubetriage.state.resources import RESOURCES

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_PLURALS = {resource.kind: resource for resource in RESOURCES}
_Object = dict[str, Any]


def open_world(description: Mapping[str, Any], name: str = "world") -> BundleCluster:
    """The cluster that ``description`` tells of, at noon of 2026-11-23. Raises KeyError for an unknown kind."""
    namespace = str(description.get("namespace", "shop"))
    objects: list[_Object] = [
        {"kind": "Namespace", "metadata": _meta(one, None), "status": {"phase": "Active"}}
        for one in (namespace, *description.get("namespaces", ()))
    ]
    objects += [_node(one) for one in description.get("nodes", ({"name": "node-1"},))]
    files: dict[str, bytes] = {}
    for app, told in description.get("apps", {}).items():
        objects += _app(app, told or {}, str((told or {}).get("namespace", namespace)), files)
    objects += [_whole(one, namespace) for one in description.get("objects", ())]
    missing = frozenset(description.get("without", ()))
    for resource in RESOURCES:
        if resource.plural in missing or resource.plural == "secrets":
            continue
        items = [one for one in objects if _PLURALS[one["kind"]].plural == resource.plural]
        files[f"cluster-resources/{resource.plural}.json"] = orjson.dumps({"kind": "List", "items": items})
    gaps = [{"resource": one, "verb": "list", "status": 403, "reason": "forbidden"} for one in sorted(missing)]
    about = {"collectedAt": _time(0), "serverVersion": "v1.35.0", "logs": "raw", "scope": "all", "unreadable": gaps}
    files["collection.json"] = orjson.dumps(about)
    return BundleCluster(name, ArchiveFiles(files), build_index(sorted(files)))


def _time(minutes_ago: float) -> str:
    return (AT - timedelta(minutes=minutes_ago)).isoformat().replace("+00:00", "Z")


def _meta(name: str, namespace: str | None, **more: Any) -> _Object:
    uid = hashlib.sha256(f"{namespace}/{name}".encode()).hexdigest()[:12]
    about = {"name": name, "uid": f"uid-{uid}", "creationTimestamp": _time(60), **more}
    return {**about, "namespace": namespace} if namespace else about


def _whole(given: Mapping[str, Any], namespace: str) -> _Object:
    """A whole object; what every object has is filled in."""
    item = copy.deepcopy(dict(given))
    about = item.get("metadata") or {}
    where = about.get("namespace", namespace) if _PLURALS[item["kind"]].namespaced else None
    return {**item, "metadata": {**_meta(str(about.get("name")), where), **about}}


def _node(told: Mapping[str, Any]) -> _Object:
    ready = str(told.get("ready", "True"))
    condition = {"type": "Ready", "status": ready, "reason": "KubeletReady" if ready == "True" else "NodeStatusUnknown"}
    allocatable = {"cpu": "4", "memory": "8Gi", "pods": "110", **told.get("allocatable", {})}
    return {
        "kind": "Node",
        "metadata": _meta(str(told["name"]), None, labels={"kubernetes.io/hostname": told["name"]}),
        "spec": dict(told.get("spec", {})),
        "status": {"conditions": [condition], "allocatable": allocatable, "capacity": allocatable},
    }


def _app(app: str, told: Mapping[str, Any], namespace: str, files: dict[str, bytes]) -> list[_Object]:
    replicas, broken = int(told.get("replicas", 1)), bool(told.get("state") or told.get("phase") == "Pending")
    container = {"name": "app", "image": f"registry.example/{app}:1.0", "ports": [{"containerPort": 8080}]}
    container |= told.get("container", {})
    template = {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [container, *told.get("sidecars", ())], **told.get("pod", {})},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template}
    ready = 0 if broken else replicas
    counts = {"replicas": replicas, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": replicas}
    revision = {"deployment.kubernetes.io/revision": "1"}
    owner = [{"kind": "Deployment", "name": app, "controller": True}]
    found: list[_Object] = [
        {"kind": "Deployment", "metadata": _meta(app, namespace, annotations=revision), "spec": spec, "status": counts},
        {
            "kind": "ReplicaSet",
            "metadata": _meta(f"{app}-6f4d8c9b7", namespace, annotations=revision, ownerReferences=owner),
            "spec": spec,
            "status": counts,
        },
    ]
    if told.get("service", True):
        port = {"port": 8080, "targetPort": 8080, "protocol": "TCP", **told.get("port", {})}
        wanted = {"selector": told.get("selector", {"app": app}), "ports": [port]}
        found.append({"kind": "Service", "metadata": _meta(app, namespace), "spec": wanted})
    for number in range(replicas):
        pod = _pod(app, number, told, namespace, template)
        found.append(pod)
        found += [_event(pod, entry, number, n) for n, entry in enumerate(told.get("events", ()))]
        place = f"cluster-resources/pods/logs/{namespace}/{pod['metadata']['name']}/app"
        for suffix, field in (("", "log"), ("-previous", "previous")):
            if field in told:
                files[f"{place}{suffix}.log"] = str(told[field]).encode()
    return found


def _pod(app: str, number: int, told: Mapping[str, Any], namespace: str, template: Mapping[str, Any]) -> _Object:
    broken, restarts = "state" in told, int(told.get("restarts", 0))
    phase = str(told.get("phase", "Running"))
    about = _meta(
        f"{app}-6f4d8c9b7-{'bcdfghjkmn'[number % 10]}x{number}wz",
        namespace,
        labels={"app": app},
        annotations=dict(told.get("annotations", {})),
        ownerReferences=[{"kind": "ReplicaSet", "name": f"{app}-6f4d8c9b7", "controller": True}],
    )
    ended = {"startedAt": _time(2), "finishedAt": _time(1), **told["ended"]} if "ended" in told else None
    status = {
        "name": "app",
        "image": template["spec"]["containers"][0]["image"],
        "ready": not broken,
        "restartCount": restarts,
        "state": told.get("state", {"running": {"startedAt": _time(50)}}),
        "lastState": {"terminated": ended} if ended else {},
    }
    ready = {"type": "Ready", "status": "True" if phase == "Running" and not broken else "False"}
    scheduled = phase == "Running" or broken
    return {
        "kind": "Pod",
        "metadata": about,
        "spec": {**copy.deepcopy(template["spec"]), **({"nodeName": told.get("node", "node-1")} if scheduled else {})},
        "status": {
            "phase": phase,
            "containerStatuses": [status] if scheduled else [],
            "conditions": [*told.get("conditions", ()), ready],
        },
    }


def _event(pod: _Object, told: Mapping[str, Any], number: int, place: int) -> _Object:
    about = pod["metadata"]
    target = {"kind": "Pod", "name": about["name"], "namespace": about["namespace"], "uid": about["uid"]}
    return {
        "kind": "Event",
        "metadata": _meta(f"{about['name']}.{number}{place}", about["namespace"]),
        "involvedObject": {**target, **told.get("about", {})},
        "reason": told["reason"],
        "message": told["message"],
        "type": told.get("type", "Warning"),
        "count": told.get("count", 5),
        "firstTimestamp": _time(6),
        "lastTimestamp": _time(told.get("ago", 1)),
    }
