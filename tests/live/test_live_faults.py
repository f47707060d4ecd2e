"""Every fault of the table, made for real, is the first incident; healthy namespaces have none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_table import CORDONED, FAULTS, HEALTHY, PREFIX, Fault
from live_world import clean_up, run_suite

from kubetriage.contracts.diagnosis import Diagnosis, Outcome

ALL = (*FAULTS, CORDONED)
# Creating a hundred namespaces and waiting for back-offs takes minutes, all of it in the fixture.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, Diagnosis], list[str]]]:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster: the live faults were not tried")
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not on PATH: the live faults were not tried")
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    say = terminal.write_line if terminal else print
    bundles = os.environ.get("KUBETRIAGE_LIVE_BUNDLES")
    try:
        answers, late = run_suite(say, Path(bundles) if bundles else None)
        for row in ALL:
            found = answers[row.namespace]
            say(f"{'ok  ' if is_right(row, found) else 'MISS'} {row.name:26} {first(found)}")
        for name in HEALTHY:
            found = answers[PREFIX + name]
            say(f"{'MISS' if found.incidents else 'ok  '} healthy/{name:18} {first(found)}")
        yield answers, late
    finally:
        clean_up()


def first(found: Diagnosis) -> str:
    """The first incident in one line."""
    if not found.incidents:
        return f"{found.outcome}"
    root = found.incidents[0].root_cause
    more = f" (+{len(found.incidents) - 1})" if len(found.incidents) > 1 else ""
    return f"{root.cause} {root.object.kind}/{root.object.name}{more}: {root.title}"


def is_right(row: Fault, found: Diagnosis) -> bool:
    if not found.incidents:
        return False
    root = found.incidents[0].root_cause
    return root.cause in row.causes and any(
        _is_named(root.object.kind, root.object.name, wanted) for wanted in row.objects
    )


def _is_named(kind: str, name: str, wanted: str) -> bool:
    wanted_kind, _, wanted_name = wanted.partition("/")
    # a pod's name is its workload's with two suffixes
    fits = name == wanted_name or wanted_name == "*" or (kind == "Pod" and name.startswith(f"{wanted_name}-"))
    return kind == wanted_kind and fits


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_the_first_incident_names_the_fault(row: Fault, world: tuple[dict[str, Diagnosis], list[str]]) -> None:
    answers, late = world
    assert row.name not in late, f"the cluster never showed {row.sign}"
    assert is_right(row, answers[row.namespace]), (
        f"wanted {row.causes} on {row.objects}, got {first(answers[row.namespace])}"
    )


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_namespace_has_no_incident(name: str, world: tuple[dict[str, Diagnosis], list[str]]) -> None:
    found = world[0][PREFIX + name]
    assert found.outcome is Outcome.NO_FAULT_FOUND, first(found)
