"""Causes that a team knows of and lives with for a while: a checked-in list, each with a reason and an end.

mutes:
  - cause: hpa_cannot_scale
    object: horizontalpodautoscaler/batch-*
    namespace: reports
    reason: metrics-server comes with OPS-412
    until: 2026-12-31
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase

from kubetriage.contracts.diagnosis import Diagnosis, Incident, MutedIncident, Outcome
from kubetriage.diagnosis.causes import CAUSES
from kubetriage.diagnosis.documents import DocumentError, Part, read_documents
from kubetriage.diagnosis.outcome import conclude, renumbered

LONGEST = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """``target``: ``kind/name`` with ``*``; ``namespace`` None: any, and cluster-wide objects as well."""

    cause: str
    target: str
    namespace: str | None
    reason: str
    until: date
    line: int

    def covers(self, incident: Incident) -> bool:
        ref = incident.root_cause.object
        if incident.root_cause.cause != self.cause or not fnmatchcase(ref.short, self.target):
            return False
        return self.namespace is None or (ref.namespace is not None and fnmatchcase(ref.namespace, self.namespace))


def parse_mutes(text: str, *, today: date, own_causes: Collection[str] = ()) -> tuple[Mute, ...]:
    """The entries of a mutes file. Raises DocumentError, with the line, for what it does not understand."""
    documents = read_documents(text)
    if not documents:
        return ()
    if len(documents) > 1:
        raise DocumentError("must be one YAML document", documents[1].line)
    entries = documents[0].entries(["mutes"], [])["mutes"]
    if entries.value is None:
        return ()
    return tuple(_mute(entry, today, {*CAUSES, *own_causes}) for entry in entries.elements())


def apply_mutes(diagnosis: Diagnosis, mutes: Sequence[Mute], *, today: date) -> tuple[Diagnosis, list[str]]:
    """The diagnosis with what is muted set apart and not counted; and a warning per mute that has ended."""
    ended = [entry for entry in mutes if entry.until < today]
    warnings = [
        f"the mute of {entry.cause} on {entry.target} ended on {entry.until} and mutes nothing "
        f"(line {entry.line}: {' '.join(entry.reason.split())})"
        for entry in ended
    ]
    active = [entry for entry in mutes if entry.until >= today]
    left: list[Incident] = []
    muted = list(diagnosis.muted)
    for incident in diagnosis.incidents:
        found = next((entry for entry in active if entry.covers(incident)), None)
        if found is None or incident.status == "resolved":
            left.append(incident)
        else:
            muted.append(MutedIncident(incident=incident, reason=found.reason, until=found.until))
    if len(left) == len(diagnosis.incidents):
        return diagnosis, warnings
    outcome, summary = conclude(left, diagnosis.unreadable, diagnosis.scope)
    if outcome is Outcome.NO_FAULT_FOUND:
        summary += f" besides {len(muted)} muted incident{'s' if len(muted) > 1 else ''}"
    changes = {"incidents": renumbered(left), "muted": tuple(muted), "outcome": outcome, "summary": summary}
    return diagnosis.model_copy(update=changes), warnings


def _mute(entry: Part, today: date, causes: Collection[str]) -> Mute:
    parts = entry.entries(["cause", "reason", "until"], ["object", "namespace"])
    cause = parts["cause"].text()
    if cause not in causes:
        near = difflib.get_close_matches(cause, sorted(causes), n=2)
        raise parts["cause"].wrong(f"no cause {cause!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    target = "*/*"
    if "object" in parts:
        kind, slash, name = parts["object"].text().partition("/")
        if not slash or not kind or not name:
            raise parts["object"].wrong('object must be kind/name, such as deployment/payments or "*/payments-*"')
        target = f"{kind.lower()}/{name}"
    return Mute(
        cause=cause,
        target=target,
        namespace=parts["namespace"].text() if "namespace" in parts else None,
        reason=parts["reason"].text(),
        until=_until(parts["until"], today),
        line=entry.line,
    )


def _until(part: Part, today: date) -> date:
    until = part.value
    if not isinstance(until, date) or isinstance(until, datetime):
        raise part.wrong("until must be a date such as 2026-12-31")
    if until > today + LONGEST:
        raise part.wrong(f"until {until} is more than a year ahead")
    return until
