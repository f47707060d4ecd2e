"""Tools about pods: status, logs, description, errors in the logs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import yaml

from agent_service.run_context import RunContext
from agent_service.tools.describe import pod_facts, pod_line, pods_of
from agent_service.tools.directory import Found, find_object
from agent_service.tools.objects import get_events
from agent_service.tools.result import ToolResult, failed
from kubetriage.contracts.api import Source
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.safety.redaction import redact_object
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.objects import container_statuses, containers_of, init_containers_of, is_ready, name_of
from kubetriage.state.resources import resource_by_plural
from kubetriage.state.snapshot import Object

_ERROR = re.compile(
    r"\b(?:error|fatal|panic|exception|traceback|fail(?:ed|ure)?|refused|denied|timed? ?out|timeout|unavailable"
    r"|unreachable|no such|cannot|could not|killed|5\d\d)\b",
    re.IGNORECASE,
)
_LOGS_AT_ONCE = 6  # containers; more would drown the one that matters
_PREVIOUS_BELOW = 3  # lines: a log this short belongs to a run that has just begun


async def _pods(context: RunContext, name: str, namespace: str | None) -> tuple[Found, list[Object]] | ToolResult:
    namespace = namespace or context.namespace
    found = await find_object(context, name, namespace)
    if isinstance(found, ToolResult):
        return found
    listing = await context.reader.list_objects(resource_by_plural("pods"), found.namespace)
    pods = pods_of(found.item, found.resource.plural, listing.items)
    if not pods:
        if listing.unreadable:
            return failed(f"Cannot tell: {listing.unreadable[0].remedy}.", forbidden=True)
        return failed(f"{found.resource.kind} {found.name} in {found.namespace} has no pods.", found=True, pods=[])
    return found, sorted(pods, key=lambda pod: (is_ready(pod), name_of(pod)))


async def get_pod_status(context: RunContext, name: str, namespace: str | None = None) -> ToolResult:
    """Phase, readiness, restarts, node and container states of a pod, or of the pods of a workload."""
    got = await _pods(context, name, namespace)
    if isinstance(got, ToolResult):
        return got
    found, pods = got
    facts = [pod_facts(pod) for pod in pods]
    lines = []
    for one in facts:
        lines.append(pod_line(one))
        for container in one["containers"]:
            parts = [f"  container {container['name']}: {container['state']}, {container['restarts']} restarts"]
            if container["last"]:
                parts.append(f"last {container['last']}")
            if container["message"]:
                parts.append(container["message"])
            lines.append("; ".join(parts))
        lines.extend(f"  {c['type']} is False: {c['reason']} {c['message'] or ''}".rstrip() for c in one["conditions"])
    ready = sum(one["ready"] for one in facts)
    return ToolResult(
        summary=f"{ready} of {len(facts)} pods of {found.name} ready, {sum(one['restarts'] for one in facts)} restarts",
        text="\n".join(lines),
        data={"kind": found.resource.kind, "name": found.name, "namespace": found.namespace, "pods": facts},
        sources=tuple(
            Source(kind="object", title=f"pod/{one['name']}", where=one["namespace"] or "", quote=pod_line(one))
            for one in facts[:5]
        ),
    )


async def get_pod_logs(
    context: RunContext,
    name: str,
    namespace: str | None = None,
    container: str | None = None,
    previous: bool = False,
    lines: int = 60,
) -> ToolResult:
    """The end of the log of a pod, or of the least healthy pod of a workload."""
    got = await _pods(context, name, namespace)
    if isinstance(got, ToolResult):
        return got
    pod = got[1][0]
    keys = _log_keys(pod, container, previous)
    if not keys:
        names = ", ".join(str(one.get("name")) for one in (*containers_of(pod), *init_containers_of(pod)))
        return failed(f"Pod {name_of(pod)} has no container {container}. It has: {names}.", found=False)
    lines = max(1, min(lines, context.limits.log_lines))
    texts = await _read_logs(context, keys, lines)
    shown, data, sources, missed = [], [], [], []
    for key, answer in texts:
        where = f"{key.container}{' (previous)' if key.previous else ''}"
        if isinstance(answer, Unreadable):
            missed.append(f"{where}: {answer.reason}")
            continue
        kept = answer.text.rstrip().splitlines()[-lines:]
        shown.append(f"--- {key.namespace}/{key.pod} {where}, last {len(kept)} lines\n" + "\n".join(kept))
        data.append({"pod": key.pod, "namespace": key.namespace, "container": where, "lines": kept})
        quote = next((line for line in reversed(kept) if _ERROR.search(line)), kept[-1] if kept else "")
        sources.append(Source(kind="log", title=f"pod/{key.pod}", where=where, quote=quote[:300]))
    if not shown:
        return failed(
            f"No log of pod {name_of(pod)} could be read: {'; '.join(missed) or 'it is empty'}.", pod=name_of(pod)
        )
    total = sum(len(one["lines"]) for one in data)
    return ToolResult(
        summary=f"{total} lines of {name_of(pod)}",
        text="\n".join([*shown, *(f"not read: {one}" for one in missed)]),
        data={"pod": name_of(pod), "logs": data, "missed": missed},
        sources=tuple(sources),
    )


def _log_keys(pod: Object, container: str | None, previous: bool) -> list[LogKey]:
    restarted = {one["name"] for one in container_statuses(pod) if one.get("restartCount")}
    keys: list[LogKey] = []
    for spec in (*containers_of(pod), *(init_containers_of(pod) if container else ())):
        name = str(spec.get("name"))
        if container not in {None, name}:
            continue
        at = str(pod["metadata"].get("namespace") or "")
        if name in restarted or previous:
            keys.append(LogKey(at, name_of(pod), name, previous=True))
        if not previous:
            keys.append(LogKey(at, name_of(pod), name))
    return keys[:_LOGS_AT_ONCE]


async def _read_logs(
    context: RunContext, keys: Sequence[LogKey], lines: int
) -> list[tuple[LogKey, LogText | Unreadable]]:
    answers = await asyncio.gather(*(context.reader.read_log(key, tail_lines=lines) for key in keys))
    pairs = list(zip(keys, answers, strict=True))
    # A previous run that nobody kept is no news when the current one could be read.
    readable = {key.container for key, answer in pairs if isinstance(answer, LogText) and answer.text.strip()}
    return [
        (key, answer)
        for key, answer in pairs
        if (isinstance(answer, LogText) and answer.text.strip()) or key.container not in readable
    ]


async def describe_pod(context: RunContext, name: str, namespace: str | None = None) -> ToolResult:
    """A pod's specification and status (secrets taken out) with its events."""
    got = await _pods(context, name, namespace)
    if isinstance(got, ToolResult):
        return got
    pod = got[1][0]
    events = await get_events(context, name=f"pod/{name_of(pod)}", namespace=pod["metadata"].get("namespace"))
    body = redact_object(pod)
    text = yaml.safe_dump({"metadata": body.get("metadata"), "spec": body.get("spec"), "status": body.get("status")})
    facts = pod_facts(pod)
    return ToolResult(
        summary=f"{name_of(pod)}: {facts['phase']}, {'ready' if facts['ready'] else 'not ready'}",
        text=f"{pod_line(facts)}\nEvents:\n{events.text}\n{text}",
        data={"pod": facts, "events": events.data.get("events", [])},
        sources=(
            Source(kind="object", title=f"pod/{name_of(pod)}", where=facts["namespace"] or "", quote=pod_line(facts)),
        ),
    )


