"""What is new since an earlier diagnosis, what goes on, and what is over.

Incidents are the same by their id, else by cause and object with the pod's hash taken off. "Over" is
only said of what this diagnosis looked at: the rest is ``unverified``, and stays known to the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from kubetriage.contracts.diagnosis import (
    Diagnosis,
    EvidenceKind,
    Finding,
    Incident,
    ObjectRef,
    Outcome,
    Scope,
    Unreadable,
    UnverifiedIncident,
)
from kubetriage.diagnosis.causes import CAUSES
from kubetriage.diagnosis.outcome import renumbered
from kubetriage.state.resources import resource_by_kind

_Key = tuple[str, str]
# The alphabet of generated names: no vowels, so that they spell nothing.
_HASH = "[bcdfghjklmnpqrstvwxz2456789]"
_SUFFIXES = {
    "Pod": (re.compile(rf"-{_HASH}{{5}}$"), re.compile(rf"-(?:{_HASH}{{6,10}}|\d{{8,10}})$")),
    "ReplicaSet": (re.compile(rf"-{_HASH}{{6,10}}$"),),
    "Job": (re.compile(r"-\d{8,10}$"),),
}


def compare(current: Diagnosis, before: Diagnosis | None) -> Diagnosis:
    """``current`` with every incident's status against ``before``, the resolved ones after the others.

    None is a first run: everything is new. Resolved incidents count neither for the outcome nor for
    the summary; one that cannot be verified makes "no fault found" inconclusive.
    """
    if before is None:
        nothing = {"incidents": (), "muted": (), "unverified": (), "collected_at": None}
        return compare(current, current.model_copy(update=nothing))
    known = _known(before)
    earlier = {key for entry in known.values() for key in _all_keys(entry)}
    incidents = [_marked(entry, known, earlier) for entry in current.present]
    muted = tuple(
        entry.model_copy(update={"incident": _marked(entry.incident, known, earlier)}) for entry in current.muted
    )
    now = [*incidents, *(entry.incident for entry in muted)]
    seen = {entry.id for entry in now} | {key for entry in now for key in _all_keys(entry)}
    gone = [entry for entry in known.values() if entry.id not in seen and not seen & _own_keys(entry)]
    resolved: list[Incident] = []
    unverified: list[UnverifiedIncident] = []
    for entry in gone:
        reason = _why_not_over(entry, current, before)
        if reason is None:
            resolved.append(entry.model_copy(update={"status": "resolved"}))
        else:
            unverified.append(UnverifiedIncident(incident=entry, reason=reason))
    changes = {
        "incidents": renumbered([*incidents, *resolved]),
        "muted": muted,
        "unverified": tuple(unverified),
        "compared_with": before.collected_at,
        **_conclusion(current, unverified),
    }
    return current.model_copy(update=changes)


def base_name(ref: ObjectRef) -> str:
    """The object's name without what its controller made up: ``payments`` of ``payments-556896b5fb-96x7l``."""
    name = ref.name
    for suffix in _SUFFIXES.get(ref.kind, ()):
        name = suffix.sub("", name)
    return name


def _conclusion(current: Diagnosis, unverified: list[UnverifiedIncident]) -> dict[str, object]:
    """One that was in scope and may go on forbids to say that there is no fault."""
    doubtful = [
        entry
        for entry in unverified
        if _is_asked(entry.incident, current.scope) and _is_checked(entry.incident, current)
    ]
    if current.outcome is not Outcome.NO_FAULT_FOUND or not doubtful:
        return {}
    first, more = doubtful[0], len(doubtful) - 1
    rest = f" (and {more} more)" if more else ""
    summary = f"cannot tell whether this is over: {first.incident.title}{rest}: {first.reason}"
    return {"outcome": Outcome.INCONCLUSIVE, "summary": summary}


def _known(before: Diagnosis) -> dict[str, Incident]:
    """What was the case before, by id: also what was muted, and what could not be verified then."""
    found: Iterable[Incident] = (
        *before.present,
        *(entry.incident for entry in before.muted),
        *(entry.incident for entry in before.unverified),
    )
    return {entry.id: entry for entry in found}


