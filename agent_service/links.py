"""Links in an answer. A model that was talked into it would carry data out in the address of an image or a link. Pure.

A link stays a link only when exactly its address stood in a runbook that this run found. An address that another tool
result contained is shown as code: it can be read, and carries nothing that its writer did not know. Any other address
of a foreign host was made up, and is taken out. Images and HTML never stay.
"""

from __future__ import annotations

import html
import ipaddress
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

REMOVED = "[link removed]"
# Up to what ends an address for every renderer; the punctuation of a sentence or of Markdown is taken off again.
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{1,20}:(?:\\?/){2}|\bwww\.)[^\s<>\"`]{1,4000}", re.IGNORECASE)
_ENDING = ".,;:!?'()[]{}*_~|\\"
_SPARED = re.compile("\x00(\\d+)\x00")
# [text](address "title") and the same as an image; the text may hold one pair of brackets.
_LINK = re.compile(
    r"(?P<image>!?)\[(?P<text>(?:[^\[\]\n]|\[[^\[\]\n]{0,300}\]){0,500})\]"
    r"\(\s{0,9}<?(?P<to>[^\s<>()]{0,2000}(?:\([^\s<>()]{0,500}\)[^\s<>()]{0,500})?)>?(?:\s[^()\n]{0,300})?\)"
)
_IMAGE_MARK = re.compile(r"!(?=\[)")
_DEFINITION = re.compile(r"^([ >]{0,20}\[[^\]\n]{1,500}\]):")  # of a link that another line refers to
_ACTIVE_TAG = re.compile(
    r"<(?=/?(?:a|area|audio|base|body|button|embed|form|frame|iframe|img|image|input|link|meta|object|picture|script"
    r"|source|style|svg|track|video)\b|[a-z][\w:-]{0,40}\s[^<>\n]{0,500}=)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(?=/?[a-z!?])", re.IGNORECASE)
_NO_TAG = "\u2039"
# What a renderer would read as ordinary characters: an address could hide behind them.
_ENTITY = re.compile(
    r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|colon|sol|period|lsqb|rsqb|lbrack|rbrack|lpar|rpar|excl|grave|DiacriticalGrave);",
    re.IGNORECASE,
)
_ESCAPED = re.compile(r"\\(?=[:/])")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?P<code>[^\n]*?)(?<!`)\1(?!`)")
_FENCE = re.compile(r"[ >]*(?:(?:[-*+]|\d{1,9}[.)])[ ]+)?(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)")


def find_urls(text: str) -> set[str]:
    """The addresses in a text, as they stand there."""
    return {match[0].rstrip(_ENDING) for match in _URL.finditer(text)}


def neutralize_links(line: str, runbooks: Collection[str], seen: Collection[str], *, code: bool = False) -> str:
    """One line of Markdown without images, HTML and links, those to ``runbooks``' addresses excepted.

    ``seen``: addresses in the tools' results. ``code``: the line is within a block of code.
    """
    spared: list[str] = []
    line = _ENTITY.sub(lambda match: html.unescape(match[0]), line)
    line = _LINK.sub(lambda match: _plain(match, runbooks, spared), line).replace("](", "] (")
    if code:
        line = _ACTIVE_TAG.sub(_NO_TAG, _URL.sub(lambda match: _shown(match[0], runbooks, seen, code=True), line))
    else:
        line = _DEFINITION.sub(r"\1 :", line)
        line = _around_code(line, lambda text, code: _inline(text, runbooks, seen, code=code))
    return _SPARED.sub(lambda match: spared[int(match[1])], line)


def _plain(match: re.Match[str], runbooks: Collection[str], spared: list[str]) -> str:
    """The link as text and address, to be looked at like any other; one to a runbook's address is put aside."""
    if not match["image"] and match["to"] in runbooks:
        spared.append(f"[{match['text']}]({match['to']})")
        return f"\x00{len(spared) - 1}\x00"  # a sign that no cleaned text holds
    return f"{match['text']} ({match['to']})" if match["to"] else match["text"]


def _around_code(line: str, change: Callable[[str, bool], str]) -> str:
    """``change`` of the pieces outside and inside of code spans. A lone backtick would make the next line's spans
    others for a renderer than they are here, so it goes."""
    parts, at = [], 0
    for span in _SPAN.finditer(line):
        parts += [change(line[at : span.start()].replace("`", "'"), False), change(span[0], True)]
        at = span.end()
    return "".join((*parts, change(line[at:].replace("`", "'"), False)))


def _inline(text: str, runbooks: Collection[str], seen: Collection[str], *, code: bool) -> str:
    if not code:
        text = _IMAGE_MARK.sub("", _ESCAPED.sub("", text))
    text = _URL.sub(lambda match: _shown(match[0], runbooks, seen, code=code), text)
    return (_ACTIVE_TAG if code else _TAG).sub(_NO_TAG, text)


def _shown(found: str, runbooks: Collection[str], seen: Collection[str], *, code: bool) -> str:
    url = found.rstrip(_ENDING)
    ending = found[len(url) :]
    if url in runbooks or _is_inside(url):
        return found
    if url not in seen:
        return REMOVED + ending
    return found if code else f"`{url}`{ending}"


def _is_inside(url: str) -> bool:
    """A host of the cluster or of the reader's own network: nobody outside learns of a call to it."""
    try:
        host = urlsplit(url.replace("\\", "")).hostname or ""
    except ValueError:
        return False
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return bool(host) and ("." not in host or host.endswith((".svc", ".cluster.local")))


@dataclass(slots=True)
class LineByLine:
    """Makes a stream safe: text goes in as it comes, whole lines come out, each through ``safe``.

    ``safe`` takes a line and whether it is within a block of code (CommonMark 0.31, section 4.5).
    """

    safe: Callable[[str, bool], str]
    _line: str = ""
    _fence: str = ""

    def feed(self, text: str) -> str:
        *lines, self._line = (self._line + text).split("\n")
        return "".join(f"{self._one(line)}\n" for line in lines)

    def rest(self) -> str:
        """What is left at the end; afterwards another text may begin."""
        text = self._one(self._line) if self._line else ""
        self._line = self._fence = ""
        return text

    def _one(self, line: str) -> str:
        mark = _FENCE.fullmatch(line)
        within = bool(self._fence)
        if mark is not None and within:
            if mark["mark"].startswith(self._fence) and not mark["info"].strip():
                self._fence = ""
        elif mark is not None and not (mark["mark"][0] == "`" and "`" in mark["info"]):
            self._fence = mark["mark"]
        return self.safe(line, within or bool(self._fence))
