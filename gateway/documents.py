"""How a document is made to fit into what we keep."""

from __future__ import annotations

from kubetriage.contracts.diagnosis import Diagnosis

_GAPS = 100


def fitted(diagnosis: Diagnosis, limit: int) -> Diagnosis:
    """The diagnosis when it has at most ``limit`` bytes as JSON, else as many of its worst incidents as fit, and it
    says how many are left out."""
    small, kept = diagnosis, len(diagnosis.incidents)
    while len(small.model_dump_json().encode()) > limit and kept:
        kept //= 2
        left_out = f"{diagnosis.summary} ({len(diagnosis.incidents) - kept} incidents left out)"
        update = {"incidents": diagnosis.incidents[:kept], "muted": (), "unverified": (), "summary": left_out}
        small = diagnosis.model_copy(update={**update, "unreadable": diagnosis.unreadable[:_GAPS]})
    return small
