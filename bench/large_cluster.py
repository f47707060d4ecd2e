"""A cluster of thousands of pods with faults among them, served by a process that speaks the Kubernetes API.

`python -m bench.large_cluster PORT PODS`. Objects are copies of the sample's real ones. GET /bench says what was
asked for and which faults are in it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from kubetriage.cluster import open_bundle
from kubetriage.investigation import read_snapshot
from kubetriage.state.resources import RESOURCES

Object = Any  # JSON
SAMPLE = Path(__file__).parents[1] / "samples" / "shop.tar.gz"
TEMPLATE, NAMESPACE = "catalog", "shop"
PODS_OF_WORKLOAD, WORKLOADS_OF_NAMESPACE, PODS_OF_NODE = 3, 17, 50
FAULTS = 25


def build(pods: int) -> tuple[dict[str, list[Object]], list[tuple[str, str]]]:
    """(objects by plural name, [(cause, namespace/kind/name)] of the faults)."""
    template = asyncio.run(_template())
    objects: dict[str, list[Object]] = defaultdict(list)
    faults: list[tuple[str, str]] = []
    count = max(pods // PODS_OF_WORKLOAD, FAULTS)
    nodes = max(pods // PODS_OF_NODE, 1)
    objects["nodes"] = [_renamed(template["nodes"][0], {"node-1": f"node-{n}"}) for n in range(nodes)]
    spaces = {f"team-{number // WORKLOADS_OF_NAMESPACE}" for number in range(count)}
    shop = next(one for one in template["namespaces"] if one["metadata"]["name"] == NAMESPACE)
    objects["namespaces"] = [_renamed(shop, {f'"{NAMESPACE}"': f'"{space}"'}) for space in sorted(spaces)]
    every = count // FAULTS
    for number in range(count):
        workload = _workload(template, number, nodes)
        if number % every == 0 and len(faults) < FAULTS:
            faults.append(_break(workload, len(faults), number))
        for plural, items in workload.items():
            objects[plural].extend(items)
    return objects, faults


async def _template() -> dict[str, list[Object]]:
    """The sample's healthy workload with everything that belongs to it."""
    reader = open_bundle(SAMPLE)
    snapshot = await read_snapshot(reader, RESOURCES, None)
    await reader.aclose()
    found: dict[str, list[Object]] = {plural: list(snapshot.items(plural)) for plural in ("nodes", "namespaces")}
    for plural in ("deployments", "replicasets", "pods", "services", "endpoints", "endpointslices", "events"):
        found[plural] = [one for one in snapshot.items(plural) if _is_template(one)]
    return found


def _is_template(item: Object) -> bool:
    about = item.get("involvedObject") or item.get("regarding") or item["metadata"]
    name = str(about.get("name"))
    return about.get("namespace") == NAMESPACE and (name == TEMPLATE or name.startswith(f"{TEMPLATE}-"))


def _renamed(item: Object, names: dict[str, str]) -> Object:
    text = json.dumps(item)
    for old, new in names.items():
        text = text.replace(old, new)
    found: Object = json.loads(text)
    return found


def _workload(template: dict[str, list[Object]], number: int, nodes: int) -> dict[str, list[Object]]:
    names = {
        f'"{NAMESPACE}"': f'"team-{number // WORKLOADS_OF_NAMESPACE}"',
        TEMPLATE: f"app{number}",
        "-0000-": f"-{number:04x}-",
    }
    found = {
        plural: [_renamed(one, names) for one in items]
        for plural, items in template.items()
        if plural not in {"nodes", "namespaces", "pods", "events"}
    }
    first = template["pods"][0]
    old = first["metadata"]["name"]
    found["pods"], found["events"] = [], []
    for index in range(PODS_OF_WORKLOAD):
        node = {"node-1": f"node-{(number * PODS_OF_WORKLOAD + index) % nodes}"}
        own = (
            names | {old: f"app{number}-5dcc7f5867-p{index}", first["metadata"]["uid"]: f"uid-{number}-{index}"} | node
        )
        # The whole pod name first: it holds the template's name.
        ordered = {old: own.pop(old), **own}
        found["pods"].append(_renamed(first, ordered))
        about = [one for one in template["events"] if (one.get("involvedObject") or {}).get("name") == old]
        found["events"].extend(_renamed(one, ordered) for one in about)
    return found


