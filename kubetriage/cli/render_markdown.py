"""A Diagnosis as Markdown, for a ticket. Cluster text stands in code spans: it cannot become a link."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.contracts.diagnosis import Diagnosis, Incident


def render_markdown(diagnosis: Diagnosis) -> str:
    lines = [f"# {_plain(diagnosis.summary)}", ""]
    for incident in diagnosis.present:
        lines += [*_incident(incident), ""]
    lines += _over_time(diagnosis)
    if diagnosis.unreadable:
        lines += ["## Not read", ""]
        for gap in diagnosis.unreadable:
            remedy = "" if gap.verb == "run" else f" ({gap.remedy})"
            lines.append(f"- {gap.resource}: {_plain(gap.reason)}{remedy}")
    return "\n".join(lines).rstrip() + "\n"


def _incident(incident: Incident) -> Iterator[str]:
    cause = incident.root_cause
    yield f"## {incident.rank}. {_plain(incident.title)}"
    yield ""
    status = f"{incident.status}, " if incident.status else ""
    yield (
        f"**{incident.severity.value}**, {status}confidence {incident.confidence:.2f}, cause `{cause.cause}`, "
        f"`{cause.object}`"
    )
    yield ""
    yield _plain(cause.explanation)
    yield ""
    yield "### Fix"
    yield ""
    for step in cause.remediation:
        yield f"- {_plain(step.text)}"
        if step.command:
            yield f"  ```sh\n  {step.command}\n  ```"
    yield ""
    yield "### Evidence"
    yield ""
    for quote in cause.evidence:
        time = f", {quote.time:%Y-%m-%d %H:%M:%S}Z" if quote.time else ""
        yield f"- {_code(quote.quote)}  \n  {quote.kind.value} `{quote.source}` {quote.where}{time}"
    if len(incident.chain) > 1:
        yield ""
        yield "### Chain"
        yield ""
        for depth, link in enumerate(incident.chain):
            yield f"{'  ' * depth}- `{link.object}`: {_plain(link.summary)}"
    if incident.affected:
        yield ""
        yield "Also affected: " + ", ".join(f"`{ref}`" for ref in incident.affected)


def _over_time(diagnosis: Diagnosis) -> Iterator[str]:
    resolved = [_named(entry) for entry in diagnosis.resolved]
    unverified = [f"{_named(entry.incident)}: {_plain(entry.reason)}" for entry in diagnosis.unverified]
    muted = [f"{_named(entry.incident)} until {entry.until}: {_plain(entry.reason)}" for entry in diagnosis.muted]
    for heading, lines in (("Resolved", resolved), ("Not seen, may go on", unverified), ("Muted", muted)):
        if lines:
            yield from (f"## {heading}", "", *(f"- {line}" for line in lines), "")


def _named(incident: Incident) -> str:
    status = f" ({incident.status})" if incident.status in {"new", "ongoing"} else ""
    return f"{_plain(incident.title)}, `{incident.root_cause.object}`{status}"


def _code(text: str) -> str:
    flat = " ".join(text.split())
    fence = "``" if "`" in flat else "`"
    return f"{fence}{flat}{fence}"


def _plain(text: str) -> str:
    """Text without what Markdown would make a link, an image or HTML of."""
    for mark in ("[", "]", "<", ">", "`", "*", "_", "|"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