def _marked(incident: Incident, known: dict[str, Incident], earlier: set[_Key]) -> Incident:
    """Ongoing when its root cause was there before, be it as something that another one explained."""
    ongoing = incident.id in known or bool(_own_keys(incident) & earlier)
    status: Literal["new", "ongoing"] = "ongoing" if ongoing else "new"
    times = [incident.first_seen, known[incident.id].first_seen if incident.id in known else None]
    first = min((time for time in times if time is not None), default=None)
    return incident.model_copy(update={"status": status, "first_seen": first})


def _own_keys(incident: Incident) -> set[_Key]:
    return {_key(incident.root_cause)}


def _all_keys(incident: Incident) -> set[_Key]:
    return {_key(finding) for finding in (incident.root_cause, *incident.related)}


def _key(finding: Finding) -> _Key:
    ref = finding.object
    return finding.cause, f"{ref.namespace or ''}/{ref.kind}/{base_name(ref)}"


def _why_not_over(incident: Incident, current: Diagnosis, before: Diagnosis) -> str | None:
    """Why its absence from ``current`` says nothing; None when it does."""
    if not _is_asked(incident, current.scope):
        return "it is outside of what was asked about"
    if not _is_checked(incident, current):
        return f"no rule for {incident.root_cause.cause} was run"
    if current.outcome is Outcome.INCONCLUSIVE:
        return current.summary
    namespace = incident.root_cause.object.namespace
    needed = _needed(incident.root_cause)
    for gap in current.unreadable:
        if gap.resource == "pods/log":
            if _is_log_of(gap, incident.root_cause):
                return f"the log of {gap.name or 'its pods'} could not be read ({gap.reason})"
        elif _covers(gap, namespace) and (gap.resource in needed or not _was_gap(gap, before)):
            return f"{gap.resource} could not be read ({gap.reason})"
    unread = sorted(set(before.checked) - set(current.checked))
    return f"{', '.join(unread[:3])} were not read" if unread else None


def _needed(finding: Finding) -> set[str]:
    """The resources that its quotes were read from, and its own."""
    needed = {"pods"}
    for ref in (finding.object, *(quote.source for quote in finding.evidence)):
        resource = resource_by_kind(ref.kind)
        if resource is not None:
            needed.add(resource.plural)
    if any(quote.kind is EvidenceKind.EVENT for quote in finding.evidence):
        needed.add("events")
    return needed


def _is_log_of(gap: Unreadable, finding: Finding) -> bool:
    """Whether the log that could not be read is one that the finding quotes, of a pod before or after."""
    pods = {
        (quote.source.namespace, base_name(quote.source))
        for quote in finding.evidence
        if quote.kind is EvidenceKind.LOG
    }
    if gap.name is None:
        return any(gap.namespace in {None, namespace} for namespace, _ in pods)
    return (gap.namespace, base_name(ObjectRef(kind="Pod", name=gap.name))) in pods


def _covers(gap: Unreadable, namespace: str | None) -> bool:
    """A fault of a cluster-wide object may show in any namespace."""
    return gap.namespace is None or namespace is None or gap.namespace == namespace


def _was_gap(gap: Unreadable, before: Diagnosis) -> bool:
    """What was unreadable then as well did not show the incident."""
    return any(old.resource == gap.resource and old.namespace in {None, gap.namespace} for old in before.unreadable)


def _is_checked(incident: Incident, current: Diagnosis) -> bool:
    cause = incident.root_cause.cause
    return cause in CAUSES or cause in current.own_causes


def _is_asked(incident: Incident, scope: Scope) -> bool:
    ref = incident.root_cause.object
    own = ref.name if ref.kind == "Namespace" else ref.namespace
    if scope.namespace is not None and own not in {None, scope.namespace}:
        return False
    names = {base_name(entry) for entry in (ref, *incident.affected)} | {ref.name}
    return scope.name is None or scope.name in names or base_name(ObjectRef(kind="Pod", name=scope.name)) in names
