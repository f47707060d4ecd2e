"""What a list of incidents amounts to: the outcome, and the line that says it."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.contracts.diagnosis import Incident, Outcome, Scope, Unreadable

# Without these there is no answer; what else is unreadable narrows it.
_ESSENTIAL = {"pods"}


def conclude(incidents: Sequence[Incident], unreadable: Sequence[Unreadable], scope: Scope) -> tuple[Outcome, str]:
    """The outcome and its summary. Incidents that are resolved are no fault."""
    present = [entry for entry in incidents if entry.status != "resolved"]
    if present:
        more = len(present) - 1
        rest = f" (and {more} more incident{'s' if more > 1 else ''})" if more else ""
        return Outcome.FAULT_FOUND, f"{present[0].title}{rest}"
    subject = subject_of(scope)
    blind = next((gap for gap in unreadable if gap.resource in _ESSENTIAL and gap.verb == "list"), None)
    if blind is not None:
        why = f"{blind.resource} could not be read ({blind.reason}); {blind.remedy}"
        return Outcome.INCONCLUSIVE, f"cannot tell about {subject}: {why}"
    return Outcome.NO_FAULT_FOUND, f"no fault found in {subject}"


def subject_of(scope: Scope) -> str:
    """``deployment/payments in namespace shop``: what was asked about, for people."""
    where = f"namespace {scope.namespace}" if scope.namespace else "the cluster"
    return f"{scope.kind or 'object'}/{scope.name} in {where}" if scope.name else where


def renumbered(incidents: Sequence[Incident]) -> tuple[Incident, ...]:
    """The same incidents in this order, ranked from 1."""
    return tuple(entry.model_copy(update={"rank": number}) for number, entry in enumerate(incidents, 1))
