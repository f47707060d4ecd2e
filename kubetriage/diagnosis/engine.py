"""Runs the rules and makes a Diagnosis of what they say."""

from __future__ import annotations

from collections.abc import Sequence

import kubetriage
from kubetriage.contracts.diagnosis import Diagnosis, Incident, ObjectRef, Outcome, Scope
from kubetriage.diagnosis.causes import CAUSES
from kubetriage.diagnosis.changes import with_changes
from kubetriage.diagnosis.existence import find_missing_target
from kubetriage.diagnosis.graph import DependencyGraph
from kubetriage.diagnosis.incidents import build_incidents, merge
from kubetriage.diagnosis.rules import all_rules
from kubetriage.diagnosis.suspect import Suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.diagnosis.wanted import find_wanted_logs
from kubetriage.state.logs import LogKey
from kubetriage.state.resources import RESOURCES, Resource
from kubetriage.state.snapshot import Snapshot

# Without these there is no answer; what else is unreadable narrows it.
_ESSENTIAL = {"pods"}
# Never read live, on purpose: saying so in every diagnosis would be noise.
_BY_DESIGN = {"secrets"}


def resources_needed(_scope: Scope) -> Sequence[Resource]:
    """What the rules read. Secrets never are: only a bundle may hold them, without their data."""
    wanted = set().union(*(rule.reads for rule in all_rules()))
    return [resource for resource in RESOURCES if resource.plural in wanted]


def wanted_logs(snapshot: Snapshot, scope: Scope) -> list[LogKey]:
    """The logs that the rules ask about, after a first look at the objects alone."""
    view = ClusterView(snapshot, scope)
    return find_wanted_logs(view, find_suspects(view))


def diagnose(snapshot: Snapshot, scope: Scope) -> Diagnosis:
    """Everything that is wrong in ``scope``, or that nothing is, or that it cannot be told."""
    view = ClusterView(snapshot, scope)
    suspects = merge(find_suspects(view))
    incidents: list[Incident] = []
    if suspects:
        incidents = build_incidents(suspects, DependencyGraph(view), scope)
        incidents = _renumbered([entry for entry in incidents if _is_wanted(entry, view, scope)])
        incidents = [with_changes(entry, view) for entry in incidents]
    blind = [gap for gap in snapshot.unreadable if gap.resource in _ESSENTIAL and gap.verb == "list"]
    missing = None if incidents or blind else find_missing_target(snapshot, scope)
    sure = not (blind or missing)
    outcome = Outcome.FAULT_FOUND if incidents else Outcome.NO_FAULT_FOUND if sure else Outcome.INCONCLUSIVE
    return Diagnosis(
        outcome=outcome,
        summary=missing or _summary(outcome, incidents, snapshot, scope),
        scope=scope,
        incidents=tuple(incidents),
        unreadable=tuple(gap for gap in snapshot.unreadable if gap.resource not in _BY_DESIGN),
        checked=tuple(sorted(snapshot.objects)),
        objects_read=snapshot.count(),
        causes_checked=len(CAUSES),
        collected_at=snapshot.collected_at,
        version=kubetriage.__version__,
    )


def find_suspects(view: ClusterView) -> list[Suspect]:
    """What every rule says of the namespaces that were asked about."""
    return [entry for rule in all_rules() for entry in rule.find(view) if view.in_scope(_namespace_of(entry.object))]


def _namespace_of(ref: ObjectRef) -> str | None:
    """Where a fault belongs; a Namespace to itself, other cluster-wide things to everybody."""
    return ref.name if ref.kind == "Namespace" else ref.namespace


def _is_wanted(incident: Incident, view: ClusterView, scope: Scope) -> bool:
    """A question about one object is answered with what concerns it."""
    if scope.name is None:
        return True
    targets = {scope.name}
    for pod in view.pods:
        if pod["metadata"]["name"] == scope.name:
            targets.add(view.workload_of(pod).name)
    objects: list[ObjectRef] = [incident.root_cause.object, *incident.affected]
    return any(ref.name in targets for ref in objects)


def _renumbered(incidents: Sequence[Incident]) -> list[Incident]:
    return [entry.model_copy(update={"rank": number}) for number, entry in enumerate(incidents, 1)]


def _summary(outcome: Outcome, incidents: Sequence[Incident], snapshot: Snapshot, scope: Scope) -> str:
    if outcome is Outcome.FAULT_FOUND:
        more = len(incidents) - 1
        rest = f" (and {more} more incident{'s' if more > 1 else ''})" if more else ""
        return f"{incidents[0].title}{rest}"
    where = f"namespace {scope.namespace}" if scope.namespace else "the cluster"
    subject = f"{scope.kind or 'object'}/{scope.name} in {where}" if scope.name else where
    if outcome is Outcome.INCONCLUSIVE:
        gap = next(gap for gap in snapshot.unreadable if gap.resource in _ESSENTIAL)
        return f"cannot tell about {subject}: {gap.resource} could not be read ({gap.reason}); {gap.remedy}"
    return f"no fault found in {subject}"
