"""Runs the rules and makes a Diagnosis of what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import kubetriage
from kubetriage.contracts.diagnosis import Diagnosis, Incident, ObjectRef, Outcome, Scope, Unreadable
from kubetriage.diagnosis.causes import CAUSES
from kubetriage.diagnosis.changes import with_changes
from kubetriage.diagnosis.existence import find_missing_target
from kubetriage.diagnosis.graph import DependencyGraph
from kubetriage.diagnosis.incidents import build_incidents, merge
from kubetriage.diagnosis.outcome import conclude, renumbered
from kubetriage.diagnosis.rule import Rule
from kubetriage.diagnosis.rules import all_rules
from kubetriage.diagnosis.suspect import Suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.diagnosis.wanted import find_wanted_logs
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.resources import RESOURCES, Resource
from kubetriage.state.snapshot import Snapshot

# Never read live, on purpose: saying so in every diagnosis would be noise.
_BY_DESIGN = {"secrets"}
_ADD_ONS = {resource.plural for resource in RESOURCES if resource.optional}


def resources_needed(_scope: Scope, extra_rules: Sequence[Rule] = ()) -> Sequence[Resource]:
    """What the rules read. Secrets never are: only a bundle may hold them, without their data."""
    wanted = set().union(*(rule.reads for rule in (*all_rules(), *extra_rules)))
    return [resource for resource in RESOURCES if resource.plural in wanted]


class Examination:
    """One diagnosis in two steps, because only the objects tell which logs are worth reading.

    ``wanted_logs`` runs the rules over the objects. ``diagnose`` runs those of them again that asked for a log,
    when there are any by then: rules are pure, so the others would say the same.
    """

    def __init__(self, snapshot: Snapshot, scope: Scope, extra_rules: Sequence[Rule] = ()) -> None:
        """``extra_rules``: a team's own, run after the built-in ones. One that fails is reported as unreadable."""
        self._scope = scope
        self._extra_rules = extra_rules
        self._view = ClusterView(snapshot, scope)
        self._said: dict[str, tuple[list[Suspect], bool]] = {}

    def wanted_logs(self) -> list[LogKey]:
        """The logs worth reading: of containers in trouble; of all in a namespace that looks healthy."""
        return find_wanted_logs(self._view, self._suspects())

    def add_logs(self, texts: Mapping[LogKey, LogText], unreadable: Sequence[Unreadable] = ()) -> None:
        self._view = self._view.with_logs(self._view.snapshot.with_logs(texts, unreadable))
        if texts:
            self._said = {name: entry for name, entry in self._said.items() if not entry[1]}

    def diagnose(self) -> Diagnosis:
        """Everything that is wrong in the scope, or that nothing is, or that it cannot be told."""
        view, scope, snapshot = self._view, self._scope, self._view.snapshot
        own, failed = _run_own(self._extra_rules, view)
        suspects = merge([*self._suspects(), *own])
        incidents: Sequence[Incident] = ()
        if suspects:
            incidents = build_incidents(suspects, DependencyGraph(view), scope)
            incidents = renumbered([entry for entry in incidents if _is_wanted(entry, view, scope)])
            incidents = [with_changes(entry, view) for entry in incidents]
        outcome, summary = conclude(incidents, snapshot.unreadable, scope)
        missing = find_missing_target(snapshot, scope) if outcome is Outcome.NO_FAULT_FOUND else None
        own_causes = tuple(sorted({cause.code for entry in self._extra_rules for cause in entry.causes}))
        return Diagnosis(
            outcome=Outcome.INCONCLUSIVE if missing else outcome,
            summary=missing or summary,
            scope=scope,
            incidents=tuple(incidents),
            unreadable=(*(gap for gap in snapshot.unreadable if not _is_expected(gap)), *failed),
            checked=tuple(sorted(snapshot.objects)),
            objects_read=snapshot.count(),
            causes_checked=len(CAUSES) + len(own_causes),
            own_causes=own_causes,
            collected_at=snapshot.collected_at,
            version=kubetriage.__version__,
        )

    def _suspects(self) -> list[Suspect]:
        """What the built-in rules say; a cluster-wide thing such as a node belongs to every scope."""
        view = self._view
        for rule in all_rules():
            if rule.name not in self._said:
                view.asked_for_logs = False
                found = _found_in_scope(rule, view)
                self._said[rule.name] = found, view.asked_for_logs
        return [entry for rule in all_rules() for entry in self._said[rule.name][0]]


def diagnose(snapshot: Snapshot, scope: Scope, extra_rules: Sequence[Rule] = ()) -> Diagnosis:
    """A diagnosis of a snapshot that holds its logs already."""
    return Examination(snapshot, scope, extra_rules).diagnose()


def _found_in_scope(rule: Rule, view: ClusterView) -> list[Suspect]:
    return [entry for entry in rule.find(view) if view.in_scope(_namespace_of(entry.object))]


def _run_own(rules: Sequence[Rule], view: ClusterView) -> tuple[list[Suspect], list[Unreadable]]:
    """What they say, and those that failed: a team's mistake must not cost the rest of the diagnosis."""
    found: list[Suspect] = []
    failed: list[Unreadable] = []
    for entry in rules:
        try:
            said = _found_in_scope(entry, view)
        except Exception as error:  # noqa: BLE001 - it is not our code, and we say what it raised
            reason = f"{type(error).__name__}: {error}"[:300]
            failed.append(Unreadable(resource=f"rule {entry.name}", verb="run", reason=reason))
        else:
            found += said
    return found, failed


def _is_expected(gap: Unreadable) -> bool:
    """An add-on's objects are worth a word only where somebody forbids to read them."""
    return gap.resource in _BY_DESIGN or (gap.resource in _ADD_ONS and gap.status != 403)


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
