"""A Diagnosis as Markdown, for a ticket. Cluster text stands in code spans: it cannot become a link."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.contracts.diagnosis import Diagnosis, Incident


def render_markdown(diagnosis: Diagnosis) -> str:
    lines = [f"# {_plain(diagnosis.summary)}", ""]
    for incident in diagnosis.incidents:
        lines += [*_incident(incident), ""]
    if diagnosis.unreadable:
        lines += ["## Not read", ""]
        lines += [f"- {gap.resource}: {_plain(gap.reason)} ({gap.remedy})" for gap in diagnosis.unreadable]
    return "\n".join(lines).rstrip() + "\n"


def _incident(incident: Incident) -> Iterator[str]:
    cause = incident.root_cause
    yield f"## {incident.rank}. {_plain(incident.title)}"
    yield ""
    yield (
        f"**{incident.severity.value}**, confidence {incident.confidence:.2f}, cause `{cause.cause}`, `{cause.object}`"
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


def _code(text: str) -> str:
    flat = " ".join(text.split())
    fence = "``" if "`" in flat else "`"
    return f"{fence}{flat}{fence}"


def _plain(text: str) -> str:
    """Text without what Markdown would make a link, an image or HTML of."""
    for mark in ("[", "]", "<", ">", "`", "*", "_", "|"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
