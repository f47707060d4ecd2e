"""The rows of the tables beside this file: each fault, its near miss, and what only looks like it."""

from __future__ import annotations

import pytest

from tests.diagnosis import cluster_faults, test_admission_and_volume_faults, workload_faults
from tests.diagnosis.build import causes

TABLES = (cluster_faults, workload_faults, test_admission_and_volume_faults)
ROWS = {cause: row for table in TABLES for cause, row in table.ROWS.items()}
ALSO = {**cluster_faults.ALSO, **workload_faults.ALSO}
APART = {name: row for table in TABLES for name, row in table.APART.items()}
QUIET = {name: build for table in TABLES for name, build in table.QUIET.items()}


def test_no_row_hides_another() -> None:
    assert len(ROWS) == sum(len(table.ROWS) for table in TABLES)
    assert len(APART) == sum(len(table.APART) for table in TABLES)
    assert len(QUIET) == sum(len(table.QUIET) for table in TABLES)
    assert len(ALSO) == len(cluster_faults.ALSO) + len(workload_faults.ALSO)


@pytest.mark.parametrize("cause", ROWS)
def test_a_fault_is_the_first_incident_with_its_cause_and_object(cause: str) -> None:
    build, target, _ = ROWS[cause]
    diagnosis = build()
    assert causes(diagnosis)[:1] == [(cause, target)]
    assert diagnosis.incidents[0].root_cause.evidence


@pytest.mark.parametrize("cause", ROWS)
def test_a_near_miss_has_no_incident(cause: str) -> None:
    assert causes(ROWS[cause][2]()) == []


@pytest.mark.parametrize("name", ALSO)
def test_a_fault_that_is_told_in_another_way(name: str) -> None:
    build, cause, target = ALSO[name]
    assert causes(build())[:1] == [(cause, target)]


@pytest.mark.parametrize("name", APART)
def test_what_looks_alike_is_told_apart(name: str) -> None:
    build, cause, other = APART[name]
    found = [entry for entry, _ in causes(build())]
    assert found[:1] == [cause]
    assert other not in found


@pytest.mark.parametrize("name", QUIET)
def test_what_is_well_has_no_incident(name: str) -> None:
    assert causes(QUIET[name]()) == []
