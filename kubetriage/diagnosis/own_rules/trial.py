"""``kubetriage rules test``: each check on the objects that its file brings along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kubetriage.contracts.diagnosis import Scope
from kubetriage.diagnosis.own_rules.check import Check, Example
from kubetriage.diagnosis.own_rules.condition import ConditionError
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.snapshot import Snapshot

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How one example went; ``problem`` is empty when it went as expected."""

    check: str
    example: str
    problem: str = ""


def try_check(check: Check) -> Iterator[Trial]:
    """Every example of a check. A check without any is a problem: nobody knows whether it works."""
    if not check.examples:
        yield Trial(check=check.cause.code, example="-", problem="it has no tests")
    for example in check.examples:
        yield Trial(check=check.cause.code, example=example.name, problem=_problem(check, example))


def _problem(check: Check, example: Example) -> str:
    snapshot = Snapshot(objects={check.resource.plural: [example.object]}, collected_at=_NOW)
    try:
        found = [entry.finding.title for entry in check.find(ClusterView(snapshot, Scope()))]
    except ConditionError as error:
        return str(error)
    except (AttributeError, LookupError, TypeError) as error:  # such as ownerReferences that are no list
        return f"the object is not as an API server would hold it: {type(error).__name__}: {error}"
    if example.expect == "silent":
        return f"expected silence, got: {found[0]}" if found else ""
    if not found:
        return "expected a match, got silence"
    if example.message is not None and found[0] != example.message:
        return f"expected {example.message!r}, got {found[0]!r}"
    return ""
