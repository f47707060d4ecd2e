"""Makes the live suite's namespaces, waits until each shows its fault, asks, and cleans up."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from live_table import CHANGES, CORDONED, FAULTS, HEALTHY, LABELS, LATE, PREFIX, Fault

from kubetriage.cluster import collect_bundle, connect
from kubetriage.contracts.diagnosis import Diagnosis, Scope
from kubetriage.investigation import investigate

HERE = Path(__file__).parent
SLOWEST = 330  # seconds until every fault must have shown its sign
AT_ONCE = 4


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    done = subprocess.run(
        ["kubectl", *arguments], input=stdin, text=True, capture_output=True, timeout=120, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def read(*arguments: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(kubectl("get", *arguments, "-o", "json"))["items"]
    return items


def create(name: str, folder: str) -> None:
    """The namespace and what is in it."""
    namespace = PREFIX + name
    labels = {"kubetriage.dev/suite": "live", **LABELS.get(name, {})}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    kubectl("create", "-f", "-", stdin=json.dumps(document))
    # "service account default not found" would be an event that no fault asked for
    while not kubectl("-n", namespace, "get", "serviceaccount", "default", "--ignore-not-found"):
        time.sleep(0.2)
    kubectl("-n", namespace, "create", "-f", str(HERE / folder / f"{name}.yaml"))


def create_all(rows: Iterable[tuple[str, str]]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda row: create(*row), rows))


def apply_changes() -> None:
    """The second step of the faults that are a change of something that ran."""
    for name, commands in CHANGES.items():
        kubectl("-n", PREFIX + name, "wait", "--for=condition=Ready", "pod", "-l", "app=app", "--timeout=90s")
        for command in commands:
            kubectl("-n", PREFIX + name, *command)
    kubectl("delete", "namespace", PREFIX + "namespace-finalizer", "--wait=false")


def age_of(stamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()


def _statuses(pods: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("initContainerStatuses", "containerStatuses")
    return [status for pod in pods for name in names for status in pod["status"].get(name, ())]


def _is_unready(pod: dict[str, Any], prefix: str) -> bool:
    """Running and not ready for so long that it is no start any more."""
    ready = next((row for row in pod["status"].get("conditions", ()) if row["type"] == "Ready"), {})
    if not pod["metadata"]["name"].startswith(prefix) or pod["status"].get("phase") != "Running":
        return False
    return ready.get("status") == "False" and age_of(ready["lastTransitionTime"]) > 30


def shows(sign: str, pods: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]], age: float) -> bool:
    """Whether a namespace shows the sign (see ``live_table``)."""
    kind, _, value = sign.partition(":")
    checks: dict[str, Callable[[], bool]] = {
        "waiting": lambda: any(
            row.get("state", {}).get("waiting", {}).get("reason") == value for row in _statuses(pods)
        ),
        "event": lambda: any(value in row.get("reason", "") or value in row.get("message", "") for row in events),
        "restarts": lambda: any(row["restartCount"] >= int(value) for row in _statuses(pods)),
        "unready": lambda: any(_is_unready(pod, value) for pod in pods),
        "age": lambda: age >= int(value),
        "deleting": lambda: any(age_of(at) > 40 for pod in pods if (at := pod["metadata"].get("deletionTimestamp"))),
    }
    return checks[kind]()


def wait_for(faults: Sequence[Fault], seconds: float, say: Callable[[str], None]) -> list[str]:
    """Poll with two LISTs until all show their sign. The names of those that did not in time."""
    begin, open_faults = time.monotonic(), list(faults)
    while open_faults and time.monotonic() - begin < seconds:
        pods, events = _by_namespace(read("pods", "-A")), _by_namespace(read("events", "-A"))
        age = time.monotonic() - begin
        open_faults = [
            row
            for row in open_faults
            if not shows(row.sign, pods.get(row.namespace, []), events.get(row.namespace, []), age)
        ]
        if open_faults:
            time.sleep(3)
    late = [row.name for row in open_faults]
    taken = time.monotonic() - begin
    say(f"{len(faults) - len(late)} of {len(faults)} faults developed after {taken:.0f} s {late or ''}")
    return late


def _by_namespace(items: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    split: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        split.setdefault(item["metadata"].get("namespace", ""), []).append(item)
    return split


async def ask_all(namespaces: Sequence[str], bundles: Path | None = None) -> dict[str, Diagnosis]:
    """A diagnosis of each namespace alone; with ``bundles``, also a capture of each."""
    reader = await connect()
    try:
        answers = {}
        for namespace in namespaces:
            answers[namespace] = await investigate(reader, Scope(namespace=namespace))
            if bundles is not None:
                out = bundles / f"{namespace.removeprefix(PREFIX)}.tar.gz"
                await collect_bundle(reader, out, namespaces=[namespace])
        return answers
    finally:
        await reader.aclose()


def run_suite(say: Callable[[str], None], bundles: Path | None = None) -> tuple[dict[str, Diagnosis], list[str]]:
    """All diagnoses by namespace, and the faults that did not develop."""
    begin = time.monotonic()
    clean_up()
    now = [name for name in HEALTHY if name not in LATE]
    create_all([(row.name, "faults") for row in FAULTS] + [(name, "healthy") for name in now])
    say(f"created {len(FAULTS)} faults and {len(now)} healthy namespaces in {time.monotonic() - begin:.0f} s")
    apply_changes()
    late = wait_for(FAULTS, SLOWEST, say)
    answers = asyncio.run(ask_all([row.namespace for row in FAULTS], bundles))
    say(f"asked about the faults; {time.monotonic() - begin:.0f} s since the start")
    kubectl("-n", PREFIX + "rolling-update", "rollout", "restart", "deployment/app")
    create_all([(name, "healthy") for name in LATE])
    time.sleep(8)
    answers |= asyncio.run(ask_all([PREFIX + name for name in HEALTHY], bundles))
    late += run_cordoned(answers, bundles, say)
    say(f"all asked; {time.monotonic() - begin:.0f} s since the start")
    return answers, late


def run_cordoned(answers: dict[str, Diagnosis], bundles: Path | None, say: Callable[[str], None]) -> list[str]:
    nodes = [node["metadata"]["name"] for node in read("nodes") if not node["spec"].get("unschedulable")]
    try:
        for node in nodes:
            kubectl("cordon", node)
        create(CORDONED.name, "faults")
        late = wait_for([CORDONED], 60, say)
        answers |= asyncio.run(ask_all([CORDONED.namespace], bundles))
        return late
    finally:
        for node in nodes:
            kubectl("uncordon", node)


def clean_up() -> None:
    """Everything that carries the suite's name, finalizers first."""
    for kind, name in (("configmap", "namespace-finalizer"), ("pod", "pod-finalizer")):
        for item in json.loads(kubectl("-n", PREFIX + name, "get", kind, "-o", "json", check=False) or '{"items":[]}')[
            "items"
        ]:
            if item["metadata"].get("finalizers"):
                patch = '{"metadata":{"finalizers":null}}'
                kubectl(
                    "-n",
                    PREFIX + name,
                    "patch",
                    kind,
                    item["metadata"]["name"],
                    "--type=merge",
                    "-p",
                    patch,
                    check=False,
                )
    kinds = "validatingwebhookconfigurations,ingressclasses,storageclasses,persistentvolumes"
    owned = [name for name in kubectl("get", kinds, "-o", "name").split() if f"/{PREFIX.rstrip('-')}" in name]
    namespaces = [
        f"namespace/{row['metadata']['name']}" for row in read("namespaces", "-l", "kubetriage.dev/suite=live")
    ]
    for some in (namespaces, owned):
        if some:
            kubectl("delete", "--wait=false", *some, check=False)
    deadline = time.monotonic() + 180
    while read("namespaces", "-l", "kubetriage.dev/suite=live") and time.monotonic() < deadline:
        time.sleep(2)
