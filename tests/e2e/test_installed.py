"""Installed by Helm in a real cluster: right answers, and what survives which failure (docs/reliability.md).

The images must be where the cluster finds them: ``make test-e2e`` builds and loads them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.load import FLAT_OUT, Load, client, lost_sessions, steady_load
from tests.e2e.release import NAME, NAMESPACE, RELEASE, Address, address, helm, kubectl, missing, ready_pods, upgrade
from tests.processes import ROOT

FAULTS = "kt-e2e-faults"
AUDIT = Path("~/.cache/kubecluster/state/logs/audit.jsonl").expanduser()
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def report() -> Iterator[list[str]]:
    """The table of docs/reliability.md."""
    rows = ["| What happens | Calls | Failed | For | Sessions lost |", "|---|---|---|---|---|"]
    yield rows
    if len(rows) > 2:
        text = "\n".join(rows)
        sys.__stdout__ and print(f"\n{text}", file=sys.__stdout__)
        if os.environ.get("E2E_REPORT"):
            Path(os.environ["E2E_REPORT"]).write_text(text + "\n")


@pytest.fixture(scope="module")
def installed() -> Iterator[Address]:
    reason = missing()
    if reason:
        pytest.skip(f"{reason}: the chart was not installed")
    for name in (NAMESPACE, FAULTS):
        kubectl("create", "namespace", name)
    try:
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        for fault in ("oom", "image-not-found"):
            text = (ROOT / f"tests/live/faults/{fault}.yaml").read_text()
            text = text.replace("name: app\n", f"name: {fault}\n", 1)
            kubectl("-n", FAULTS, "create", "-f", "-", stdin=text)
        upgrade()
        yield address()
    finally:
        if not os.environ.get("E2E_KEEP"):
            kubectl("delete", "namespace", NAMESPACE, FAULTS, "--wait=true", check=False)


async def until(answer: Any, seconds: float = 120) -> Any:
    """The first result of ``answer()`` that is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = await answer()
        if found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(2)


async def test_the_installed_product_answers_right(installed: Address) -> None:
    """Logs in, diagnoses, asks, streams and searches through the Service."""
    async with client(installed) as http:

        async def causes() -> set[tuple[str, str]]:
            async with http.post("/v1/diagnose", json={"namespace": FAULTS}) as reply:
                incidents = (await reply.json())["incidents"]
            found = {(one["root_cause"]["cause"], one["root_cause"]["object"]["name"]) for one in incidents}
            return found if len(found) == 2 else set()

        assert await until(causes) == {("oom_killed", "oom"), ("image_not_found", "image-not-found")}

        question = {"question": "Why does oom restart?", "namespace": FAULTS}
        async with http.post("/v1/ask", json=question) as reply:
            answer = await reply.json()
        assert answer["diagnosis"]["incidents"][0]["root_cause"]["cause"] == "oom_killed"
        assert "OOMKilled" in answer["answer"]

        accepts = {"Accept": "text/event-stream"}
        async with http.post("/v1/ask", json=question, headers=accepts) as reply:
            events = [json.loads(line[5:]) async for line in reply.content if line.startswith(b"data:")]
        assert [events[0]["type"], events[-1]["type"]] == ["run.started", "answer"]

        async with http.post("/v1/search", json={"query": "OOMKilled exit code 137"}) as reply:
            assert (await reply.json())["passages"][0]["path"].endswith("oom-killed.md")


def test_the_charts_own_test_passes(installed: Address) -> None:
    assert "Succeeded" in helm("test", RELEASE, "-n", NAMESPACE)


# What may fail while a pod is killed at once (no grace), and for how long: docs/reliability.md says the same.
# A gateway's or an agent's own calls under way break; Redis and Chroma are single pods.
KILLS = {
    "gateway": ({"ask", "diagnose", "search"}, 5),
    "agent": ({"ask", "diagnose", "search"}, 15),
    "redis": ({"ask"}, 45),
    "chroma": ({"search"}, 45),
    "ingest": (set(), 0),
}


@pytest.mark.parametrize("component", KILLS)
async def test_a_killed_pod_loses_no_session(installed: Address, report: list[str], component: str) -> None:
    allowed, longest = KILLS[component]
    async with steady_load(installed, FAULTS) as load:
        await asyncio.sleep(8)
        quiet = dict(load.failures())
        begin = time.monotonic()
        (victim, *_) = ready_pods(component)
        kill = ("-n", NAMESPACE, "delete", "pod", victim, "--grace-period=0", "--force")
        await asyncio.to_thread(kubectl, *kill)
        await asyncio.sleep(2)

        async def as_before() -> bool:
            names = await asyncio.to_thread(ready_pods, component)
            return len(names) >= (2 if component in {"gateway", "agent"} else 1)

        assert await until(as_before, 180), f"{component} did not come back"
        await asyncio.sleep(8)
    assert quiet == {}, "it failed before anything was killed"
    lost = await _reported(report, f"kill {component}", load, begin)
    assert lost == []
    assert {call.kind for call in load.failed} <= allowed, load.failures()
    assert load.outage(begin) <= longest, load.failures()


