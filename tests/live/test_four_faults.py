"""Four faults in one namespace, asked the way a newcomer would: by the command, as JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_world import HERE, kubectl

NAMESPACE, HEALTHY = "kt-four", "kt-four-healthy"
PATIENCE = 240  # seconds until all four have developed
WANTED = {
    ("crash_loop", "Deployment", "crashes"),
    ("oom_killed", "Deployment", "eats"),
    ("image_not_found", "Deployment", "misses"),
    ("insufficient_memory", "Deployment", "towers"),
}
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def namespaces() -> Iterator[None]:
    if not os.environ.get("KUBECONFIG") or not shutil.which("kubectl"):
        pytest.skip("no KUBECONFIG or no kubectl: the four faults were not tried")
    for namespace in (NAMESPACE, HEALTHY):
        kubectl("create", "namespace", namespace)
    try:
        for name, file in (("crashes", "crash-go"), ("eats", "oom"), ("misses", "image-not-found")):
            manifest = (HERE / "faults" / f"{file}.yaml").read_text()
            kubectl("-n", NAMESPACE, "create", "-f", "-", stdin=manifest.replace("name: app\n", f"name: {name}\n", 1))
        kubectl("-n", NAMESPACE, "create", "deployment", "towers", "--image=busybox:1.36")
        kubectl("-n", NAMESPACE, "set", "resources", "deployment/towers", "--requests=memory=900Gi")
        for namespace, name in ((NAMESPACE, "steady"), (HEALTHY, "steady")):
            run = ["--", "sh", "-c", 'trap "exit 0" TERM; while true; do sleep 1; done']
            kubectl("-n", namespace, "create", "deployment", name, "--image=busybox:1.36", *run)
        yield
    finally:
        kubectl("delete", "namespace", NAMESPACE, HEALTHY, "--wait=false", check=False)


def diagnose(namespace: str) -> dict[str, Any]:
    starter = Path(sys.executable).with_name("kubetriage")
    done = subprocess.run(
        [str(starter), "diagnose", "-n", namespace, "-o", "json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("namespaces")
def test_all_four_are_named_with_evidence_and_the_healthy_neighbours_are_not() -> None:
    deadline, named = time.monotonic() + PATIENCE, set()
    found: dict[str, Any] = {}
    while named != WANTED and time.monotonic() < deadline:
        time.sleep(5)
        found = diagnose(NAMESPACE)
        roots = [one["root_cause"] for one in found["incidents"]]
        named = {(root["cause"], root["object"]["kind"], root["object"]["name"]) for root in roots}
    assert named == WANTED
    for incident in found["incidents"]:
        root = incident["root_cause"]
        assert root["evidence"], root["cause"]
        assert any(step.get("command") for step in root["remediation"]), root["cause"]
    healthy = diagnose(HEALTHY)
    assert (healthy["outcome"], healthy["incidents"]) == ("no_fault_found", [])
