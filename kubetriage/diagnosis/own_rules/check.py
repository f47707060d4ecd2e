"""A team's own rule as a value: which objects it looks at, when it holds, and what it says then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Remediation, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.causes import Cause
from kubetriage.diagnosis.own_rules.condition import Condition
from kubetriage.diagnosis.own_rules.paths import Path, Place
from kubetriage.diagnosis.rule import Rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.safety.redaction import redact
from kubetriage.state.objects import deleted_at, labels_of, name_of, namespace_of, ref_of
from kubetriage.state.resources import Resource
from kubetriage.state.snapshot import Object

MOST_QUOTES = 6
# What is needed to go from a Pod, a ReplicaSet or a Job up to what a person edits.
_OWNERS = ("deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs")
_OWNED = {"Pod", "ReplicaSet", "Job"}
_BLANK = re.compile(r"\{(\w+)\}")
# What may stand in a command: a name as the API takes it, so that nothing else is ever pasted into a shell.
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]*")
MESSAGE_BLANKS = ("kind", "name", "namespace", "value")
COMMAND_BLANKS = ("kind", "name", "namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An inline test: an object, and whether the check should hold for it."""

    name: str
    expect: Literal["match", "silent"]
    object: Mapping[str, Any]
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """``explains``: it may be the root cause of other findings; otherwise it stands apart from them."""

    cause: Cause
    resource: Resource
    condition: Condition
    message: str
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[Path, ...] = ()
    severity: Severity = Severity.MEDIUM
    fix: str | None = None
    command: str | None = None
    explains: bool = False
    examples: tuple[Example, ...] = ()
    source: str = ""

    def rule(self) -> Rule:
        """As the engine runs it."""
        owners = _OWNERS if self.resource.kind in _OWNED else ()
        return Rule(self.cause.code, frozenset({self.resource.plural, *owners}), self.find, (self.cause,))

    def find(self, view: ClusterView) -> Iterator[Suspect]:
        """Raises ConditionError only for an object that no API server would hold."""
        for item in view.snapshot.items(self.resource.plural):
            if self._concerns(item) and self.condition.holds(item):
                yield self._suspect(view, item)

    def _concerns(self, item: Object) -> bool:
        if deleted_at(item) is not None:
            return False
        if self.namespace is not None and not fnmatchcase(namespace_of(item) or "", self.namespace):
            return False
        labels = labels_of(item)
        return all(key in labels and fnmatchcase(str(labels[key]), wanted) for key, wanted in self.labels.items())

    def _suspect(self, view: ClusterView, item: Object) -> Suspect:
        kind = self.resource.kind
        ref = ref_of(kind, item)
        target = view.workload_of(item, kind) if kind in _OWNED else ref
        places = [place for path in self.evidence or self.condition.paths for place in path.places(item)]
        blanks = {"kind": kind.lower(), "name": name_of(item), "namespace": namespace_of(item) or ""}
        return suspect(
            self.cause,
            target,
            title=_filled(self.message, {**blanks, "value": _value(places)}),
            explanation=self.cause.meaning,
            evidence=list(_quotes(ref, places))[:MOST_QUOTES],
            remediation=self._steps(ref, blanks),
            severity=self.severity,
            confidence=0.9,
            depth=Depth.CAUSE,
            runbook_query=f"{self.cause.title}. {self.cause.runbook}".strip(),
            apart=not self.explains,
        )

    def _steps(self, ref: ObjectRef, blanks: Mapping[str, str]) -> list[Remediation]:
        steps = []
        if _SAFE.fullmatch(ref.name):
            steps.append(quotes.look("See the object", quotes.kubectl(ref.namespace, f"get {ref.short} -o yaml")))
        if self.fix is not None:
            safe = {key: text if _SAFE.fullmatch(text) else f"<{key}>" for key, text in blanks.items()}
            command = None if self.command is None else _filled(self.command, safe)
            steps.append(quotes.change(_filled(self.fix, blanks), command))
        if self.cause.runbook:
            steps.append(Remediation(text=f"Runbook: {self.cause.runbook}"))
        return steps


def blanks_of(text: str) -> set[str]:
    """The names in braces."""
    return set(_BLANK.findall(text))


def _filled(text: str, blanks: Mapping[str, str]) -> str:
    return _BLANK.sub(lambda found: blanks.get(found[1], found[0]), text)


def _value(places: list[Place]) -> str:
    found = next((place.value for place in places if place.present), None)
    if found is None:
        return "nothing"
    return redact(quotes.shorten(found if isinstance(found, str) else json.dumps(found, sort_keys=True), 120))


def _quotes(ref: ObjectRef, places: list[Place]) -> Iterator[Evidence]:
    """What is there, verbatim; for what is not, the part that should hold it, when that is short enough to read."""
    seen: set[str] = set()
    for place in places:
        where, value = (place.where, place.value) if place.present else place.above
        if not where or where in seen or value is None:
            continue
        seen.add(where)
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        if place.present or len(text) <= quotes.LONGEST_QUOTE:
            yield quotes.field(ref, where, redact(text))