async def analyze_errors(context: RunContext, name: str, namespace: str | None = None) -> ToolResult:
    """Lines of the pods' logs that look like errors, counted, most frequent first."""
    got = await _pods(context, name, namespace)
    if isinstance(got, ToolResult):
        return got
    counted: dict[str, list[str]] = {}
    read = 0
    keys = [key for pod in got[1][:3] for key in _log_keys(pod, None, previous=False)]
    for key, answer in await _read_logs(context, keys[:_LOGS_AT_ONCE], context.limits.log_lines):
        if isinstance(answer, Unreadable):
            continue
        for line in answer.text.splitlines():
            read += 1
            if _ERROR.search(line):
                counted.setdefault(re.sub(r"\d+", "#", line)[:200], []).append(f"{key.pod} {key.container}: {line}")
    ranked = sorted(counted.values(), key=len, reverse=True)[:20]
    rows = [{"count": len(lines), "line": lines[-1][:400]} for lines in ranked]
    text = "\n".join(f"{row['count']}× {row['line']}" for row in rows) or "No line looks like an error."
    return ToolResult(
        summary=f"{sum(len(one) for one in counted.values())} of {read} lines look like errors",
        text=text,
        data={"name": name, "errors": rows, "lines_read": read},
        sources=tuple(Source(kind="log", title=name, where="logs", quote=str(row["line"])[:300]) for row in rows[:3]),
    )
