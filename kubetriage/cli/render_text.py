"""A Diagnosis as text for a tired person: the answer first, then why, what to do, what else.

Pure: the caller decides whether the colours reach a terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from kubetriage.contracts.diagnosis import Diagnosis, Evidence, Incident, Outcome, Severity

WIDTH = 110
MOST_FULL = 3  # incidents told at length; the others get a line
MOST_UNSEEN = 5
_COLOURS = {
    Severity.CRITICAL: "red",
    Severity.HIGH: "yellow",
    Severity.MEDIUM: "cyan",
    Severity.LOW: "white",
}


def render_text(diagnosis: Diagnosis) -> str:
    lines: list[str] = []
    if diagnosis.outcome is not Outcome.FAULT_FOUND:
        colour = "green" if diagnosis.outcome is Outcome.NO_FAULT_FOUND else "yellow"
        lines.append(click.style(diagnosis.summary, bold=True, fg=colour))
    present = diagnosis.present
    for incident in present[:MOST_FULL]:
        lines += [*_incident(incident), ""]
    for incident in present[MOST_FULL:]:
        status = f", {incident.status}" if incident.status else ""
        lines.append(f"Incident {incident.rank}{status}: {_named(incident)}")
    if len(present) > MOST_FULL:
        lines.append("")
    lines += _over_time(diagnosis)
    lines += _closing(diagnosis)
    return "\n".join(lines).rstrip()


def _incident(incident: Incident) -> Iterator[str]:
    cause = incident.root_cause
    number = f"Incident {incident.rank}: " if incident.rank > 1 else ""
    head = f"{number}{incident.title}"
    status = f"{incident.status}, " if incident.status else ""
    confidence = f"{status}confidence {incident.confidence:.2f}"
    gap = " " * max(2, WIDTH - len(head) - len(confidence))
    yield f"{click.style(head, bold=True, fg=_COLOURS[incident.severity])}{gap}{click.style(confidence, dim=True)}"
    yield from _wrapped(cause.explanation, "  ")
    for number_of_step, step in enumerate(step for step in cause.remediation if step.changes):
        yield from _wrapped(("Fix: " if number_of_step == 0 else "     ") + step.text, "  ", "       ")
        if step.command:
            yield f"       {click.style(step.command, fg='green')}"
    yield ""
    yield click.style("Why", bold=True)
    yield from _chain(incident)
    yield ""
    yield click.style("Evidence", bold=True)
    for quote in cause.evidence[:5]:
        yield from _quote(quote)
    look = next((step for step in cause.remediation if not step.changes and step.command), None)
    if look:
        yield f"  Check: {look.command}"
    for step in cause.remediation:
        if not step.changes and not step.command:
            yield from _wrapped(step.text, "  ")
    if incident.affected:
        names = dict.fromkeys(f"{ref.kind.lower()}/{ref.name}" for ref in incident.affected)
        yield from _wrapped(f"Also affected: {', '.join(list(names)[:8])}{' …' if len(names) > 8 else ''}", "")
    yield f"More: kubetriage explain {cause.cause}"


def _named(incident: Incident) -> str:
    return f"{incident.title}  [{incident.root_cause.object}]"


def _over_time(diagnosis: Diagnosis) -> Iterator[str]:
    """What is over, what may be, and what was muted: a line each."""
    lines = [click.style(f"Resolved: {_named(entry)}", fg="green") for entry in diagnosis.resolved]
    unseen = [f"Not seen, may go on: {_named(entry.incident)}: {entry.reason}" for entry in diagnosis.unverified]
    lines += unseen[:MOST_UNSEEN]
    if len(unseen) > MOST_UNSEEN:
        lines.append(f"and {len(unseen) - MOST_UNSEEN} more not seen (-o json lists them)")
    for entry in diagnosis.muted:
        status = f", {entry.incident.status}" if entry.incident.status else ""
        lines.append(
            click.style(
                f"Muted until {entry.until}{status}: {_named(entry.incident)}: {' '.join(entry.reason.split())}",
                dim=True,
            )
        )
    if lines:
        yield from (*lines, "")


def _chain(incident: Incident) -> Iterator[str]:
    width = max((len(link.object.short) + 3 * depth for depth, link in enumerate(incident.chain)), default=0)
    for depth, link in enumerate(incident.chain):
        branch = f"{'   ' * (depth - 1)}└─ " if depth else ""
        name = f"{branch}{link.object.short}"
        yield f"  {name.ljust(width + 1)}  {_cut(link.summary, WIDTH - width - 5)}"
    for change in incident.changes[:2]:
        indent = "   " * len(incident.chain)
        yield f"  {indent}changed {change.time:%Y-%m-%d %H:%M:%S}Z  {_cut(change.summary, WIDTH)}"


def _quote(quote: Evidence) -> Iterator[str]:
    time = f"  {quote.time:%H:%M:%S}Z" if quote.time else ""
    times = f"  ×{quote.count}" if quote.count and quote.count > 1 else ""
    yield f'  "{_cut(" ".join(quote.quote.split()), WIDTH - 4)}"'
    yield click.style(f"      {quote.kind.value} {quote.source} {quote.where}{time}{times}", dim=True)


def _closing(diagnosis: Diagnosis) -> Iterator[str]:
    seconds = f" in {diagnosis.duration_seconds:.1f} s" if diagnosis.duration_seconds is not None else ""
    read = f"Read {diagnosis.objects_read} objects of {len(diagnosis.checked)} kinds{seconds}"
    asked = [gap for gap in diagnosis.unreadable if gap.verb == "query"]
    refused = [gap for gap in diagnosis.unreadable if gap.status is not None and gap.verb != "query"]
    failed = [gap for gap in diagnosis.unreadable if gap.verb == "run"]
    absent = [gap for gap in diagnosis.unreadable if gap.status is None and gap.verb not in ("run", "query")]
    if diagnosis.compared_with is not None:
        read = f"{read}; compared with {diagnosis.compared_with:%Y-%m-%d %H:%M:%S}Z"
    if not diagnosis.unreadable:
        yield click.style(f"{read}; nothing was unreadable", dim=True)
        return
    yield click.style(read, dim=True)
    for gap in refused[:6]:
        yield click.style(f"could not read {gap.resource} ({gap.status}: {gap.remedy})", fg="yellow")
    for gap in asked:
        yield click.style(f"could not query {gap.resource}: {' '.join(gap.reason.split())}", fg="yellow")
    for gap in failed:
        yield click.style(f"own {gap.resource} failed: {' '.join(gap.reason.split())}", fg="yellow")
    if absent:
        names = ", ".join(sorted({gap.resource for gap in absent}))
        yield from (click.style(line, dim=True) for line in _wrapped(f"not read: {names}", ""))


def _wrapped(text: str, indent: str, following: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if following is None else following,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
