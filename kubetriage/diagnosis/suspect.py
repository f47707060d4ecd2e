"""A rule's word: a finding, how deep it goes, and whom else it points at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from kubetriage.contracts.diagnosis import Evidence, Finding, ObjectRef, Remediation, Severity
from kubetriage.diagnosis.causes import CAUSES, Cause


class Depth(IntEnum):
    """How far down the chain of causes a finding stands. A deeper one explains a shallower one on
    the same object; a SYMPTOM is also explained by any fault of what its object depends on."""

    SYMPTOM = 0  # "has no ready endpoints", "cannot reach payments": something else must be wrong
    EFFECT = 1  # "crashes", "is not ready": a reason exists, and may be on another object
    CAUSE = 2  # a fault that needs no further reason: a wrong port, a missing Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """``blames``: objects that would explain this finding if something is wrong with them.

    ``apart``: it neither explains another finding nor is explained by one, as a broken convention.
    """

    finding: Finding
    depth: Depth
    blames: tuple[ObjectRef, ...] = ()
    apart: bool = False

    @property
    def object(self) -> ObjectRef:
        return self.finding.object


def suspect(
    cause: str | Cause,
    target: ObjectRef,
    *,
    title: str,
    explanation: str,
    evidence: list[Evidence],
    remediation: list[Remediation],
    severity: Severity = Severity.HIGH,
    confidence: float = 0.9,
    depth: Depth = Depth.CAUSE,
    blames: tuple[ObjectRef, ...] = (),
    first_seen: datetime | None = None,
    runbook_query: str = "",
    apart: bool = False,
) -> Suspect:
    """A suspect of a registered cause, or of a team's own. First and last seen come from the evidence unless given.

    Raises KeyError for a cause that is not in the registry: a rule's bug, found by its first test.
    """
    entry = cause if isinstance(cause, Cause) else CAUSES[cause]
    times = [quote.time for quote in evidence if quote.time is not None]
    finding = Finding(
        cause=entry.code,
        object=target,
        title=title,
        explanation=explanation,
        severity=severity,
        confidence=confidence,
        evidence=tuple(evidence),
        remediation=tuple(remediation),
        runbook_query=runbook_query or f"{entry.title}. {entry.evidence}",
        first_seen=first_seen or min(times, default=None),
        last_seen=max(times, default=None),
    )
    return Suspect(finding=finding, depth=depth, blames=blames, apart=apart)
