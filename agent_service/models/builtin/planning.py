"""Which tools to call next, or None when the answer can be written. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from agent_service.models.builtin.conversation import Call, Turn
from agent_service.models.builtin.diagnosis_text import root_cause_in
from agent_service.models.builtin.entities import Entities, Named, find_entities, find_times
from agent_service.models.builtin.intent import Intent, Kind, recognize
from kubetriage.diagnosis.causes import CAUSES, Cause
from kubetriage.state.resources import resource_by_kind

_WITHOUT_CLUSTER = frozenset({Kind.GREETING, Kind.HELP, Kind.OUT_OF_SCOPE, Kind.CHANGE_REFUSED})
_A_FEW_WORDS = 5
_ABOUT_FAULTS = frozenset({Kind.WHY, Kind.HEALTH, Kind.FIX})


@dataclass(frozen=True, slots=True)
class Reading:
    """A question as understood in its conversation."""

    intent: Intent
    target: Named | None = None
    also: tuple[Named, ...] = ()
    namespace: str | None = None
    unknown: str | None = None
    unknown_namespace: str | None = None
    doubtful: str | None = None
    skip: int = 0  # incidents to pass over: "the other one"
    since: datetime | None = None
    until: datetime | None = None


def understand(turns: Sequence[Turn]) -> Reading:
    """The last turn's question in the light of the turns before it."""
    reading = Reading(Intent(Kind.HELP))
    before: Reading | None = None
    now = turns[-1].index if turns else None
    for position, turn in enumerate(turns):
        reading = _understand_one(turn, before, turns[position - 1] if position else None, now)
        if reading.intent.kind not in _WITHOUT_CLUSTER and reading.intent.kind is not Kind.EXPLAIN:
            before = reading
    return reading


def _understand_one(
    turn: Turn, before: Reading | None, previous: Turn | None, latest: Mapping[str, Any] | None
) -> Reading:
    """``latest``: the index of the last turn, which alone keeps its names."""
    intent = recognize(turn.question)
    index = turn.index
    rows = (index or {}).get("index") or (latest or {}).get("index") or ()
    named = find_entities(turn.question, rows, intent.plural)
    skip = 0
    if intent.kind in {Kind.AGAIN, Kind.OTHER_ONE} or (intent.kind is Kind.OUT_OF_SCOPE and named.objects):
        skip = (before.skip + 1) if before and intent.kind is Kind.OTHER_ONE else 0
        intent = before.intent if before else Intent(Kind.WHY)
        if skip:
            intent = replace(intent, kind=Kind.WHY)
    target = named.objects[0] if named.objects else None
    also: tuple[Named, ...] = named.objects[1:3]
    namespace = named.namespace
    unknown = None if named.unknown_namespace else _first_unknown(named, intent)
    nothing = target is None and namespace is None and unknown is None and named.unknown_namespace is None
    if nothing and before and _follows(turn.question, intent, skip):
        target, also, namespace = _carried(intent, before, previous)
    now = _time(index)
    since, until = find_times(turn.question, now) if now else (None, None)
    return Reading(
        intent=intent,
        target=target,
        also=also,
        namespace=namespace,
        unknown=unknown,
        unknown_namespace=named.unknown_namespace,
        doubtful=named.doubtful[0] if named.doubtful and target is None and namespace is None else None,
        skip=skip,
        since=since,
        until=until,
    )


def _first_unknown(named: Entities, intent: Intent) -> str | None:
    """The name that the question is about and that nothing has.

    "Why are users unhappy?" names nothing; "what are the limits of users?" does.
    """
    if intent.kind in {Kind.EXPLAIN, Kind.RUNBOOK, Kind.LIST, *_WITHOUT_CLUSTER}:
        return None
    names = named.unknown if intent.kind in _ABOUT_FAULTS else (*named.unknown, *named.doubtful)
    return names[0] if names else None


def _follows(question: str, intent: Intent, skip: int) -> bool:
    """Whether a question without a name goes on about what the last one was about."""
    whole = any(word in question.lower() for word in ("cluster", "everything", "anything", "all namespaces", "overall"))
    # "How many pods run which image?" speaks of pods, not of what was talked about before.
    listing = intent.kind is Kind.LIST or (intent.kind is Kind.IMAGES and intent.plural is not None)
    return not whole and (intent.pronoun or skip > 0 or not listing)


def _carried(
    intent: Intent, before: Reading, previous: Turn | None
) -> tuple[Named | None, tuple[Named, ...], str | None]:
    """What "it" is: for a look at something, the root cause that was found, and beside it what was asked about."""
    root = _root_object(previous, before.skip) if previous else None
    if root and intent.kind not in _ABOUT_FAULTS and root != before.target:
        return root, ((before.target,) if before.target else ()), before.namespace
    return before.target, (), before.namespace


def _root_object(turn: Turn, skip: int) -> Named | None:
    about: Mapping[str, Any] | None
    if turn.diagnosis is None:
        about = root_cause_in(turn.answer)
    else:
        incidents = turn.diagnosis.get("incidents") or []
        about = incidents[skip]["root_cause"]["object"] if len(incidents) > skip else None
    if about is None:
        return None
    resource = resource_by_kind(about["kind"])
    return Named(resource.plural, about["kind"], about.get("namespace"), about["name"]) if resource else None


