"""The chart, installed in the cluster that KUBECONFIG names, and its gateway as a client sees it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.processes import ROOT

NAMESPACE = "kt-e2e"
RELEASE = "kt"
NAME = f"{RELEASE}-kubetriage"
NODE_PORT = 30880
# More than one laptop's worth of questions: the limits are another test's business.
VALUES = {
    "gateway": {
        "service": {"type": "NodePort", "nodePort": NODE_PORT},
        "limits": {"user": "100000/minute", "ask": "100000/minute", "address": "100000/minute"},
    },
    "agent": {"replicaCount": 2},
}


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True, seconds: float = 300) -> str:
    done = subprocess.run(
        ["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    if check and done.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def helm(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["helm", *arguments], input=stdin, capture_output=True, text=True, timeout=900, check=False
    )  # fmt: skip
    if done.returncode != 0:
        pods = kubectl("-n", NAMESPACE, "get", "pods", "-o", "wide", check=False)
        raise AssertionError(f"helm {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}\n{pods}")
    return done.stdout


def missing() -> str | None:
    """Why this cannot be tried here; None when it can."""
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    lacking = [tool for tool in ("kubectl", "helm") if shutil.which(tool) is None]
    return f"no {' and no '.join(lacking)} in PATH" if lacking else None


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def values(*changes: dict[str, Any]) -> str:
    """``E2E_VALUES`` (JSON) says where this cluster's images are."""
    found = merged(VALUES, json.loads(os.environ.get("E2E_VALUES", "{}")))
    for change in changes:
        found = merged(found, change)
    return json.dumps(found)


def upgrade(*changes: dict[str, Any]) -> None:
    """Install or upgrade, until everything is ready."""
    arguments = ["upgrade", "--install", RELEASE, str(ROOT / "helm/kubetriage"), "-n", NAMESPACE, "-f", "-"]
    helm(*arguments, "--wait", "--timeout", "8m", stdin=values(*changes))


def ready_pods(component: str) -> list[str]:
    """Names of the component's pods that are ready and not being deleted."""
    found = json.loads(kubectl("-n", NAMESPACE, "get", "pods", "-l", selector(component), "-o", "json"))
    return [item["metadata"]["name"] for item in found["items"] if _is_ready(item)]


def selector(component: str) -> str:
    return f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={component}"


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions: Iterable[dict[str, str]] = pod["status"].get("conditions") or ()
    good = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return good and "deletionTimestamp" not in pod["metadata"]


@dataclass(frozen=True, slots=True)
class Address:
    """The gateway on a node's port; ``host`` is a name that it answers to."""

    url: str
    host: str
    password: str


def address() -> Address:
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    inner = next(one["address"] for one in nodes[0]["status"]["addresses"] if one["type"] == "InternalIP")
    secret = kubectl("-n", NAMESPACE, "get", "secret", f"{NAME}-first-user", "-o", "jsonpath={.data.password}")
    return Address(f"http://{inner}:{NODE_PORT}", f"{NAME}-gateway", base64.b64decode(secret).decode())