def _break(workload: dict[str, list[Object]], kind: int, number: int) -> tuple[str, str]:
    """Breaks a workload in one of five ways; (cause, object to change)."""
    space, name = f"team-{number // WORKLOADS_OF_NAMESPACE}", f"app{number}"
    deployment = f"{space}/deployment/{name}"
    match kind % 5:
        case 0:
            killed = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-23T12:46:10Z"}
            _wait(workload, "CrashLoopBackOff", "back-off 40s restarting failed container", terminated=killed)
            return "oom_killed", deployment
        case 1:
            message = f'Back-off pulling image "registry.example/{name}:9": ErrImagePull: manifest unknown: not found'
            _wait(workload, "ImagePullBackOff", message)
            return "image_not_found", deployment
        case 2:
            _wait(workload, "CreateContainerConfigError", f'configmap "{name}-settings" not found')
            source = [{"configMapRef": {"name": f"{name}-settings"}}]
            for one in (*workload["pods"], *workload["deployments"], *workload["replicasets"]):
                spec = one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"]
                spec["containers"][0]["envFrom"] = source
            return "config_map_missing", deployment
        case 3:
            for pod in workload["pods"]:
                pod["spec"].pop("nodeName", None)
                message = "0/100 nodes are available: 100 Insufficient memory."
                condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
                pod["status"] = {"phase": "Pending", "conditions": [condition]}
            _unavailable(workload)
            return "insufficient_memory", deployment
        case _:
            workload["services"][0]["spec"]["selector"] = {"app": f"{name}-typo"}
            _no_endpoints(workload, ready=False)
            return "service_selector_mismatch", f"{space}/service/{name}"


def _wait(workload: dict[str, list[Object]], reason: str, message: str, terminated: Object | None = None) -> None:
    for pod in workload["pods"]:
        status = pod["status"]["containerStatuses"][0]
        status.update({"ready": False, "started": False, "state": {"waiting": {"reason": reason, "message": message}}})
        status["restartCount"] = 5 if terminated else 0
        status["lastState"] = {"terminated": terminated} if terminated else {}
        for condition in pod["status"]["conditions"]:
            if condition["type"] in {"Ready", "ContainersReady"}:
                condition.update({"status": "False", "reason": "ContainersNotReady"})
        if reason != "CrashLoopBackOff":
            pod["status"]["phase"] = "Pending"
    _unavailable(workload)


def _unavailable(workload: dict[str, list[Object]]) -> None:
    for one in (*workload["deployments"], *workload["replicasets"]):
        for field in ("availableReplicas", "readyReplicas"):
            one["status"].pop(field, None)
    for condition in workload["deployments"][0]["status"].get("conditions", ()):
        if condition["type"] == "Available":
            condition.update({"status": "False", "reason": "MinimumReplicasUnavailable"})
    _no_endpoints(workload, ready=True)


def _no_endpoints(workload: dict[str, list[Object]], *, ready: bool) -> None:
    """``ready``: the addresses stay, not ready; otherwise there are none."""
    for one in workload.get("endpointslices", ()):
        if not ready:
            one["endpoints"] = []
        for endpoint in one.get("endpoints") or ():
            endpoint["conditions"] = {"ready": False, "serving": False, "terminating": False}
    for one in workload.get("endpoints", ()):
        for subset in one.get("subsets") or ():
            subset["notReadyAddresses"] = subset.pop("addresses", [])
        if not ready:
            one["subsets"] = []


def serve(port: int, pods: int) -> None:
    """Runs until it is ended."""
    objects, faults = build(pods)
    seen: list[str] = []
    cached: dict[tuple[str, str], bytes] = {}
    logged = {resource.plural for resource in RESOURCES}

    def page(plural: str, start: int, limit: int) -> bytes:
        items = objects.get(plural, [])
        following = str(start + limit) if limit and start + limit < len(items) else ""
        chosen = items[start : start + limit] if limit else items
        kind = {"kind": "List", "metadata": {"resourceVersion": "1", "continue": following}, "items": chosen}
        return orjson.dumps(kind)

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/bench":
            return web.json_response({"requests": len(seen), "faults": faults, "pods": len(objects["pods"])})
        seen.append(request.path_qs)
        if request.path == "/version":
            return web.json_response({"gitVersion": "v1.35.0"})
        plural = request.path.rsplit("/", 1)[-1]
        if plural == "log":
            return web.Response(text="2026-11-23T12:46:10Z starting\n2026-11-23T12:46:11Z listening on :8080\n")
        if plural not in logged or "metrics.k8s.io" in request.path:
            return web.json_response({"kind": "Status", "message": "not found", "code": 404}, status=404)
        key = (plural, request.query_string)
        if key not in cached:
            limit = int(request.query.get("limit", "0"))
            cached[key] = page(plural, int(request.query.get("continue") or 0), limit)
        return web.Response(body=cached[key], content_type="application/json")

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
