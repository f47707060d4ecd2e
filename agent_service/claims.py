"""What an answer claims that can be looked up: names of objects, numbers with units, quotes, commands. Pure.

Few false alarms count for more than the last claim: what is vague, advised or a block of YAML is no claim.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kubetriage.state.resources import RESOURCES, resource_by_kind

_KINDS = "|".join(sorted({resource.kind.lower() for resource in RESOURCES if resource.plural != "events"}, key=len))
_NOUNS = rf"(?:{_KINDS}|container|image|pvc|pv|hpa|deploy|svc|sts|ds|cm|ns)s?"
_NAME = r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?"
# deployment/payments
_REFERENCE = re.compile(rf"(?<![\w./-])(?P<kind>[A-Za-z]{{2,40}})/(?P<name>{_NAME})(?![\w/])")
# payments-556896b5fb-96x7l: what a ReplicaSet names its pods, with the letters that Kubernetes' generator uses.
_GENERATED = re.compile(
    r"(?<![\w./-])[a-z0-9][a-z0-9.-]{0,200}-[a-z0-9]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}(?![\w.-]*\w)"
)
# pod `web-0`, the "payments" deployment, node worker-3
_NAMED = re.compile(
    rf"\b(?i:{_NOUNS})\s+(?:named\s+|called\s+)?[\"'`*]{{1,3}}(?P<name>{_NAME})[\"'`*]{{1,3}}"
    rf"|[\"'`*]{{1,3}}(?P<before>{_NAME})[\"'`*]{{1,3}}\s+(?i:{_NOUNS})\b"
    rf"|\b(?i:{_NOUNS})\s+(?P<plain>(?=[a-z0-9.-]*\d)[a-z0-9]+(?:-[a-z0-9]+)+)(?![\w-])"
)
_IMAGE = re.compile(r"(?<![\w./:-])[a-z0-9][\w.-]*(?:/[\w.-]+)+:[\w][\w.-]*\w")
_UNITS = (
    r"[KMGT]i?B?|kB|millicores?|cores?|m|ms|milliseconds?|s|seconds?|minutes?|h|hours?|days?|percent|restarts?|times"
)
_NUMBER = re.compile(
    rf"(?<![\w.:/+-])(?P<number>\d+(?:\.\d+)?)(?:\s?(?:{_UNITS})\b|\s?%)"
    r"|\b(?i:exit code|exit status|port|http|status|status code)\s+(?P<code>\d{1,5})\b"
)
# Advice is no claim, and neither is what says itself that it is rough.
_ADVICE = re.compile(
    r"\b(?:raise|increase|set|lower|reduce|decrease|bump|change|double|give|scale|wait|try|add|use|allow|should|could|consider)\b",
    re.IGNORECASE,
)
_ROUGHLY = re.compile(
    r"(?:~|≈|\b(?:about|approximately|around|roughly|nearly|almost|over|under|than|least|most|up to|every|within|per))"
    r"\s*$",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"(?<![\w\"])\"(?=\S)(?P<straight>[^\n]{1,500}?)(?<=\S)\"(?![\w\"])|“(?P<curly>[^\n”]{1,500})”")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?P<code>[^\n]+?)(?<!`)\1(?!`)")
_BLOCK = re.compile(
    r"^[ >]*(?:`{3,}|~{3,})[^\n]*\n(?P<body>.*?)(?:^[ >]*(?:`{3,}|~{3,})[ ]*$|\Z)", re.MULTILINE | re.DOTALL
)
_PROGRAM = re.compile(r"\s*(?:\$\s+)?(?:kubectl|oc|helm|kustomize|istioctl|argocd|flux)\s+\S")
_SENTENCE = re.compile(r"[^\n]+?(?:[.;](?=\s)|$)", re.MULTILINE)
_WORDS_OF_A_QUOTE, _LETTERS_OF_A_QUOTE = 3, 12
_WORDS_OF_QUOTED_CODE = 4
# fmt: off
_NO_NAMES = frozenset({
    "all", "api", "app", "apps", "container", "containers", "endpoint", "http", "https", "log", "logs", "name", "names",
    "not", "other", "the",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Claim:
    """``text`` is how it stands in the answer, ``value`` what has to be found."""

    kind: Literal["object", "number", "quote", "command"]
    text: str
    value: str


def find_claims(answer: str) -> list[Claim]:
    """Each claim once, in the order of kinds: commands, quotes, objects, numbers."""
    commands, prose = _commands(answer)
    found = [*commands, *_quotes(prose), *_objects(prose), *_numbers(prose)]
    return list(dict.fromkeys(found))


def _commands(answer: str) -> tuple[list[Claim], str]:
    """The commands, and the answer without its blocks of code and commands."""
    found: list[Claim] = []

    def note(code: str) -> None:
        command = re.sub(r"\s+", " ", code.strip().removeprefix("$ "))
        found.append(Claim("command", command, command))

    def block(match: re.Match[str]) -> str:
        lines = re.sub(r"\\\n\s*", " ", match["body"]).splitlines()
        for line in lines:
            if _PROGRAM.match(line):
                note(line)
        return "\n"

    def span(match: re.Match[str]) -> str:
        if not _PROGRAM.match(match["code"]):
            return match[0]
        note(match["code"])
        return "…"

    return found, _SPAN.sub(span, _BLOCK.sub(block, answer))


def _quotes(prose: str) -> Iterator[Claim]:
    for match in _QUOTE.finditer(prose):
        text = match["straight"] or match["curly"]
        if len(text) >= _LETTERS_OF_A_QUOTE and len(text.split()) >= _WORDS_OF_A_QUOTE:
            yield Claim("quote", text, text)
    for match in _SPAN.finditer(prose):
        if len(match["code"].split()) >= _WORDS_OF_QUOTED_CODE and not match["code"].endswith("?"):
            yield Claim("quote", match["code"], match["code"])


def _objects(prose: str) -> Iterator[Claim]:
    for match in _REFERENCE.finditer(prose):
        if resource_by_kind(match["kind"]) is not None and match["kind"] != "limits" and _is_name(match["name"]):
            yield Claim("object", match[0], match["name"])
    for match in _NAMED.finditer(prose):
        name = match["name"] or match["before"] or match["plain"]
        if _is_name(name):
            yield Claim("object", name, name)
    for pattern in (_GENERATED, _IMAGE):
        for match in pattern.finditer(prose):
            yield Claim("object", match[0], match[0])


def _is_name(name: str) -> bool:
    return name not in _NO_NAMES and resource_by_kind(name) is None


def _numbers(prose: str) -> Iterator[Claim]:
    for sentence in _SENTENCE.finditer(prose):
        if _ADVICE.search(sentence[0]):
            continue
        for match in _NUMBER.finditer(sentence[0]):
            if not _ROUGHLY.search(sentence[0][: match.start()]):
                yield Claim("number", match[0], match["number"] or match["code"])
