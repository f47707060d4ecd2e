"""From suspects to incidents: one root cause each, with everything that it explains.

A suspect is explained by another when that one is a deeper finding on the same object, or when its
object needs (by the dependency graph, or by its own word: ``blames``) the other's object. What is
explained joins that incident; what nobody explains is a root cause itself.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from kubetriage.contracts.diagnosis import ChainLink, Evidence, Finding, Incident, ObjectRef, Scope, Severity
from kubetriage.diagnosis.graph import DependencyGraph
from kubetriage.diagnosis.suspect import Depth, Suspect

_SEVERITY_ORDER = {Severity.CRITICAL: 3, Severity.HIGH: 2, Severity.MEDIUM: 1, Severity.LOW: 0}
# Kinds whose fault takes down whatever runs on or in them.
_PLATFORM = {"Node", "Namespace", "ControlPlane"}
MOST_EVIDENCE = 8
MOST_AFFECTED = 30


def merge(suspects: Iterable[Suspect]) -> list[Suspect]:
    """One suspect per (cause, object): three pods of a workload with one fault are one finding."""
    grouped: dict[tuple[str, ObjectRef], list[Suspect]] = defaultdict(list)
    for entry in suspects:
        grouped[(entry.finding.cause, entry.object)].append(entry)
    return [_merged(group) for group in grouped.values()]


def build_incidents(suspects: Sequence[Suspect], graph: DependencyGraph, scope: Scope) -> list[Incident]:
    """Ranked incidents, worst and most relevant first."""
    for entry in suspects:
        for blamed in entry.blames:
            graph.add(entry.object, blamed)
    ordered = sorted(suspects, key=_strength, reverse=True)
    explained: dict[int, int] = {}  # index of a suspect to the index of the one that explains it
    for index, entry in enumerate(ordered):
        found = _explanation(index, entry, ordered, graph, explained)
        if found is not None:
            explained[index] = found
    members: dict[int, list[Suspect]] = defaultdict(list)
    for index, entry in enumerate(ordered):
        members[_root_of(index, explained)].append(entry)
    incidents = [_incident(ordered[root], group, graph, scope) for root, group in members.items()]
    incidents.sort(key=lambda incident: _rank_key(incident, scope), reverse=True)
    return [incident.model_copy(update={"rank": number}) for number, incident in enumerate(incidents, 1)]


def names_in(question: str | None) -> set[str]:
    """Words of a question that may be object names."""
    return set(re.findall(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?", (question or "").lower()))


def _strength(entry: Suspect) -> tuple[int, int, float, int, str]:
    platform = 1 if entry.object.kind in _PLATFORM else 0
    severity = _SEVERITY_ORDER[entry.finding.severity]
    return (int(entry.depth), platform, entry.finding.confidence, severity, str(entry.object))


def _explanation(
    index: int,
    entry: Suspect,
    ordered: Sequence[Suspect],
    graph: DependencyGraph,
    explained: dict[int, int],
) -> int | None:
    """The suspect that explains this one: on the same object, else the nearest deeper one."""
    if entry.apart:
        return None
    for other in range(index):
        if ordered[other].object == entry.object and other not in explained and not ordered[other].apart:
            return other
    if entry.depth is Depth.CAUSE:
        return _platform_cause(entry, ordered[:index])
    steps = _steps(entry, graph)
    best: tuple[int, int] | None = None
    for other, candidate in enumerate(ordered):
        if other == index or candidate.depth < entry.depth or _root_of(other, explained) == index:
            continue
        if candidate.object not in steps or (candidate.depth == entry.depth and not entry.blames):
            continue
        if candidate.object == entry.object or candidate.apart:
            continue
        distance = steps[candidate.object] - (0 if candidate.depth > entry.depth else -10)
        if best is None or distance < best[0]:
            best = (distance, other)
    return best[1] if best else None


def _platform_cause(entry: Suspect, stronger: Sequence[Suspect]) -> int | None:
    """A node that is down explains also what looks like a cause of its own on its pods, when that
    one blames the node."""
    for other, candidate in enumerate(stronger):
        if candidate.object.kind in _PLATFORM and candidate.object in entry.blames and not candidate.apart:
            return other
    return None


def _steps(entry: Suspect, graph: DependencyGraph) -> dict[ObjectRef, int]:
    """What could explain a suspect, with the distance. An EFFECT is only explained by whom it
    blames (a panic is not explained by any far dependency), a SYMPTOM by all that it needs."""
    steps: dict[ObjectRef, int] = {}
    starts = entry.blames if entry.depth is Depth.EFFECT else (entry.object, *entry.blames)
    for start in starts:
        for ref, distance in graph.reach(start).items():
            steps[ref] = min(distance, steps.get(ref, distance))
    if entry.depth is not Depth.CAUSE:
        for ref in graph.needs(entry.object):
            if ref.kind in _PLATFORM:
                steps.setdefault(ref, 1)
    return steps


def _root_of(index: int, explained: dict[int, int]) -> int:
    seen = set()
    while index in explained and index not in seen:
        seen.add(index)
        index = explained[index]
    return index


def _merged(group: list[Suspect]) -> Suspect:
    best = max(group, key=lambda entry: (entry.depth, entry.finding.confidence))
    if len(group) == 1:
        return best
    evidence: dict[tuple[str, str], Evidence] = {}
    for entry in (best, *group):
        for quote in entry.finding.evidence:
            evidence.setdefault((quote.where, quote.quote), quote)
    finding = best.finding.model_copy(
        update={
            "evidence": tuple(evidence.values())[:MOST_EVIDENCE],
            "severity": max((entry.finding.severity for entry in group), key=_SEVERITY_ORDER.__getitem__),
            "first_seen": _earliest(entry.finding.first_seen for entry in group),
            "last_seen": _latest(entry.finding.last_seen for entry in group),
        }
    )
    blames = tuple(dict.fromkeys(ref for entry in group for ref in entry.blames))
    return Suspect(finding=finding, depth=best.depth, blames=blames, apart=best.apart)


def _incident(root: Suspect, group: list[Suspect], graph: DependencyGraph, scope: Scope) -> Incident:
    cause = root.finding
    affected = _affected(root, group, graph)
    chain = _chain(root, group, affected, graph, scope)
    related = tuple(entry.finding for entry in group if entry is not root)
    return Incident(
        id=_identity(cause),
        rank=1,
        title=_title(chain, cause),
        severity=max((entry.finding.severity for entry in group), key=_SEVERITY_ORDER.__getitem__),
        confidence=cause.confidence,
        root_cause=cause,
        chain=chain,
        affected=affected,
        related=related,
        first_seen=_earliest(entry.finding.first_seen for entry in group),
        last_seen=_latest(entry.finding.last_seen for entry in group),
    )


def _affected(root: Suspect, group: list[Suspect], graph: DependencyGraph) -> tuple[ObjectRef, ...]:
    """Objects with a symptom of their own first, then those that need the broken one."""
    if root.apart:
        return ()
    found = dict.fromkeys(entry.object for entry in group if entry.object != root.object)
    if root.finding.severity in (Severity.CRITICAL, Severity.HIGH):
        for ref in sorted(graph.dependents(root.object).items(), key=lambda item: (item[1], str(item[0]))):
            found.setdefault(ref[0])
    found.pop(root.object, None)
    return tuple(found)[:MOST_AFFECTED]


def _chain(
    root: Suspect,
    group: list[Suspect],
    affected: tuple[ObjectRef, ...],
    graph: DependencyGraph,
    scope: Scope,
) -> tuple[ChainLink, ...]:
    """From what was asked about (else the farthest symptom) to the root cause."""
    by_object: dict[ObjectRef, Finding] = {}
    for entry in group:
        by_object.setdefault(entry.object, entry.finding)
    by_object[root.object] = root.finding
    start = _start(root, group, affected, graph, scope)
    way = graph.path(start, root.object) or [start, root.object]
    links = []
    for ref in dict.fromkeys(way):
        finding = by_object.get(ref)
        if finding is None:
            links.append(ChainLink(object=ref, summary=f"{ref.short} is on the way"))
        else:
            evidence = finding.evidence[0] if finding.evidence else None
            links.append(ChainLink(object=ref, summary=finding.title, evidence=evidence))
    return tuple(links)


def _start(
    root: Suspect,
    group: list[Suspect],
    affected: tuple[ObjectRef, ...],
    graph: DependencyGraph,
    scope: Scope,
) -> ObjectRef:
    asked = _asked(scope)
    for ref in (root.object, *affected):
        if ref.name.lower() in asked:
            return ref
    distances = graph.dependents(root.object, longest=8)
    others = [entry.object for entry in group if entry.object != root.object]
    return max(others, key=lambda ref: (distances.get(ref, 0), str(ref)), default=root.object)


def _asked(scope: Scope) -> set[str]:
    asked = names_in(scope.question)
    if scope.name:
        asked.add(scope.name.lower())
    return asked


def _title(chain: Sequence[ChainLink], cause: Finding) -> str:
    if len(chain) > 1 and chain[0].object.name != cause.object.name:
        return f"{chain[0].object.name} fails because {cause.title}"
    return cause.title


def _rank_key(incident: Incident, scope: Scope) -> tuple[int, int, float, int, float, str]:
    asked = _asked(scope)
    objects = [incident.root_cause.object, *incident.affected]
    relevant = 1 if any(ref.name.lower() in asked for ref in objects) else 0
    seen = incident.last_seen.timestamp() if incident.last_seen else 0.0
    # Confidence in coarse steps: 0.95 against 0.9 must not outrank a wider reach.
    return (
        relevant,
        _SEVERITY_ORDER[incident.severity],
        round(incident.confidence, 1),
        min(len(incident.affected), MOST_AFFECTED),
        seen,
        incident.id,
    )


def _identity(cause: Finding) -> str:
    text = f"{cause.cause}|{cause.object}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _latest(times: Iterable[datetime | None]) -> datetime | None:
    return max((time for time in times if time is not None), default=None)
