"""A program that ends by itself refuses connections too: its own end is the cause, not the probe."""

from __future__ import annotations

from typing import Any

import pytest

from tests.diagnosis.build import at, causes, container, deployment, diagnosed, event, pod, service, status

LOG = 'Traceback (most recent call last):\n  File "a.py"\nModuleNotFoundError: No module named "fastapi"\n'
PROBE = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 2, "failureThreshold": 60}


def restarted(kind: str, *, lived_minutes: float, code: int) -> list[Any]:
    ended = {"exitCode": code, "reason": "Error", "startedAt": at(1 + lived_minutes), "finishedAt": at(1)}
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 2m40s restarting failed container"}}
    item = pod(
        containers=[container(**{f"{kind.lower()}Probe": PROBE})],
        statuses=[status(ready=False, restarts=5, state=state, lastState={"terminated": ended})],
    )
    refused = f'{kind} probe failed: Get "http://10.0.0.4:8080/healthz": dial tcp 10.0.0.4:8080: connection refused'
    return [*deployment(available=0), item, event(item, "Unhealthy", refused, count=10)]


def first(items: list[Any], log: str = "") -> str:
    name = next(item["metadata"]["name"] for item in items if item["kind"] == "Pod")
    return causes(diagnosed(*items, logs={(name, "app"): log}))[0][0]


@pytest.mark.parametrize("kind", ["Startup", "Liveness"])
def test_a_run_that_ended_before_the_verdict_was_not_ended_by_the_probe(kind: str) -> None:
    assert first(restarted(kind, lived_minutes=0.05, code=1), LOG) == "crash_loop"


@pytest.mark.parametrize("kind", ["Startup", "Liveness"])
def test_a_run_that_lived_until_the_verdict_was(kind: str) -> None:
    assert first(restarted(kind, lived_minutes=2, code=137)) == f"{kind.lower()}_probe_failing"


def starting(age: float) -> list[Any]:
    """A slow start: its startup probe allows five minutes."""
    patient = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "failureThreshold": 30}
    item = pod(
        age=age,
        containers=[container(startupProbe=patient)],
        statuses=[status(ready=False, state={"running": {"startedAt": at(age - 0.1)}}, started=False)],
    )
    return [*deployment(available=0), item, service()]


def test_a_slow_start_within_what_its_startup_probe_allows_is_no_fault() -> None:
    assert causes(diagnosed(*starting(4.5))) == []
    assert causes(diagnosed(*starting(20)))[0][1] == "deployment/payments"


@pytest.mark.parametrize(
    "line", ["subject=CN=payments NotAfter: 2027-01-01", "certificate valid, NotAfter: Jan  1 2027"]
)
def test_a_program_that_prints_its_certificates_validity_is_well(line: str) -> None:
    items = [*deployment(), pod(), service()]
    name = items[2]["metadata"]["name"]
    assert causes(diagnosed(*items, logs={(name, "app"): f"{line}\n" * 50})) == []
