"""Runs the rules and makes incidents of their findings."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.contracts.diagnosis import Diagnosis, Outcome, Scope
from kubetriage.state.logs import LogKey
from kubetriage.state.resources import RESOURCES, Resource
from kubetriage.state.snapshot import Snapshot


def resources_needed(scope: Scope) -> Sequence[Resource]:
    """What the rules read, for this scope."""
    return [resource for resource in RESOURCES if resource.plural != "secrets"]


def wanted_logs(snapshot: Snapshot, scope: Scope) -> list[LogKey]:
    """The containers whose logs the rules ask for."""
    return []


def diagnose(snapshot: Snapshot, scope: Scope) -> Diagnosis:
    """Decide."""
    return Diagnosis(outcome=Outcome.NO_FAULT_FOUND, summary="no fault found", scope=scope)
