"""Whether what an answer claims was in a tool's result, and in which. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_service.claims import Claim, find_claims
from kubetriage.contracts.api import Source
from kubetriage.state.resources import resource_by_kind

_LINE = 300  # characters of a quoted line
_TOKEN = re.compile(r"\d+(?:\.\d+)?")
_CUT = re.compile(r"…|\.\.\.|\[redacted[^\]]*\]")
_LOOKS = frozenset(
    (
        "get",
        "describe",
        "logs",
        "top",
        "explain",
        "events",
        "version",
        "cluster-info",
        "api-resources",
        "auth",
        "rollout",
        "history",
    )
)
_CHANGES = frozenset({"restart", "undo", "pause", "resume", "reconcile"})  # of "rollout" and "auth"
_NAMING = frozenset({"-n", "--namespace", "-c", "--container"})
_VALUED = frozenset(
    {"-o", "--output", "-l", "--selector", "--tail", "--since", "--field-selector", "--sort-by", "--context"}
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a tool told: its whole text and the strings and numbers of its data."""

    tool: str
    text: str


@dataclass(frozen=True, slots=True)
class Grounding:
    """``found``: a claim's text to the tool and its line that holds it. ``unverified``: claims that no tool told."""

    found: dict[str, tuple[str, str]] = field(default_factory=dict)
    unverified: tuple[str, ...] = ()


def ground(answer: str, told: Sequence[Told], question: str = "") -> Grounding:
    """Looks every claim of the answer up in what the tools told. The caller's own words are no claim either."""
    claims = find_claims(answer)
    # A list names everything and shows little: it is the source of what nothing else holds.
    ordered = sorted(told, key=lambda one: one.tool == "list_resources")
    evidence = [_Evidence(one) for one in ordered] if claims else []
    asked = _Evidence(Told("", question))
    found: dict[str, tuple[str, str]] = {}
    missing: list[str] = []
    for claim in claims:
        holder = next((one for one in evidence if one.holds(claim)), None)
        if holder is not None:
            found[claim.text] = (holder.told.tool, holder.line_of(claim))
        elif not (asked.holds(claim) or (claim.kind == "command" and _is_harmless(claim.value, [*evidence, asked]))):
            missing.append(claim.text)
    return Grounding(found, tuple(dict.fromkeys(missing)))


def told_by(tool: str, text: str, data: Any) -> Told:
    """From a tool message's text and its artifact's data."""
    return Told(tool, "\n".join((text, *_leaves(data))))


def with_claims(sources: Iterable[Source], grounding: Grounding) -> list[Source]:
    """Each source with the answer's claims that it holds; claims that none holds get one of their own."""
    rows = [(one, _plain(f"{one.title} {one.where} {one.quote}")) for one in sources]
    claims: dict[int, list[str]] = {}
    more: dict[tuple[str, str], list[str]] = {}
    for claim, (tool, line) in grounding.found.items():
        wanted = _plain(claim)
        place = next((place for place, (_, text) in enumerate(rows) if wanted in text), None)
        if place is None:
            more.setdefault((tool, line), []).append(claim)
        else:
            claims.setdefault(place, []).append(claim)
    known = [one.model_copy(update={"claims": tuple(claims.get(place, ()))}) for place, (one, _) in enumerate(rows)]
    return [
        *known,
        *(Source(kind="tool", title=tool, quote=line, claims=tuple(held)) for (tool, line), held in more.items()),
    ]


def note_of(unverified: Sequence[str]) -> str:
    """The paragraph that tells the reader; empty when there is nothing to tell."""
    if not unverified:
        return ""
    listed = ", ".join(f"`{one.replace('`', chr(39))[:120]}`" for one in unverified[:10])
    more = f" and {len(unverified) - 10} more" if len(unverified) > 10 else ""
    return f"\n\nNot verified, no tool's result shows it: {listed}{more}."


class _Evidence:
    def __init__(self, told: Told) -> None:
        self.told = told
        self._text = _plain(told.text)
        self._numbers = frozenset(_TOKEN.findall(told.text))

    def holds(self, claim: Claim) -> bool:
        if claim.kind == "number":
            return claim.value in self._numbers or claim.value.removesuffix(".0") in self._numbers
        if claim.kind == "object":
            return self.names(claim.value)
        parts = (_plain(part).strip(" .,;:") for part in _CUT.split(claim.value))
        return all(part in self._text for part in parts)

    def names(self, name: str) -> bool:
        """The name as a whole, not as a part of a longer one; a pod's name tells its workload's."""
        return re.search(rf"(?<![a-z0-9.-]){re.escape(name.lower())}(?![a-z0-9]|\.[a-z0-9])", self._text) is not None

    def line_of(self, claim: Claim) -> str:
        wanted = _plain(claim.value)
        lines = (line for line in self.told.text.splitlines() if wanted in _plain(line))
        return " ".join(next(lines, "").split())[:_LINE]


def _is_harmless(command: str, evidence: Sequence[_Evidence]) -> bool:
    """Whether a command that was not told only looks, and at things that were."""
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    if len(words) < 2 or words[0] not in {"kubectl", "oc"}:
        return False
    names, verbs = _operands(words[1:])
    if not verbs or verbs[0] not in _LOOKS or not _CHANGES.isdisjoint(verbs[1:2]):
        return False
    return all(any(one.names(name) for one in evidence) for name in names)


def _operands(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """(names of objects, namespaces and containers; the positional words). Placeholders are no names."""
    names: list[str] = []
    positional: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in {"|", "&&", ";", "--"}:
            break
        if word in _NAMING:
            names.append(next(rest, ""))
        elif word in _VALUED:
            next(rest, "")
        elif word.startswith(("--namespace=", "--container=", "-n=")):
            names.append(word.partition("=")[2])
        elif not word.startswith("-"):
            positional.append(word)
    for word in positional[1:]:
        kind, _, name = word.rpartition("/")
        if resource_by_kind(name) is None and not (kind and resource_by_kind(kind) is None):
            names += name.split(",")
    looking = {"status", "history", "can-i", "whoami", "list", "watch"}
    return [one for one in names if one and not set(one) & set("<>${}*") and one not in looking], positional


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield str(key)
            yield from _leaves(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _leaves(entry)
    elif value is not None:
        yield str(value)


def _plain(text: str) -> str:
    """For comparing: one case, one kind of quotation mark, single spaces, no marks of Markdown."""
    text = text.replace("“", '"').replace("”", '"').replace("\u2019", "'").replace('\\"', '"')
    return " ".join(re.sub(r"[`*\u2039<]", "", text).lower().split())