def _time(index: Any) -> datetime | None:
    at = index.get("at") if index else None
    return datetime.fromisoformat(at).astimezone(UTC) if at else None


def plan(turns: Sequence[Turn]) -> list[Call]:
    """The next calls of the last turn; empty when everything is there that an answer needs."""
    turn, reading = turns[-1], understand(turns)
    intent = reading.intent
    if intent.kind in _WITHOUT_CLUSTER and not _may_name_something(turns):
        return []
    if intent.kind is Kind.EXPLAIN and explained_cause(intent.subject or ""):
        return []
    if not turn.of("list_resources"):
        return [Call("list_resources", {"kind": "all"})]
    if turn.index is None:
        return []  # nothing can be read: the answer says why
    if intent.kind in _WITHOUT_CLUSTER:
        return []
    done = {one.tool for one in turn.outcomes if "index" not in one.data}
    if done:
        return _after(turn, reading, done)
    return _first(turn, reading)


def _may_name_something(turns: Sequence[Turn]) -> bool:
    """A few words that fit no question may be the name of an object: ``checkout?``."""
    question = turns[-1].question
    return recognize(question).kind is Kind.OUT_OF_SCOPE and len(question.split()) <= _A_FEW_WORDS


def _first(turn: Turn, reading: Reading) -> list[Call]:
    kind = reading.intent.kind
    where = {"namespace": reading.namespace} if reading.namespace else {}
    if reading.unknown_namespace or (reading.unknown and reading.target is None):
        return []
    if kind is Kind.RUNBOOK or (kind is Kind.EXPLAIN and reading.target is None):
        return [Call("search_runbooks", {"query": turn.question})]
    if kind in {Kind.LIST, Kind.IMAGES} and reading.target is None:
        return [Call("list_resources", {"kind": reading.intent.plural or "pods", **where})]
    if kind is Kind.EXISTS and reading.target is None and reading.intent.plural:
        return [Call("list_resources", {"kind": reading.intent.plural, **where})]
    if kind in {Kind.RESTARTS, Kind.NODE, Kind.STATUS} and reading.target is None:
        return [Call("list_resources", {"kind": "pods", **where})]
    if kind is Kind.EVENTS:
        return [Call("get_events", _events(reading, where))]
    return _about_target(reading, where)


def _about_target(reading: Reading, where: dict[str, Any]) -> list[Call]:
    kind, target = reading.intent.kind, reading.target
    tools = {
        Kind.LOGS: "get_pod_logs",
        Kind.ERRORS: "analyze_errors",
        Kind.LIMITS: "check_resources",
        Kind.IMAGES: "check_resources",
        Kind.NODE: "get_pod_status",
        Kind.RESTARTS: "get_pod_status",
        Kind.STATUS: "get_pod_status",
        Kind.LIST: "get_pod_status",
        Kind.DESCRIBE: "describe_pod",
    }
    if target is None:
        return [Call("diagnose", where)]
    if kind is Kind.EXISTS:
        return []
    if kind in tools:
        objects = (target, *reading.also)[:2]
        return [Call(tools[kind], {"name": f"{one.kind.lower()}/{one.name}", **_at(one)}) for one in objects]
    return [Call("diagnose", {"kind": target.kind, "name": target.name, **_at(target)})]


def _at(target: Named) -> dict[str, Any]:
    return {"namespace": target.namespace} if target.namespace else {}


def _events(reading: Reading, where: dict[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = dict(where)
    if reading.target:
        arguments = {"name": f"{reading.target.kind.lower()}/{reading.target.name}", **_at(reading.target)}
    if reading.since:
        arguments["since"] = reading.since.isoformat()
    if reading.until:
        arguments["until"] = reading.until.isoformat()
    return arguments


def _after(turn: Turn, reading: Reading, done: set[str]) -> list[Call]:
    """A diagnosis that found something is followed by the runbook that serves it."""
    incidents = (turn.diagnosis or {}).get("incidents") or []
    if "search_runbooks" in done or len(incidents) <= reading.skip:
        return []
    cause = incidents[reading.skip]["root_cause"]
    return [Call("search_runbooks", {"query": cause.get("runbook_query") or cause["title"], "k": 3})]


# What people call a cause when they quote what kubectl shows.
_SAYINGS = {
    "imagepullbackoff": "image_not_found",
    "errimagepull": "image_not_found",
    "oomkilled": "oom_killed",
    "oom": "oom_killed",
    "crashloopbackoff": "crash_loop",
    "crashloop": "crash_loop",
    "createcontainerconfigerror": "config_map_missing",
    "evicted": "pod_evicted",
    "failedscheduling": "insufficient_cpu",
}


def explained_cause(subject: str) -> Cause | None:
    """The cause that ``subject`` names by code, title or what kubectl shows; None for anything else."""
    plain = "".join(c for c in subject.lower() if c.isalnum())
    wanted = _SAYINGS.get(plain, plain).replace("_", "")
    for cause in CAUSES.values():
        if wanted in {cause.code.replace("_", ""), "".join(c for c in cause.title.lower() if c.isalnum())}:
            return cause
    near = [cause for cause in CAUSES.values() if len(wanted) > 4 and wanted in cause.code.replace("_", "")]
    return near[0] if near else None
