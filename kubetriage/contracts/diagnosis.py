"""The Diagnosis document: what is wrong, why, how we know, and what to do.

``Finding`` is one fault on one object; an ``Incident`` is one root cause with everything that it
explains; a ``Diagnosis`` ranks the incidents and says what could not be read. Times are UTC.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from kubetriage.contracts.base import WireModel


class ObjectRef(WireModel):
    """A Kubernetes object by kind, namespace and name. ``namespace`` is None when cluster-scoped."""

    kind: str
    name: str
    namespace: str | None = None

    @property
    def short(self) -> str:
        """``deployment/payments``: as kubectl takes it."""
        return f"{self.kind.lower()}/{self.name}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.short}" if self.namespace else self.short


class Severity(StrEnum):
    """How bad it is for the users of the object, worst first."""

    CRITICAL = "critical"  # it does not work at all
    HIGH = "high"  # part of it does not work, or it is about to stop
    MEDIUM = "medium"  # degraded: slow, restarting, without redundancy
    LOW = "low"  # nobody notices yet


class EvidenceKind(StrEnum):
    """Where a quote was read."""

    FIELD = "field"  # a field of an API object; ``where`` is its path
    EVENT = "event"  # a Kubernetes Event; ``where`` is its reason
    LOG = "log"  # a container's log; ``where`` is "container" or "container (previous)"
    METRIC = "metric"  # a series; ``where`` is its name
    CHECK = "check"  # something the collector tried, such as a connection; ``where`` names it


class Evidence(WireModel):
    """A verbatim quote and where a reader finds it again."""

    kind: EvidenceKind
    source: ObjectRef
    where: str
    quote: str
    time: datetime | None = None
    count: int | None = Field(default=None, description="how often it was seen, when the source says")


class Remediation(WireModel):
    """One step. ``command`` is exact and pasteable; ``changes`` tells a look from a change."""

    text: str
    command: str | None = None
    changes: bool = False


class Finding(WireModel):
    """One fault, on the object that has to change."""

    cause: str = Field(description="stable code from the registry of causes, e.g. oom_killed")
    object: ObjectRef = Field(description="the object to change")
    title: str = Field(description="one line: what is wrong with which object")
    explanation: str = Field(description="one or two sentences with names and numbers")
    severity: Severity
    confidence: float = Field(ge=0, le=1)
    evidence: tuple[Evidence, ...] = ()
    remediation: tuple[Remediation, ...] = ()
    runbook_query: str = Field(default="", description="what to search the runbooks for")
    first_seen: datetime | None = None
    last_seen: datetime | None = None


class ChainLink(WireModel):
    """One step from the symptom (first) to the root cause (last)."""

    object: ObjectRef
    summary: str
    evidence: Evidence | None = None


class Change(WireModel):
    """Something that changed shortly before the first symptom."""

    time: datetime
    object: ObjectRef
    summary: str


class Incident(WireModel):
    """One root cause and everything it explains."""

    id: str = Field(description="stable over repeated diagnoses of the same fault")
    rank: int = Field(ge=1)
    title: str
    severity: Severity
    confidence: float = Field(ge=0, le=1)
    root_cause: Finding
    chain: tuple[ChainLink, ...] = ()
    affected: tuple[ObjectRef, ...] = ()
    related: tuple[Finding, ...] = Field(default=(), description="findings that the root cause explains")
    changes: tuple[Change, ...] = ()
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    status: Literal["new", "ongoing", "resolved"] | None = Field(
        default=None, description="against a baseline; None without one"
    )


class MutedIncident(WireModel):
    """An incident that somebody acknowledged: it is there, and it is not news."""

    incident: Incident
    reason: str
    until: date = Field(description="the last day of the mute, UTC")


class UnverifiedIncident(WireModel):
    """An incident of the baseline of which this diagnosis cannot say whether it is over."""

    incident: Incident
    reason: str = Field(description="what could not be looked at")


class Outcome(StrEnum):
    FAULT_FOUND = "fault_found"
    NO_FAULT_FOUND = "no_fault_found"
    INCONCLUSIVE = "inconclusive"


class Unreadable(WireModel):
    """Something that could not be read. Never to be mistaken for something that is not there."""

    resource: str = Field(description="plural resource with subresource, e.g. pods/log")
    namespace: str | None = None
    name: str | None = None
    verb: str = "list"
    status: int | None = Field(default=None, description="HTTP status, when a server answered")
    reason: str

    @property
    def remedy(self) -> str:
        """What would allow it, for people: ``needs list pods in namespace shop``."""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"needs {self.verb} {self.resource}{where}"


class Scope(WireModel):
    """What was asked about. All None: the whole cluster."""

    cluster: str | None = None
    namespace: str | None = None
    kind: str | None = None
    name: str | None = None
    question: str | None = None


class Diagnosis(WireModel):
    """The answer to "what is wrong?"."""

    outcome: Outcome
    summary: str
    scope: Scope
    incidents: tuple[Incident, ...] = Field(default=(), description="worst first; resolved ones after the others")
    muted: tuple[MutedIncident, ...] = Field(default=(), description="acknowledged; they do not count as a fault")
    unverified: tuple[UnverifiedIncident, ...] = Field(
        default=(), description="of the baseline, neither seen nor known to be over"
    )
    compared_with: datetime | None = Field(default=None, description="the time of the baseline, when there was one")
    unreadable: tuple[Unreadable, ...] = ()
    checked: tuple[str, ...] = Field(default=(), description="resources that were read, plural names")
    objects_read: int = 0
    causes_checked: int = 0
    own_causes: tuple[str, ...] = Field(default=(), description="codes of a team's own rules among those checked")
    collected_at: datetime | None = Field(default=None, description="the time the state is of")
    duration_seconds: float | None = None
    version: str = ""

    @property
    def present(self) -> tuple[Incident, ...]:
        """The incidents that are there now: without those that are over."""
        return tuple(entry for entry in self.incidents if entry.status != "resolved")

    @property
    def resolved(self) -> tuple[Incident, ...]:
        return tuple(entry for entry in self.incidents if entry.status == "resolved")
