"""Runbooks: Markdown with optional YAML front matter, cut into chunks along its headings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Characters, so that a chunk fits a 256-token embedder; a longer code block stays whole.
CHUNK = 500
LARGEST_FILE = 2_000_000  # bytes
VERSION = "2"  # of the chunking: a change makes every chunk a new one

_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*\n", re.DOTALL)
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
# Sections that only lead elsewhere: what they name is another document's subject.
_NAVIGATION = re.compile(r"^(see also|related( \w+)?|further reading|references?|links)$", re.IGNORECASE)
_FENCE = re.compile(r"^\s*(```|~~~)")
# An alert name as Prometheus rules have them: KubePodCrashLooping, etcdMembersDown, CPUThrottlingHigh.
_ALERT = re.compile(r"^(?=.*[a-z])(?=.*[A-Z].*[A-Z]|[a-z]+[A-Z])[A-Za-z][A-Za-z0-9]{5,}$")
_IDENTIFIER = re.compile(r"\b[A-Za-z][A-Za-z0-9]{2,99}\b")
# Between the humps of camel case; an acronym is one hump.
_BETWEEN_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a runbook. ``alerts``, ``namespaces`` and ``subject`` are the document's, alerts and subject in lower
    case."""

    path: str
    title: str
    heading: str
    text: str
    alerts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    subject: str = ""

    @property
    def embedded_text(self) -> str:
        """What an embedder reads: title and heading belong to every piece."""
        return f"{readable(self.title)}. {self.heading}. {self.text}"

    @property
    def id(self) -> str:
        """The same for the same content, so that a second ingest writes nothing."""
        subject = (f"subject: {self.subject}",) if self.subject else ()
        parts = (VERSION, self.path, self.title, self.heading, self.text, *self.alerts, *self.namespaces, *subject)
        return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def readable(text: str) -> str:
    """``KubePodCrashLooping (Kube Pod Crash Looping)``: sentence embedders read words."""
    return _IDENTIFIER.sub(lambda match: _spelt(match[0]), text)


def _spelt(word: str) -> str:
    apart = _BETWEEN_HUMPS.sub(" ", word)
    return word if apart == word else f"{word} ({apart})"


def read_runbooks(folder: Path) -> Iterator[Chunk]:
    """The chunks of every ``*.md`` below a folder, by path; drafts and unreadable files are left out."""
    for path in sorted(folder.rglob("*.md")):
        # Hidden: the real folder behind the links of a mounted ConfigMap.
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file() or path.stat().st_size > LARGEST_FILE:
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        yield from split_runbook(path.relative_to(folder).as_posix(), text)


def split_runbook(path: str, text: str) -> list[Chunk]:
    """Chunks of one document. Only sections of links are left out; small sections are joined."""
    about, body = _front_matter(text)
    if about.get("draft") is True:
        return []
    sections = [section for section in _sections(body) if not _NAVIGATION.match(section[1])]
    title = str(about.get("title") or next((name for level, name, _ in sections if level == 1), "") or Path(path).stem)
    alerts = tuple(name.lower() for name in (_names(about.get("alerts")) or _alerts_of(title, path)))
    namespaces = tuple(_names(about.get("namespaces")))
    subject = str(about.get("subject") or "").lower()
    return [
        Chunk(
            path=path,
            title=title,
            heading=heading,
            text=piece,
            alerts=alerts,
            namespaces=namespaces,
            subject=subject,
        )
        for heading, piece in _joined(sections)
    ]


def _front_matter(text: str) -> tuple[Mapping[str, Any], str]:
    import yaml  # noqa: PLC0415 - only while reading runbooks

    match = _FRONT.match(text)
    if match is None:
        return {}, text
    try:
        about = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):  # a 13th month, brackets a thousand deep
        return {}, text
    return (about, text[match.end() :]) if isinstance(about, dict) else ({}, text)


def _names(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value] if value else []
    return [str(entry) for entry in values]


def _alerts_of(title: str, path: str) -> list[str]:
    """A document that is called like an alert serves it."""
    return [name for name in dict.fromkeys((title.strip(), Path(path).stem)) if _ALERT.match(name)]


def _sections(body: str) -> Iterator[tuple[int, str, str]]:
    """(level, heading, text) in order; text before the first heading has level 0."""
    level, heading, lines, fenced = 0, "", [], False
    for line in body.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        match = None if fenced else _HEADING.match(line)
        if match is None:
            lines.append(line)
            continue
        if heading or any(part.strip() for part in lines):
            yield level, heading, "\n".join(lines).strip()
        level, heading, lines = len(match[1]), match[2], []
    yield level, heading, "\n".join(lines).strip()


def _joined(sections: Sequence[tuple[int, str, str]]) -> Iterator[tuple[str, str]]:
    """(heading, text) of at most CHUNK characters where the text allows it."""
    heading, held = "", ""
    for _, name, text in sections:
        for piece in _pieces(text) if text else [""]:
            if held and len(held) + len(piece) + len(name) + 2 > CHUNK:
                yield heading, held
                heading, held = "", ""
            own = f"{name}\n{piece}" if held and name and name != heading else piece
            heading = heading or name
            held = f"{held}\n\n{own}".strip() if held else own
    if held or heading:
        yield heading, held


def _pieces(text: str) -> list[str]:
    """Paragraphs and whole code blocks, joined up to CHUNK characters; only prose is cut further."""
    pieces: list[str] = []
    for block in _blocks(text):
        if pieces and len(pieces[-1]) + len(block) + 2 <= CHUNK:
            pieces[-1] = f"{pieces[-1]}\n\n{block}"
        elif len(block) > CHUNK and not _FENCE.match(block):
            pieces.extend(_by_words(block))
        else:
            pieces.append(block)
    return pieces


def _blocks(text: str) -> Iterator[str]:
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        if not line.strip() and not fenced:
            if lines:
                yield "\n".join(lines)
            lines = []
        else:
            lines.append(line)
    if lines:
        yield "\n".join(lines)


def _by_words(block: str) -> Iterator[str]:
    line = ""
    for word in re.split(r"(?<=\s)", block):
        if line and len(line) + len(word) > CHUNK:
            yield line.strip()
            line = ""
        line += word
    if line.strip():
        yield line.strip()
