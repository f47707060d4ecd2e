"""Making evidence and remediation: one short constructor per kind of source."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, EvidenceKind, ObjectRef, Remediation
from kubetriage.diagnosis.view import EventNote

# A quote is for reading: longer text is cut, and the cut is shown.
LONGEST_QUOTE = 500


def field(source: ObjectRef, path: str, value: Any, time: datetime | None = None) -> Evidence:
    """The value of a field, as JSON when it is not a string."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return Evidence(kind=EvidenceKind.FIELD, source=source, where=path, quote=shorten(text), time=time)


def log_line(
    pod: ObjectRef, container: str, line: str, *, previous: bool = False, time: datetime | None = None
) -> Evidence:
    where = f"{container} (previous)" if previous else container
    return Evidence(kind=EvidenceKind.LOG, source=pod, where=where, quote=shorten(line), time=time)


def event(note: EventNote) -> Evidence:
    return note.evidence()


def metric(source: ObjectRef, name: str, text: str, time: datetime | None = None) -> Evidence:
    return Evidence(kind=EvidenceKind.METRIC, source=source, where=name, quote=shorten(text), time=time)


def check(source: ObjectRef, name: str, text: str, time: datetime | None = None) -> Evidence:
    return Evidence(kind=EvidenceKind.CHECK, source=source, where=name, quote=shorten(text), time=time)


def look(text: str, command: str) -> Remediation:
    """A step that reads only."""
    return Remediation(text=text, command=command)


def change(text: str, command: str | None = None) -> Remediation:
    """A step that changes something."""
    return Remediation(text=text, command=command, changes=True)


def shorten(text: str, longest: int = LONGEST_QUOTE) -> str:
    stripped = text.strip()
    return stripped if len(stripped) <= longest else f"{stripped[: longest - 1]}…"


def kubectl(namespace: str | None, arguments: str) -> str:
    """``kubectl -n shop get pods``."""
    return f"kubectl -n {namespace} {arguments}" if namespace else f"kubectl {arguments}"


def list_names(names: list[str], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
