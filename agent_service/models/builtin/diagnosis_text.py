"""A Diagnosis (as JSON) and runbook passages as the text of an answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agent_service.models.builtin.conversation import Outcome

_QUOTE = 240
_HEAD = re.compile(
    r"^\*\*Root cause: [^\n]{1,500}\*\* \((?P<kind>[a-z]{1,63})/(?P<name>[^\s,]{1,253})"
    r"(?: in (?P<namespace>[a-z0-9-]{1,63}))?, `"
)


def render_diagnosis(diagnosis: Mapping[str, Any], *, fix_only: bool = False, skip: int = 0) -> str:
    """Root cause first, then evidence with its sources, the fix with commands, and what else is affected.

    ``skip``: incidents to pass over; ``fix_only``: only what to do.
    """
    incidents = [one for one in diagnosis.get("incidents") or [] if one.get("status") != "resolved"]
    if not incidents:
        return _without_incident(diagnosis)
    if skip >= len(incidents):
        return f"There is no other incident: {len(incidents)} in all."
    incident = incidents[skip]
    cause = incident["root_cause"]
    status = f", {incident['status']}" if incident.get("status") else ""
    told = f"{_ref(cause['object'])}, `{cause['cause']}`, confidence {incident['confidence']:.2f}{status}"
    head = f"**Root cause: {incident['title']}** ({told})"
    parts = [head]
    if not fix_only:
        parts.append(cause["explanation"])
        parts.extend(filter(None, (_chain(incident), _evidence(cause))))
    parts.extend(filter(None, (_fix(cause),)))
    if not fix_only:
        parts.extend(filter(None, (_affected(incident), _others(incidents, skip), _over(diagnosis), _gaps(diagnosis))))
    return "\n\n".join(parts)


def root_cause_in(answer: str) -> Mapping[str, Any] | None:
    """The object (kind, name, namespace) of the root cause that an answer of ``render_diagnosis`` begins with."""
    head = _HEAD.match(answer)
    return head.groupdict() if head else None


def render_runbooks(outcome: Outcome, *, full: bool = False) -> str:
    """References to the runbooks that were found; ``full`` with the text of the best one."""
    if not outcome.ok:
        return f"Runbooks: {outcome.message}"
    passages = outcome.data.get("passages") or []
    if not passages:
        return "Runbooks: none fits." if full else ""
    best = passages[0]
    named = "; ".join(dict.fromkeys(f"{one['path']} ({one['title']})" for one in passages))
    return f"Runbook: {named}" + (f"\n\n**{best['heading']}**\n\n{best['text']}" if full else "")


def _without_incident(diagnosis: Mapping[str, Any]) -> str:
    gaps = _gaps(diagnosis)
    return "\n\n".join(filter(None, (diagnosis["summary"], _over(diagnosis), gaps)))


def _ref(about: Mapping[str, Any]) -> str:
    short = f"{about['kind'].lower()}/{about['name']}"
    return f"{short} in {about['namespace']}" if about.get("namespace") else short


def _chain(incident: Mapping[str, Any]) -> str:
    links = incident.get("chain") or []
    lines = (
        [f"{n}. {_ref(one['object'])}: {one['summary']}" for n, one in enumerate(links, 1)] if len(links) > 1 else []
    )
    changes = [
        f"Changed {one['time']}: {_ref(one['object'])}, {one['summary']}" for one in incident.get("changes") or ()
    ]
    return "\n".join((["How it comes about, symptom first:", *lines] if lines else []) + changes)


def _evidence(cause: Mapping[str, Any]) -> str:
    lines = []
    for one in cause.get("evidence") or ():
        quote = " ".join(str(one["quote"]).split())
        shown = quote if len(quote) <= _QUOTE else quote[: _QUOTE - 1] + "…"
        time = f", {one['time']}" if one.get("time") else ""
        count = f", ×{one['count']}" if one.get("count") else ""
        lines.append(f'- "{shown}" ({one["kind"]}, {_ref(one["source"])}, {one["where"]}{time}{count})')
    return "Evidence:\n" + "\n".join(lines) if lines else ""


def _fix(cause: Mapping[str, Any]) -> str:
    lines = []
    for step in cause.get("remediation") or ():
        command = f"\n  `{step['command']}`" if step.get("command") else ""
        lines.append(f"- {'' if step.get('changes') else 'Look: '}{step['text']}{command}")
    return "Fix:\n" + "\n".join(lines) if lines else ""


def _affected(incident: Mapping[str, Any]) -> str:
    names = [_ref(one) for one in incident.get("affected") or ()]
    return f"Also affected: {', '.join(names[:20])}." if names else ""


def _others(incidents: list[Any], skip: int) -> str:
    others = [one["title"] for position, one in enumerate(incidents) if position != skip]
    return "Other incidents:\n" + "\n".join(f"- {title}" for title in others[:10]) if others else ""


def _over(diagnosis: Mapping[str, Any]) -> str:
    lines = [
        f"- resolved: {one['title']}" for one in diagnosis.get("incidents") or () if one.get("status") == "resolved"
    ]
    lines += [
        f"- muted until {one['until']}: {one['incident']['title']} ({one['reason']})"
        for one in diagnosis.get("muted") or ()
    ]
    return "Over, or known:\n" + "\n".join(lines[:10]) if lines else ""


def _gaps(diagnosis: Mapping[str, Any]) -> str:
    gaps = dict.fromkeys(
        f"{gap.get('verb', 'list')} {gap['resource']}" + (f" in {gap['namespace']}" if gap.get("namespace") else "")
        for gap in diagnosis.get("unreadable") or ()
    )
    return f"Could not be read: {', '.join(list(gaps)[:8])}." if gaps else ""
