"""Tools about any object: lists, resources (requests, limits, use), events."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from agent_service.run_context import RunContext
from agent_service.tools.describe import pod_facts, pod_line, pods_of, resource_facts, workload_facts
from agent_service.tools.directory import NAMED, WORKLOADS, find_object, nearest_names, read_directory, refuse_namespace
from agent_service.tools.result import ToolResult, failed
from kubetriage.contracts.api import Source
from kubetriage.state.objects import labels_of, name_of, namespace_of, spec_of
from kubetriage.state.quantities import render_bytes, render_cpu
from kubetriage.state.resources import RESOURCES, resource_by_kind, resource_by_plural
from kubetriage.state.snapshot import Object
from kubetriage.state.times import parse_time

_INDEX_ROWS = 5000  # kept with the conversation; beyond that a name is still found, by the tools


async def list_resources(
    context: RunContext, kind: str = "all", namespace: str | None = None, selector: str = ""
) -> ToolResult:
    """Objects of a kind with their state; ``all`` gives the names of everything that people ask about."""
    namespace = namespace or (context.namespace if kind != "all" else None)
    refusal = refuse_namespace(context, namespace)
    if refusal:
        return refusal
    if kind.lower() == "all":
        return await _index(context, namespace)
    resource = resource_by_kind(kind)
    if resource is None:
        near = nearest_names(kind, (one.plural for one in RESOURCES))
        return failed(f"I cannot read a kind {kind!r}. Nearest: {', '.join(near) or 'none'}.", nearest=near)
    if resource.plural == "secrets":
        return failed("Secrets are never read.", forbidden=True)
    listing = await context.reader.list_objects(
        resource, namespace if resource.namespaced else None, label_selector=selector
    )
    if namespace and resource.namespaced and not listing.items:
        missing = await _unknown_namespace(context, namespace)
        if missing:
            return missing
    if listing.unreadable and not listing.items:
        gap = listing.unreadable[0]
        return failed(f"Cannot read {resource.plural}: {gap.remedy} ({gap.reason}).", forbidden=True)
    rows = [_row(item, resource.plural) for item in listing.items]
    kept = rows[: context.limits.rows]
    lines = [str(row["line"]) for row in kept]
    if len(rows) > len(kept):
        lines.append(f"... and {len(rows) - len(kept)} more")
    lines.extend(f"not read: {gap.remedy}" for gap in listing.unreadable)
    where = f"in namespace {namespace}" if namespace and resource.namespaced else "in the cluster"
    return ToolResult(
        summary=f"{len(rows)} {resource.plural} {where}",
        text=f"{len(rows)} {resource.plural} {where}\n" + "\n".join(lines),
        data={
            "kind": resource.kind,
            "plural": resource.plural,
            "namespace": namespace,
            "count": len(rows),
            "rows": kept,
            "images": dict(_images(listing.items)) if resource.plural == "pods" else {},
        },
        sources=(Source(kind="tool", title=f"list of {resource.plural}", where=namespace or "cluster"),),
    )


def _images(pods: Any) -> Counter[str]:
    """How many pods run each image; a pod counts once per image."""
    return Counter(image for pod in pods for image in {str(one["image"]) for one in resource_facts(pod)})


def _row(item: Object, plural: str) -> dict[str, Any]:
    name, namespace = name_of(item), namespace_of(item)
    title = f"{namespace}/{name}" if namespace else name
    row: dict[str, Any] = {"name": name, "namespace": namespace}
    if plural == "pods":
        row |= {"line": pod_line(pod_facts(item)), "images": [one["image"] for one in resource_facts(item)]}
        row |= {key: pod_facts(item)[key] for key in ("phase", "ready", "node", "restarts")}
    elif plural in {*WORKLOADS, "replicasets"}:
        facts = workload_facts(item, plural)
        counts = f"  {facts['ready']}/{facts['wanted']} ready" if facts["wanted"] is not None else ""
        row |= facts | {"line": f"{title}{counts}  {', '.join(facts['images'])}"}
    elif plural == "services":
        ports = ", ".join(f"{one.get('port')}→{one.get('targetPort')}" for one in spec_of(item).get("ports") or ())
        row["line"] = f"{title}  {spec_of(item).get('type', 'ClusterIP')}  {ports}"
    else:
        row["line"] = title
    return row


async def _unknown_namespace(context: RunContext, namespace: str) -> ToolResult | None:
    """A miss when the namespace does not exist, as far as namespaces can be listed at all."""
    listing = await context.reader.list_objects(resource_by_plural("namespaces"))
    names = [name_of(item) for item in listing.items]
    if not names or namespace in names:
        return None
    near = nearest_names(namespace, names)
    hint = f"Nearest names: {', '.join(near)}." if near else f"There are: {', '.join(names[:20])}."
    return failed(f"There is no namespace {namespace}. {hint}", found=False, name=namespace, nearest=near)


async def _index(context: RunContext, namespace: str | None) -> ToolResult:
    directory = await read_directory(context, namespace, (*NAMED, "namespaces"))
    rows = [
        {"plural": one.resource.plural, "kind": one.resource.kind, "namespace": one.namespace, "name": one.name}
        for one in directory.entries
    ]
    counts = Counter(str(row["plural"]) for row in rows)
    lines = [
        f"{row['plural']} {row['namespace'] or '-'}/{row['name']}" for row in rows if row["plural"] != "configmaps"
    ]
    return ToolResult(
        summary=", ".join(f"{count} {plural}" for plural, count in counts.most_common(5)) or "nothing",
        text="\n".join(lines),
        data={
            "index": rows[:_INDEX_ROWS],
            "default_namespace": context.namespace,
            "at": (await context.reader.collected_at()).isoformat(),
            "unreadable": [gap.remedy for gap in directory.unreadable][:20],
        },
    )


async def check_resources(context: RunContext, name: str, namespace: str | None = None) -> ToolResult:
    """Requests, limits and present use of a workload's or pod's containers."""
    namespace = namespace or context.namespace
    found = await find_object(context, name, namespace)
    if isinstance(found, ToolResult):
        return found
    if found.resource.plural == "services":
        again = await find_object(context, name, found.namespace, "deployment")
        found = found if isinstance(again, ToolResult) else again
    containers = resource_facts(found.item)
    if not containers:
        return failed(f"{found.resource.kind} {found.name} has no containers.", found=True)
    listing = await context.reader.list_objects(resource_by_plural("pods"), found.namespace)
    pods = {name_of(pod) for pod in pods_of(found.item, found.resource.plural, listing.items)}
    usage = await context.reader.read_usage(found.namespace)
    used = [
        {"pod": pod, "container": container, "cpu": render_cpu(cpu), "memory": render_bytes(memory)}
        for (_, pod, container), (cpu, memory) in sorted(usage.usage.items())
        if pod in pods
    ]
    lines = []
    for one in containers:
        requests = ", ".join(f"{k} {v}" for k, v in one["requests"].items()) or "none"
        limits = ", ".join(f"{k} {v}" for k, v in one["limits"].items()) or "none"
        lines.append(f"container {one['name']}: requests {requests}; limits {limits}; image {one['image']}")
    lines.extend(f"{one['pod']} {one['container']} uses cpu {one['cpu']}, memory {one['memory']}" for one in used)
    return ToolResult(
        summary=lines[0],
        text="\n".join(lines),
        data={
            "kind": found.resource.kind,
            "name": found.name,
            "namespace": found.namespace,
            "containers": containers,
            "usage": used,
            "usage_known": bool(usage.usage),
        },
        sources=(
            Source(
                kind="object",
                title=f"{found.resource.kind.lower()}/{found.name}",
                where=found.namespace or "",
                quote=lines[0],
            ),
        ),
    )


async def get_events(
    context: RunContext,
    name: str | None = None,
    namespace: str | None = None,
    since: str | None = None,
    until: str | None = None,
    warnings_only: bool = False,
) -> ToolResult:
    """Events, oldest first: of an object and what belongs to it, of a namespace, between two times."""
    namespace = namespace or context.namespace
    refusal = refuse_namespace(context, namespace)
    if refusal:
        return refusal
    names: set[str] | None = None
    if name:
        found = await find_object(context, name, namespace)
        if isinstance(found, ToolResult):
            return found
        namespace = found.namespace or namespace
        pods = await context.reader.list_objects(resource_by_plural("pods"), found.namespace)
        sets = await context.reader.list_objects(resource_by_plural("replicasets"), found.namespace)
        names = {found.name, *(name_of(pod) for pod in pods_of(found.item, found.resource.plural, pods.items))}
        if found.resource.plural == "deployments":
            names |= {name_of(one) for one in sets.items if _owned(one, found.name)}
    listing = await context.reader.list_objects(resource_by_plural("events"), namespace)
    if listing.unreadable and not listing.items:
        return failed(f"Cannot read events: {listing.unreadable[0].remedy}.", forbidden=True)
    begin, end = parse_time(since), parse_time(until)
    rows = sorted((_event(item) for item in listing.items), key=lambda row: str(row["time"] or ""))
    kept = [row for row in rows if _wanted(row, names, begin, end, warnings_only)]
    shown = kept[-context.limits.rows :]
    lines = [
        f"{row['time'] or 'unknown time'} {row['type']} {row['reason']} {row['object']}: {row['message']}"
        + (f" (×{row['count']})" if row["count"] > 1 else "")
        for row in shown
    ]
    if len(kept) > len(shown):
        lines.insert(0, f"{len(kept) - len(shown)} older events are not shown")
    subject = name or (f"namespace {namespace}" if namespace else "the cluster")
    return ToolResult(
        summary=f"{len(kept)} events of {subject}",
        text="\n".join(lines) or f"No events of {subject} in what the cluster still keeps.",
        data={"events": shown, "subject": subject, "count": len(kept), "since": since, "until": until},
        sources=tuple(
            Source(kind="event", title=str(row["object"]), where=str(row["reason"]), quote=str(row["message"])[:300])
            for row in shown[-5:]
            if row["type"] == "Warning"
        ),
    )


def _owned(replica_set: Object, deployment: str) -> bool:
    owners = replica_set["metadata"].get("ownerReferences") or ()
    return any(one.get("name") == deployment for one in owners) or (
        not owners and name_of(replica_set).startswith(f"{deployment}-") and bool(labels_of(replica_set))
    )


def _event(item: Object) -> dict[str, Any]:
    about = item.get("involvedObject") or item.get("regarding") or {}
    series = item.get("series") or {}
    time = series.get("lastObservedTime") or item.get("lastTimestamp") or item.get("eventTime")
    return {
        "time": time or item["metadata"].get("creationTimestamp"),
        "type": item.get("type") or "Normal",
        "reason": item.get("reason") or "",
        "object": f"{str(about.get('kind') or '').lower()}/{about.get('name')}",
        "name": about.get("name"),
        "namespace": about.get("namespace"),
        "message": item.get("message") or item.get("note") or "",
        "count": int(series.get("count") or item.get("count") or 1),
    }


def _wanted(
    row: dict[str, Any], names: set[str] | None, begin: datetime | None, end: datetime | None, warnings: bool
) -> bool:
    if names is not None and row["name"] not in names:
        return False
    if warnings and row["type"] != "Warning":
        return False
    if begin is None and end is None:
        return True
    time = parse_time(row["time"])
    return time is not None and (begin is None or time >= begin) and (end is None or time <= end)
