"""The answer of a turn, as Markdown, from what its tools returned. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent_service.models.builtin.conversation import Outcome, Turn
from agent_service.models.builtin.diagnosis_text import render_diagnosis, render_runbooks
from agent_service.models.builtin.intent import Kind
from agent_service.models.builtin.planning import Reading, explained_cause, understand
from agent_service.tools.directory import nearest_names

HELP = """I find out what is wrong in a Kubernetes cluster, from what I can read there. Ask for example:

- Why is checkout failing? Is payments healthy? What is wrong in namespace shop?
- How do I fix it? Show me its logs. And in namespace reports?
- Which pods are in namespace shop? How many pods run which image?
- What happened to payments between 12:40 and 12:50? Which events has checkout?
- What are the limits of payments? Which node does it run on? How often did it restart?
- Does a deployment named cart exist? What does CrashLoopBackOff mean?

I only read; I never change anything."""
_OUT_OF_SCOPE = (
    "I answer questions about the state of this Kubernetes cluster: what is broken and why, logs, events, "
    "resources, what exists. Ask `help` for examples."
)
_ONLY_READS = """I only read and never change the cluster.
Ask `how do I fix it?` and I write down the exact commands for you to run."""
_ROWS = 60


def render_answer(turns: Sequence[Turn]) -> str:
    """The answer to the last turn. Call it when ``plan`` has no more calls."""
    turn, reading = turns[-1], understand(turns)
    kind = reading.intent.kind
    fixed = {
        Kind.GREETING: "Hello. " + HELP,
        Kind.HELP: HELP,
        Kind.OUT_OF_SCOPE: _OUT_OF_SCOPE,
        Kind.CHANGE_REFUSED: _ONLY_READS,
    }
    if kind in fixed:
        return fixed[kind]
    if kind is Kind.EXPLAIN and (explained := _explained(reading.intent.subject or "")):
        return explained
    if turn.index is None:
        return next((one.message for one in turn.of("list_resources")), "I could not read the cluster.")
    if reading.unknown_namespace:
        return _unknown_namespace(reading.unknown_namespace, turn.index)
    if reading.unknown and reading.target is None:
        return _unknown(reading.unknown, turn.index)
    if kind is Kind.EXISTS and reading.target is not None:
        one = reading.target
        where = f" in namespace {one.namespace}" if one.namespace else ""
        return f"Yes: {one.kind.lower()}/{one.name} exists{where}."
    return _from_tools(turn, reading)


def _from_tools(turn: Turn, reading: Reading) -> str:
    outcomes = [one for one in turn.outcomes if "index" not in one.data and one.tool != "search_runbooks"]
    parts = [_WRITERS.get(one.tool, _plain)(one, reading) if one.ok else one.message for one in outcomes]
    diagnosed = next((one for one in outcomes if one.ok and "diagnosis" in one.data), None)
    runbooks = turn.of("search_runbooks")
    if diagnosed is not None or not outcomes:
        parts.extend(filter(None, (render_runbooks(one, full=not outcomes) for one in runbooks)))
    return "\n\n".join(part for part in parts if part) or _OUT_OF_SCOPE


def _unknown(name: str, index: Mapping[str, Any]) -> str:
    near = nearest_names(name, (str(row["name"]) for row in index["index"] if row["plural"] != "configmaps"))
    answer = f"No: nothing that I can read is named {name}."
    if near:
        answer += f" The nearest names: {', '.join(near)}."
    if index.get("unreadable"):
        answer += f" Not everything could be read: {index['unreadable'][0]}."
    return answer


def _unknown_namespace(name: str, index: Mapping[str, Any]) -> str:
    names = sorted({str(row["name"]) for row in index["index"] if row["plural"] == "namespaces"})
    near = nearest_names(name, names)
    if not names:
        return f"I cannot tell whether there is a namespace {name}: namespaces could not be listed."
    hint = f"The nearest names: {', '.join(near)}." if near else f"There are: {', '.join(names[:20])}."
    return f"There is no namespace {name} that I can read. {hint}"


def _explained(subject: str) -> str | None:
    cause = explained_cause(subject)
    if cause is None:
        return None
    return (
        f"**{cause.title}** (`{cause.code}`)\n\n{cause.meaning}\n\nWhat shows it: {cause.evidence}\n\n"
        f"What to do: {cause.fix}\n\nRunbook: {cause.runbook}"
    )


def _diagnosis(one: Outcome, reading: Reading) -> str:
    text = render_diagnosis(one.data["diagnosis"], fix_only=reading.intent.kind is Kind.FIX, skip=reading.skip)
    if reading.doubtful and reading.target is None:
        # It may be a name that we do not know: then this answers another question.
        return f"{text}\n\nNothing is named {reading.doubtful}, so this is about everything that I can read."
    return text


def _logs(one: Outcome, reading: Reading) -> str:
    del reading
    parts = []
    for log in one.data["logs"]:
        lines = log["lines"][-30:]
        parts.append(
            f"Last {len(lines)} lines of {log['namespace']}/{log['pod']}, container {log['container']}:\n\n```\n"
            + "\n".join(line.replace("```", "'''") for line in lines)
            + "\n```"
        )
    parts.extend(f"Not read: {missed}" for missed in one.data.get("missed") or ())
    return "\n\n".join(parts)


def _events(one: Outcome, reading: Reading) -> str:
    del reading
    events, subject = one.data["events"], one.data["subject"]
    since, until = one.data.get("since"), one.data.get("until")
    when = (f" since {since}" if since else "") + (f" until {until}" if until else "")
    if not events:
        return f"There are no events of {subject}{when} in what the cluster still keeps."
    lines = [
        f"- {event['time']} {event['type']} **{event['reason']}** {event['object']}: {event['message']}"
        + (f" (×{event['count']})" if event["count"] > 1 else "")
        for event in events[-_ROWS:]
    ]
    return f"{one.data['count']} events of {subject}{when}, oldest first:\n\n" + "\n".join(lines)


def _status(one: Outcome, reading: Reading) -> str:
    name, pods = one.data["name"], one.data["pods"]
    kind = reading.intent.kind
    if kind is Kind.NODE:
        return "\n".join(
            f"- {pod['namespace']}/{pod['name']} runs on {pod['node'] or 'no node: it is not scheduled'}"
            for pod in pods
        )
    if kind is Kind.RESTARTS:
        total = sum(pod["restarts"] for pod in pods)
        lines = [f"- {pod['name']}: {pod['restarts']}{_why_restarted(pod)}" for pod in pods]
        return f"{name} restarted {total} times in all:\n\n" + "\n".join(lines)
    ready = sum(pod["ready"] for pod in pods)
    lines = []
    for pod in pods:
        lines.append(
            f"- {pod['name']}: {'ready' if pod['ready'] else 'not ready'}, {pod['phase']}, node {pod['node'] or 'none'}"
        )
        lines.extend(
            f"  - {c['name']}: {c['state']}, {c['restarts']} restarts" + (f", last {c['last']}" if c["last"] else "")
            for c in pod["containers"]
        )
    return f"{ready} of {len(pods)} pods of {name} are ready:\n\n" + "\n".join(lines)


def _why_restarted(pod: Mapping[str, Any]) -> str:
    last = [f"{c['name']} {c['last']}" for c in pod["containers"] if c["last"]]
    return f" (last: {'; '.join(last)})" if last else ""


def _resources(one: Outcome, reading: Reading) -> str:
    name, data = one.data["name"], one.data
    if reading.intent.kind is Kind.IMAGES:
        return "\n".join(f"- {name}, container {c['name']}: image {c['image']}" for c in data["containers"])
    lines = []
    for container in data["containers"]:
        requests = ", ".join(f"{k} {v}" for k, v in container["requests"].items()) or "none"
        limits = ", ".join(f"{k} {v}" for k, v in container["limits"].items()) or "none"
        lines.append(f"- container {container['name']}: requests {requests}; limits {limits}")
    lines.extend(
        f"- {use['pod']} {use['container']} uses cpu {use['cpu']}, memory {use['memory']}" for use in data["usage"]
    )
    if not data["usage"]:
        lines.append("- present use is not known: there are no metrics of its pods")
    where = f" in namespace {data['namespace']}" if data.get("namespace") else ""
    return f"{data['kind']} {name}{where}:\n\n" + "\n".join(lines)


def _list(one: Outcome, reading: Reading) -> str:
    data = one.data
    where = f"in namespace {data['namespace']}" if data.get("namespace") else "in all namespaces that I can read"
    kind = reading.intent.kind
    if kind is Kind.IMAGES and data["images"]:
        rows = sorted(data["images"].items(), key=lambda row: (-row[1], row[0]))
        lines = [f"- {count} {'pod' if count == 1 else 'pods'}: {image}" for image, count in rows[:_ROWS]]
        return f"{data['count']} pods run {len(rows)} images {where}:\n\n" + "\n".join(lines)
    rows = data["rows"]
    if kind is Kind.RESTARTS:
        rows = sorted((row for row in rows if row.get("restarts")), key=lambda row: -row["restarts"])
        if not rows:
            return f"No pod {where} has restarted."
    if not rows:
        return f"There are no {data['plural']} {where}."
    lines = [f"- {row['line']}" for row in rows[:_ROWS]]
    if len(rows) > _ROWS:
        lines.append(f"- and {len(rows) - _ROWS} more")
    count = len(rows) if kind is Kind.RESTARTS else data["count"]
    noun = data["plural"][:-1] if count == 1 and data["plural"].endswith("s") else data["plural"]
    return f"{count} {noun} {where}:\n\n" + "\n".join(lines)


def _errors(one: Outcome, reading: Reading) -> str:
    del reading
    if not one.data["errors"]:
        return f"None of the {one.data['lines_read']} log lines of {one.data['name']} looks like an error."
    lines = [f"- {row['count']}× `{row['line'].replace('`', chr(39))}`" for row in one.data["errors"][:15]]
    return f"Lines of {one.data['name']} that look like errors, most frequent first:\n\n" + "\n".join(lines)


def _describe(one: Outcome, reading: Reading) -> str:
    pod = one.data["pod"]
    listed = Outcome("get_pod_status", {}, {"name": pod["name"], "pods": [pod]})
    events = {"events": one.data["events"], "subject": f"pod/{pod['name']}", "count": len(one.data["events"])}
    return f"{_status(listed, reading)}\n\n{_events(Outcome('get_events', {}, events), reading)}"


def _plain(one: Outcome, reading: Reading) -> str:
    del reading
    return one.message


_WRITERS: dict[str, Callable[[Outcome, Reading], str]] = {
    "diagnose": _diagnosis,
    "get_pod_logs": _logs,
    "get_events": _events,
    "get_pod_status": _status,
    "check_resources": _resources,
    "list_resources": _list,
    "analyze_errors": _errors,
    "describe_pod": _describe,
}
