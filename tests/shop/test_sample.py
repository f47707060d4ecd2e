"""The bundled sample cluster shows what the first diagnosis of a newcomer must find."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from kubetriage.cluster import open_bundle
from kubetriage.contracts.diagnosis import Diagnosis, Outcome, Scope
from kubetriage.investigation import investigate

SAMPLE = Path(__file__).parents[2] / "samples" / "shop.tar.gz"


async def ask(**scope: str) -> Diagnosis:
    reader = open_bundle(SAMPLE)
    try:
        return await investigate(reader, Scope(**scope))
    finally:
        await reader.aclose()


async def test_checkout_fails_because_payments_is_killed_under_its_lowered_limit() -> None:
    found = await ask(namespace="shop", question="Why is checkout failing?")
    first = found.incidents[0]
    assert (first.root_cause.cause, str(first.root_cause.object)) == ("oom_killed", "shop/deployment/payments")
    assert {"checkout", "frontend"} <= {ref.name for ref in first.affected}
    assert any("256Mi → 64Mi" in change.summary for change in first.changes)


async def test_the_unrelated_fault_is_an_incident_of_its_own() -> None:
    found = await ask()
    causes = {(entry.root_cause.cause, entry.root_cause.object.name) for entry in found.incidents}
    assert {("oom_killed", "payments"), ("image_not_found", "nightly")} <= causes


async def test_the_healthy_neighbours_are_no_incident() -> None:
    assert (await ask(namespace="data")).outcome is Outcome.NO_FAULT_FOUND


def test_the_sample_is_small_and_has_no_secrets() -> None:
    assert SAMPLE.stat().st_size < 1_000_000
    with tarfile.open(SAMPLE) as tar:
        names = [entry.name for entry in tar if entry.isfile()]
    assert not [name for name in names if "/secrets" in name]


@pytest.mark.parametrize("pod", ["checkout", "payments", "frontend"])
def test_the_sample_has_the_logs_of(pod: str) -> None:
    with tarfile.open(SAMPLE) as tar:
        logs = [entry for entry in tar if f"/logs/shop/{pod}-" in entry.name and entry.size]
    assert logs