@pytest.mark.parametrize("component", ["gateway", "agent"])
async def test_a_drained_pod_is_not_noticed(installed: Address, report: list[str], component: str) -> None:
    """As ``kubectl drain`` and an autoscaler end pods: with their grace period."""
    async with steady_load(installed, FAULTS) as load:
        await asyncio.sleep(5)
        begin = time.monotonic()
        (victim, *_) = ready_pods(component)
        await asyncio.to_thread(kubectl, "-n", NAMESPACE, "delete", "pod", victim)
        await asyncio.sleep(8)
    assert await _reported(report, f"end one {component} as a drain does", load, begin) == []
    assert load.failures() == {}


async def test_a_rolling_upgrade_and_a_rollback_fail_nothing(installed: Address, report: list[str]) -> None:
    changed = {name: {"podAnnotations": {"e2e": "2"}} for name in ("gateway", "agent", "ingest")}
    async with steady_load(installed, FAULTS) as load:
        await asyncio.sleep(5)
        begin = time.monotonic()
        await asyncio.to_thread(upgrade, changed)
        await asyncio.sleep(5)
    assert await _reported(report, "helm upgrade", load, begin) == []
    assert load.failures() == {}
    async with steady_load(installed, FAULTS) as load:
        begin = time.monotonic()
        await asyncio.to_thread(helm, "rollback", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "8m")
        await asyncio.sleep(5)
    assert await _reported(report, "helm rollback", load, begin) == []
    assert load.failures() == {}


async def test_agents_come_with_the_load_and_go_with_it(installed: Address, report: list[str]) -> None:
    metrics = await asyncio.to_thread(kubectl, "top", "pods", "-n", NAMESPACE, check=False)
    if not metrics:
        pytest.skip("the cluster has no metrics-server: the autoscaler has nothing to go by")
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 15}}
    scaling = {"enabled": True, "minReplicas": 2, "maxReplicas": 3, "targetCPU": 60, "behavior": behavior}
    await asyncio.to_thread(upgrade, {"agent": {"autoscaling": scaling}})

    async def agents_are(wanted: int) -> bool:
        return len(await asyncio.to_thread(ready_pods, "agent")) == wanted

    begin = time.monotonic()
    async with steady_load(installed, FAULTS, FLAT_OUT) as load:
        assert await until(lambda: agents_are(3), 240), "no third agent under load"
    assert await _reported(report, "autoscaler: from two agents to three", load, begin) == []
    assert load.failures() == {}
    begin = time.monotonic()
    async with steady_load(installed, FAULTS, 0.2) as load:
        assert await until(lambda: agents_are(2), 240), "the third agent stays when nobody asks"
    assert await _reported(report, "autoscaler: back to two", load, begin) == []
    assert load.failures() == {}


def test_the_agent_may_only_read_and_did_nothing_else(installed: Address) -> None:
    user = f"system:serviceaccount:{NAMESPACE}:{NAME}-agent"
    for verb, what in (("create", "pods"), ("delete", "deployments.apps"), ("get", "secrets"), ("create", "pods/exec")):
        answer = kubectl("auth", "can-i", verb, what, "--as", user, "-n", FAULTS, check=False)
        assert answer.strip() == "no", f"{verb} {what}"
    if AUDIT.is_file():
        with AUDIT.open() as rows:
            did = {row["verb"] for row in map(json.loads, rows) if row.get("user", {}).get("username") == user}
        assert {"get", "list"} <= did <= {"get", "list", "watch"}


def test_uninstall_leaves_the_volumes_and_nothing_else(installed: Address) -> None:
    helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "5m")
    kinds = "deployments,statefulsets,jobs,services,secrets,configmaps,serviceaccounts,roles,networkpolicies,pdb,hpa"
    left = kubectl("-n", NAMESPACE, "get", kinds, "-o", "name", "-l", f"app.kubernetes.io/instance={RELEASE}")
    assert left.split() == []
    everywhere = kubectl(
        "get", "clusterroles,clusterrolebindings", "-o", "name", "-l", f"app.kubernetes.io/instance={RELEASE}"
    )
    assert everywhere.split() == []
    claims = kubectl("-n", NAMESPACE, "get", "pvc", "-o", "name").split()
    assert sorted(claims) == [
        f"persistentvolumeclaim/data-{NAME}-chroma-0",
        f"persistentvolumeclaim/data-{NAME}-redis-0",
    ]


async def _reported(report: list[str], what: str, load: Load, begin: float) -> list[str]:
    """Adds the row, returns the lost sessions."""
    lost = await lost_sessions(load)
    failed = ", ".join(f"{count} × {kind}" for kind, count in sorted(load.failures().items())) or "none"
    seconds = f"{load.outage(begin):.1f} s" if load.failed else ""
    report.append(f"| {what} | {len(load.calls)} | {failed} | {seconds} | {len(lost)} of {len(load.sessions)} |")
    return lost
