"""The tool that says what is wrong: the deterministic diagnosis, scoped to what was asked."""

from __future__ import annotations

from agent_service.run_context import RunContext
from agent_service.tools.directory import find_object, refuse_namespace
from agent_service.tools.result import ToolResult
from kubetriage.contracts.api import Source
from kubetriage.contracts.diagnosis import Diagnosis, Evidence, Incident, Scope

_INCIDENTS = 5  # in a text for a model; the data has them all


async def diagnose(
    context: RunContext, namespace: str | None = None, kind: str | None = None, name: str | None = None
) -> ToolResult:
    """Root causes with evidence and fixes for an object, a namespace, or all that the caller may read."""
    namespace = namespace or context.namespace
    refusal = refuse_namespace(context, namespace)
    if refusal:
        return refusal
    if name:
        found = await find_object(context, name, namespace, kind)
        if isinstance(found, ToolResult):
            return found
        kind, name, namespace = found.resource.kind, found.name, found.namespace
    scope = Scope(
        cluster=context.reader.name, namespace=namespace, kind=kind, name=name, question=context.question or None
    )
    diagnosis = await context.diagnoser.diagnose(context.reader, scope)
    context.diagnosis = diagnosis
    return result_of(diagnosis)


def result_of(diagnosis: Diagnosis) -> ToolResult:
    """A Diagnosis as a tool's result."""
    parts = [f"outcome: {diagnosis.outcome.value}", diagnosis.summary]
    present = diagnosis.present
    parts.extend(render_incident(one) for one in present[:_INCIDENTS])
    if len(present) > _INCIDENTS:
        parts.append("further incidents: " + "; ".join(one.title for one in present[_INCIDENTS:][:20]))
    if diagnosis.resolved:
        parts.append("over since before: " + "; ".join(one.title for one in diagnosis.resolved[:20]))
    parts.extend(
        f"muted until {one.until} ({one.reason}): {one.incident.title}" for one in diagnosis.muted[:_INCIDENTS]
    )
    if diagnosis.unreadable:
        parts.append("could not be read: " + "; ".join(dict.fromkeys(gap.remedy for gap in diagnosis.unreadable[:20])))
    first = present[0].title if present else diagnosis.summary
    more = f" (and {len(present) - 1} more)" if len(present) > 1 else ""
    return ToolResult(
        summary=f"{first}{more}"[:200],
        text="\n".join(parts),
        data={"diagnosis": diagnosis.model_dump(mode="json", exclude_none=True)},
        sources=tuple(source_of(one) for incident in present[:_INCIDENTS] for one in incident.root_cause.evidence),
    )


def source_of(evidence: Evidence) -> Source:
    """A piece of evidence as a source of the answer."""
    kinds = {"field": "object", "event": "event", "log": "log", "metric": "metric", "check": "check"}
    return Source.model_validate(
        {
            "kind": kinds[evidence.kind.value],
            "title": str(evidence.source),
            "where": evidence.where,
            "quote": evidence.quote[:500],
        }
    )


def render_incident(incident: Incident) -> str:
    """An incident as lines for a model."""
    cause = incident.root_cause
    lines = [
        f"incident {incident.rank}: {incident.title} [cause {cause.cause}, {cause.severity.value}, "
        f"confidence {incident.confidence:.2f}{f', {incident.status}' if incident.status else ''}]",
        f"  root cause object: {cause.object}",
        f"  {cause.explanation}",
    ]
    if len(incident.chain) > 1:
        lines.append("  chain: " + " <- ".join(f"{one.object}: {one.summary}" for one in incident.chain))
    lines.extend(f"  changed {one.time:%H:%M:%SZ}: {one.object} {one.summary}" for one in incident.changes)
    lines.extend(
        f'  evidence: "{one.quote[:400]}" ({one.kind.value} {one.source} {one.where})' for one in cause.evidence
    )
    lines.extend(f"  fix: {one.text}" + (f" `{one.command}`" if one.command else "") for one in cause.remediation)
    if incident.affected:
        lines.append("  affected: " + ", ".join(str(one) for one in incident.affected[:20]))
    if cause.runbook_query:
        lines.append(f"  runbook query: {cause.runbook_query}")
    return "\n".join(lines)
