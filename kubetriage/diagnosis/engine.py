"""Runs the rules and makes a Diagnosis of what they say."""

from __future__ import annotations

from collections.abc import Sequence

import kubetriage
from kubetriage.contracts.diagnosis import Diagnosis, Incident, ObjectRef, Outcome, Scope, Unreadable
from kubetriage.diagnosis.causes import CAUSES
from kubetriage.diagnosis.changes import with_changes
from kubetriage.diagnosis.existence import find_missing_target
from kubetriage.diagnosis.graph import DependencyGraph
from kubetriage.diagnosis.incidents import build_incidents, merge
from kubetriage.diagnosis.outcome import conclude
from kubetriage.diagnosis.rule import Rule
from kubetriage.diagnosis.rules import all_rules
from kubetriage.diagnosis.suspect import Suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.diagnosis.wanted import find_wanted_logs
from kubetriage.state.logs import LogKey
from kubetriage.state.resources import RESOURCES, Resource
from kubetriage.state.snapshot import Snapshot

# Never read live, on purpose: saying so in every diagnosis would be noise.
_BY_DESIGN = {"secrets"}


def resources_needed(_scope: Scope, extra_rules: Sequence[Rule] = ()) -> Sequence[Resource]:
    """What the rules read. Secrets never are: only a bundle may hold them, without their data."""
    wanted = set().union(*(rule.reads for rule in (*all_rules(), *extra_rules)))
    return [resource for resource in RESOURCES if resource.plural in wanted]


def wanted_logs(snapshot: Snapshot, scope: Scope) -> list[LogKey]:
    """The logs that the rules ask about, after a first look at the objects alone."""
    view = ClusterView(snapshot, scope)
    return find_wanted_logs(view, find_suspects(view))


def diagnose(snapshot: Snapshot, scope: Scope, extra_rules: Sequence[Rule] = ()) -> Diagnosis:
    """Everything that is wrong in ``scope``, or that nothing is, or that it cannot be told.

    ``extra_rules``: a team's own, run after the built-in ones. One that fails is reported as unreadable.
    """
    view = ClusterView(snapshot, scope)
    own, failed = _run_own(extra_rules, view)
    suspects = merge([*find_suspects(view), *own])
    incidents: list[Incident] = []
    if suspects:
        incidents = build_incidents(suspects, DependencyGraph(view), scope)
        incidents = _renumbered([entry for entry in incidents if _is_wanted(entry, view, scope)])
        incidents = [with_changes(entry, view) for entry in incidents]
    outcome, summary = conclude(incidents, snapshot.unreadable, scope)
    missing = find_missing_target(snapshot, scope) if outcome is Outcome.NO_FAULT_FOUND else None
    own_causes = tuple(sorted({cause.code for entry in extra_rules for cause in entry.causes}))
    return Diagnosis(
        outcome=Outcome.INCONCLUSIVE if missing else outcome,
        summary=missing or summary,
        scope=scope,
        incidents=tuple(incidents),
        unreadable=(*(gap for gap in snapshot.unreadable if gap.resource not in _BY_DESIGN), *failed),
        checked=tuple(sorted(snapshot.objects)),
        objects_read=snapshot.count(),
        causes_checked=len(CAUSES) + len(own_causes),
        own_causes=own_causes,
        collected_at=snapshot.collected_at,
        version=kubetriage.__version__,
    )


def find_suspects(view: ClusterView) -> list[Suspect]:
    """What every rule says of the namespaces that were asked about."""
    return [entry for rule in all_rules() for entry in rule.find(view) if view.in_scope(_namespace_of(entry.object))]


def _run_own(rules: Sequence[Rule], view: ClusterView) -> tuple[list[Suspect], list[Unreadable]]:
    """What they say, and those that failed: a team's mistake must not cost the rest of the diagnosis."""
    found: list[Suspect] = []
    failed: list[Unreadable] = []
    for entry in rules:
        try:
            said = [word for word in entry.find(view) if view.in_scope(_namespace_of(word.object))]
        except Exception as error:  # noqa: BLE001 - it is not our code, and we say what it raised
            reason = f"{type(error).__name__}: {error}"[:300]
            failed.append(Unreadable(resource=f"rule {entry.name}", verb="run", reason=reason))
        else:
            found += said
    return found, failed


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
