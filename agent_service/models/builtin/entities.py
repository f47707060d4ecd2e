"""Which objects, namespaces and times a question names. Pure: the index of names is given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# What people mean by a bare name, first things first.
_ORDER = (
    "deployments", "statefulsets", "daemonsets", "cronjobs", "jobs", "services", "pods", "persistentvolumeclaims",
    "ingresses", "nodes", "configmaps",
)  # fmt: skip
_TOKEN = re.compile(r"[A-Za-z0-9][\w.:-]*(?:/[A-Za-z0-9][\w.-]*)*")
_TIME = r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:?\d\d)?|\d{1,2}:\d\d(?::\d\d)?)Z?"
_BETWEEN = re.compile(rf"\b(?:between|from)\s+{_TIME}\s+(?:and|to|until|till)\s+{_TIME}", re.IGNORECASE)
_SINCE = re.compile(rf"\b(?:since|after)\s+{_TIME}", re.IGNORECASE)
_UNTIL = re.compile(rf"\b(?:until|before)\s+{_TIME}", re.IGNORECASE)
_LAST = re.compile(r"\b(?:last|past)\s+(\d+)?\s*(second|minute|min|hour|day)s?\b", re.IGNORECASE)
_NEARLY = 0.75  # of the letters, as difflib counts: "chekout" and "checkout"
_UNITS = {"second": 1, "minute": 60, "min": 60, "hour": 3600, "day": 86400}

# Words of questions, which are names only when a kind stands beside them.
_WORDS = frozenset(
    """
    a about above after again alert alerts all always am an and any anyone anything app are as at available back
    be because been before being between broken but by can cannot cause cluster connection connections container
    containers could cpu crash crashing crashloopbackoff cronjob customer customers daemonset deploy deployment
    deployments describe did disk dns do does doesn't doing done down each error errors event events ever
    everybody everyone everything exist exists fail failed failing fails failure fine fix for from get getting
    give go going good happen happened happening has have having health healthy here history how http https i if
    image imagepullbackoff images in incident ingress is isn't issue it its job just keep keeps kept kubernetes
    last latency like limit limits list log logs long many me mean memory my name named namespace namespaces need
    network never new no node nodes not now of ok old on one ones only oomkilled or other our out outage over own
    page pages pending people please pod pods problem problems prod production pull ready really reason recently
    request requests resource resources restart restarted restarting restarts rollout root run running runs same
    scheduled secret see service services set should show since site slow slowness so some somebody someone
    something sometimes staging start starting state statefulset status still stop storage stuck suddenly system
    team tell than that the their them then there these they this those time to today too traffic trouble under
    unhealthy until up us use used user users uses using very want was way we website well were what what's when
    where which while who whole why will with won't work working works would wrong yesterday yet you your
    """.split()  # noqa: SIM905 - a word list reads better as words
)
_NAME_POSITION = re.compile(
    r"\b(?:is|are|does|do|did|of|has|have|to|for|about|with|on|in|namespace|named|called|why|deployment|service|pod"
    r"|workload|job|cronjob|statefulset|daemonset|node|configmap|secret|pvc)\s+(?:the\s+|a\s+|an\s+)?"
    r"(?=[`\"']?(?P<name>[a-z0-9][a-z0-9.-]*[a-z0-9]))",
)


@dataclass(frozen=True, slots=True)
class Named:
    """An object of the index."""

    plural: str
    kind: str
    namespace: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Entities:
    """``unknown``: words that can only be names, or are nearly one, and that we do not know.
    ``doubtful``: words that stand where a name might, and may be ordinary English."""

    objects: tuple[Named, ...] = ()
    namespace: str | None = None
    unknown: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    unknown_namespace: str | None = None


def find_entities(question: str, index: Iterable[Mapping[str, Any]], plural: str | None = None) -> Entities:
    """What ``question`` names. ``plural`` is the kind that the question speaks of, if any."""
    by_name: dict[str, list[Named]] = {}
    namespaces: set[str] = set()
    for row in index:
        one = Named(str(row["plural"]), str(row["kind"]), row.get("namespace"), str(row["name"]))
        by_name.setdefault(one.name.lower(), []).append(one)
        if one.namespace:
            namespaces.add(one.namespace)
        if one.plural == "namespaces":
            namespaces.add(one.name)
    text = question.strip()
    namespace, unknown_namespace = _namespace(text, namespaces, by_name)
    tokens = [token.rstrip(".:").removesuffix("'s") for token in _TOKEN.findall(text)]
    objects: list[Named] = []
    for token in tokens:
        parts = token.lower().split("/")
        if len(parts) > 1 and parts[0] in namespaces:
            namespace = parts[0]
        found = [one for one in by_name.get(parts[-1], ()) if one.plural != "namespaces"]
        if not found or (parts[-1] in _WORDS and len(parts) == 1 and not _beside_kind(text, parts[-1])):
            continue
        best = _best(found, namespace, plural)
        # A name that is a namespace too, said as a namespace, is one.
        if best and best not in objects and not (parts[-1] == namespace and _said_as_namespace(text, parts[-1])):
            objects.append(best)
    if objects:
        return Entities(tuple(objects), namespace, unknown_namespace=unknown_namespace)
    unknown, doubtful = _unknown(text.lower(), by_name, namespaces)
    return Entities((), namespace, unknown, doubtful, unknown_namespace)


def _namespace(text: str, known: set[str], by_name: Mapping[str, list[Named]]) -> tuple[str | None, str | None]:
    lowered = text.lower()
    said = re.search(r"\b(?:namespace|ns|-n)[ =]+[`\"']?([a-z0-9][a-z0-9-]*)", lowered) or re.search(
        r"\b([a-z0-9][a-z0-9-]*)[`\"']? namespace\b", lowered
    )
    if said and said[1] not in _WORDS:
        return (said[1], None) if said[1] in known else (None, said[1])
    for name in re.findall(r"\bin[ ]+(?:the[ ]+)?[`\"']?([a-z0-9][a-z0-9-]*)", lowered):
        if name in known:
            return name, None
    for name in _TOKEN.findall(lowered):
        if (
            name in known
            and not any(one.plural != "namespaces" for one in by_name.get(name, ()))
            and name not in _WORDS
        ):
            return name, None
    return None, None


def _said_as_namespace(text: str, name: str) -> bool:
    escaped = re.escape(name)
    return bool(
        re.search(rf"\b(?:namespace|ns|in|-n)\s+(?:the\s+)?{escaped}\b|\b{escaped}\s+namespace", text, re.IGNORECASE)
    )


def _beside_kind(text: str, name: str) -> bool:
    escaped = re.escape(name)
    kinds = "pod|service|deployment|workload|job|cronjob|statefulset|daemonset|node|configmap|pvc"
    return bool(re.search(rf"\b(?:{kinds})s?[ /]{escaped}\b|\b{escaped} (?:{kinds})\b", text, re.IGNORECASE))


def _best(found: list[Named], namespace: str | None, plural: str | None) -> Named | None:
    def rank(one: Named) -> tuple[bool, bool, int]:
        order = _ORDER.index(one.plural) if one.plural in _ORDER else len(_ORDER)
        return (namespace is not None and one.namespace not in {namespace, None}, one.plural != plural, order)

    # Named in a namespace where there is none: a miss, which the tool reports with where it is.
    return min(found, key=rank)


def _unknown(
    text: str, by_name: Mapping[str, list[Named]], namespaces: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(certain, doubtful) names of nothing."""
    quoted = re.findall(r"[`\"']([a-z0-9][a-z0-9./-]+)[`\"']", text)
    dashed = [token for token in _TOKEN.findall(text) if re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)+", token)]
    placed = [match["name"] for match in _NAME_POSITION.finditer(text)]

    def is_new(name: str) -> bool:
        known = name in _WORDS or name in namespaces or name in by_name
        return not known and not re.fullmatch(r"[\d.:]+", name)

    def is_certain(name: str) -> bool:
        if name in {*quoted, *dashed} or _beside_kind(text, name):
            return True
        return bool(difflib.get_close_matches(name, by_name, n=1, cutoff=_NEARLY))

    names = [name for name in dict.fromkeys((*quoted, *placed, *dashed)) if is_new(name)]
    certain = tuple(name for name in names if is_certain(name))
    return certain, tuple(name for name in names if name not in certain)


def find_times(question: str, now: datetime) -> tuple[datetime | None, datetime | None]:
    """(since, until) that a question names; a time without a date is of the day of ``now``."""
    between = _BETWEEN.search(question)
    if between:
        begin, end = _moment(between[1], now), _moment(between[2], now)
        if begin and end and end < begin:  # "between 09:00 and 18:00", asked at noon
            end += timedelta(days=1)
        return begin, end
    last = _LAST.search(question)
    if last:
        return now - timedelta(seconds=int(last[1] or 1) * _UNITS[last[2].lower()]), None
    since, until = _SINCE.search(question), _UNTIL.search(question)
    return (_moment(since[1], now) if since else None), (_moment(until[1], now) if until else None)


def _moment(text: str, now: datetime) -> datetime | None:
    try:
        if "-" in text:
            parsed = datetime.fromisoformat(text.replace(" ", "T"))
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=now.tzinfo)
        parts = [int(part) for part in text.split(":")]
        moment = now.replace(hour=parts[0], minute=parts[1], second=parts[2] if len(parts) > 2 else 0, microsecond=0)
    except ValueError:
        return None
    # Nobody asks about what will happen: a time later than now was yesterday's.
    return moment - timedelta(days=1) if moment > now + timedelta(minutes=5) else moment
