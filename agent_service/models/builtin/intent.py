"""What kind of question it is. Pure: words in, Intent out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    WHY = "why"
    HEALTH = "health"
    FIX = "fix"
    LOGS = "logs"
    ERRORS = "errors"
    EVENTS = "events"
    LIST = "list"
    IMAGES = "images"
    LIMITS = "limits"
    NODE = "node"
    RESTARTS = "restarts"
    STATUS = "status"
    EXISTS = "exists"
    DESCRIBE = "describe"
    EXPLAIN = "explain"
    RUNBOOK = "runbook"
    AGAIN = "again"  # "and in payments?": the question before, of something else
    OTHER_ONE = "other_one"
    GREETING = "greeting"
    HELP = "help"
    OUT_OF_SCOPE = "out_of_scope"
    CHANGE_REFUSED = "change_refused"


@dataclass(frozen=True, slots=True)
class Intent:
    """``plural`` is the kind of object a list is of; ``subject`` the words that are to be explained."""

    kind: Kind
    plural: str | None = None
    subject: str | None = None
    pronoun: bool = False


PLURALS = {
    "pod": "pods", "deployment": "deployments", "service": "services", "node": "nodes", "namespace": "namespaces",
    "statefulset": "statefulsets", "daemonset": "daemonsets", "job": "jobs", "cronjob": "cronjobs",
    "ingress": "ingresses", "configmap": "configmaps", "replicaset": "replicasets", "secret": "secrets",
    "pvc": "persistentvolumeclaims", "persistentvolumeclaim": "persistentvolumeclaims",
    "pv": "persistentvolumes", "persistentvolume": "persistentvolumes", "hpa": "horizontalpodautoscalers",
    "networkpolicy": "networkpolicies", "networkpolicie": "networkpolicies", "endpoint": "endpoints",
    "serviceaccount": "serviceaccounts", "quota": "resourcequotas", "resourcequota": "resourcequotas",
    "storageclass": "storageclasses", "storageclasse": "storageclasses", "ingresse": "ingresses",
}  # fmt: skip
_KIND_WORD = "|".join(sorted(PLURALS, key=len, reverse=True))
_PRONOUN = re.compile(r"\b(its?|it's|their|theirs|them|they|that|this|those|these|the same)\b", re.IGNORECASE)

_WRONG = r"(wrong|broken|failing|going on|the (problem|issue|cause|matter))"

# In order: the first that matches decides, so the particular stands before the general.
_RULES: tuple[tuple[Kind, str], ...] = (
    (
        Kind.GREETING,
        r"^(hi|hello|hey|good (morning|afternoon|evening)|thanks?( you)?|thank you.*|bye|goodbye)\b[\s,!.\w]{0,20}$",
    ),
    (Kind.HELP, r"^(help|what can you do|what can i ask|how do(es)? (you|this) work|who are you|what are you)\b"),
    (
        Kind.CHANGE_REFUSED,
        r"^(please |can you |could you |now |then )*(delete|restart|scale|roll ?back|apply|patch|edit|drain|cordon"
        r"|kill|exec\w*|remove|fix it|fix this|repair|create)\b",
    ),
    (Kind.OTHER_ONE, r"\b(the |that )?(other|second|next) (one|incident|problem|fault|issue)\b"),
    (
        Kind.AGAIN,
        r"^(and|what about|how about|same for|now)( in| for| of| the| with)*\s+[\w./-]+(\s+(namespace|too|as well))?"
        r"\s*\??$",
    ),
    (Kind.RUNBOOK, r"\brunbooks?\b"),
    (
        Kind.FIX,
        r"\bhow (do|can|should|would|to)\b.{0,20}\b(fix|solve|repair|resolve|correct|undo)|\bthe fix\b"
        r"|\bfix (it|this|that)\b|\bwhat should i do|\bwhat (do|can) i do|\bremed(y|iat)",
    ),
    (
        Kind.EVENTS,
        r"\b(events?\b|what happened|what has happened|changed|changes|happened to|rollouts?|timeline|history of)",
    ),
    (
        Kind.ERRORS,
        r"\b(errors?|exceptions?|stack ?traces?)\b.{0,40}\b(logs?|in|of|from)\b"
        r"|\b(analy[sz]e|any|which|what) errors?\b",
    ),
    (Kind.LOGS, r"\b(logs?|log lines?|output|stdout|stderr)\b"),
    (
        Kind.IMAGES,
        r"\b(which|what|how many|list|show)\b.{0,60}\b(images?|tags?)\b|\bimages?\b.{0,30}\b(run|use|of)\b"
        r"|\bversion of\b",
    ),
    (Kind.LIMITS, r"\b(limits?|requests?|resources?|(cpu|memory|ram)( usage| use)?)\b"),
    (Kind.NODE, r"\b(which|what) (node|machine|host)s?\b|\bwhere (is|are|does|do)\b"),
    (
        Kind.RESTARTS,
        r"\b(how often|how many (times|restarts)|restart count|restarts? of)\b"
        r"|\b(which|what|list|show)\b.{0,40}\brestart",
    ),
    (Kind.EXISTS, r"\b(exists?|is there (an?|any)\b|do (we|i|you) have|have we)\b"),
    (Kind.STATUS, r"\b(status|state|phase|conditions?) of\b"),
    (Kind.EXPLAIN, r"^(what (does|do|is|are)|explain|meaning of|define|tell me about)\b"),
    (
        Kind.WHY,
        rf"\b(why|root cause|what('s| is| are|s)? {_WRONG}|diagnos|troubleshoot|debug|investigat"
        r"|find (out )?(the )?(problem|fault|cause)|reason)",
    ),
    (
        Kind.HEALTH,
        r"\b(healthy|health|ok(ay)?|fine|working|well|up|ready|any (problem|issue|fault)s?|all good|alright)\b",
    ),
    (Kind.DESCRIBE, r"\b(describe|details?|yaml|spec|manifest)\b"),
    (Kind.STATUS, r"\b(status|state|phase|condition)\b"),
)
# Questions for a fact become questions for a cause when they speak of a fault.
_FACTS = frozenset({Kind.LIMITS, Kind.NODE, Kind.IMAGES, Kind.STATUS, Kind.DESCRIBE})
_WHY = re.compile(r"\s*why\b", re.IGNORECASE)
_COMPILED = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _RULES)
_LIST = re.compile(
    rf"\b(which|what|list|show( me)?|get|how many|count|all|give me)\b.{{0,30}}?\b({_KIND_WORD})(s|es)?\b",
    re.IGNORECASE,
)
_OBJECT_KIND = re.compile(rf"\b({_KIND_WORD})(s|es)?\b", re.IGNORECASE)
_FAULT = re.compile(
    r"\b(fail\w*|broken|restarting|keeps? \w+ing|down|crash\w*|error\w*|slow|stuck|pending|unavailable|unhealthy"
    r"|not (start|run|work|respond|ready)\w*|oom\w*|evicted|wrong|problem\w*|timeout|timing out|unreachable|5\d\d"
    r"|issue\w*|trouble)\b",
    re.IGNORECASE,
)
_EXPLAINED = re.compile(
    r"^(?:what (?:does|do|is|are)|explain|meaning of|define|tell me about)\s+(?:an?\s+|the\s+)?"
    r"(?:cause\s+|error\s+|status\s+|reason\s+)?[`\"']?(?P<what>[\w -]+?)[`\"']?"
    r"(?:\s+mean\w*|\s+error|\s+status)?\s*[?.!]*$",
    re.IGNORECASE,
)


def recognize(question: str) -> Intent:
    """The intent of a question. Anything about the cluster that fits nothing else is a diagnosis."""
    text = question.strip()
    pronoun = bool(_PRONOUN.search(text))
    kind = next((kind for kind, pattern in _COMPILED if pattern.search(text)), None)
    found = _OBJECT_KIND.search(text)
    plural = PLURALS[found[1].lower()] if found else None
    why = bool(_WHY.match(text)) or bool(re.match(r"\s*what.{0,12} wrong\b", text, re.IGNORECASE))
    if why and kind not in {Kind.EVENTS, Kind.RUNBOOK, Kind.FIX, Kind.AGAIN, Kind.OTHER_ONE}:
        return Intent(Kind.WHY, plural, pronoun=pronoun)
    if kind in _FACTS and _FAULT.search(text):
        kind = Kind.WHY
    if kind is Kind.EXPLAIN:
        return _explanation(text, plural, pronoun=pronoun)
    listed = _LIST.search(text)
    if (
        listed
        and kind in {None, Kind.HEALTH, Kind.STATUS, Kind.EXISTS}
        and not re.match(r"\s*why\b", text, re.IGNORECASE)
    ):
        plural = PLURALS[listed[3].lower()]
        return Intent(Kind.WHY if _FAULT.search(text) and "how many" not in text.lower() else Kind.LIST, plural)
    if kind is None:
        kind = Kind.WHY if _FAULT.search(text) else Kind.OUT_OF_SCOPE
    return Intent(kind, plural, pronoun=pronoun)


def _explanation(text: str, plural: str | None, *, pronoun: bool) -> Intent:
    """ "What is wrong" asks for a diagnosis; "what does OOMKilled mean" for an explanation."""
    if re.search(rf"\b{_WRONG}\b", text, re.IGNORECASE):
        return Intent(Kind.WHY, plural, pronoun=pronoun)
    listed = _LIST.search(text)
    if listed and re.search(r"\b(in|are|there|running)\b", text, re.IGNORECASE) and "mean" not in text.lower():
        return Intent(Kind.LIST, PLURALS[listed[3].lower()], pronoun=pronoun)
    found = _EXPLAINED.match(text)
    subject = found["what"].strip() if found else text
    return Intent(Kind.EXPLAIN, plural, subject, pronoun)
