"""What a tool brings back: text for a model, data for rules, sources for the reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from kubetriage.contracts.api import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """``summary`` is one line. ``data`` is JSON-able, read by the built-in model and by tests."""

    summary: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    status: Literal["ok", "error"] = "ok"


def cap_text(text: str, characters: int) -> str:
    """The head and the tail of a text that is too long, with what was cut between them.

    Whole lines where lines are short enough; the result is never longer than ``characters``
    plus the line that says what was cut.
    """
    if len(text) <= characters:
        return text
    head, tail = text[: characters // 3], text[-(characters - characters // 3) :]
    head = head.rpartition("\n")[0] or head
    tail = tail.partition("\n")[2] or tail
    cut = text[len(head) : len(text) - len(tail)]
    return f"{head}\n[... {len(cut)} characters, {cut.count(chr(10))} lines cut ...]\n{tail}"


def failed(text: str, **data: Any) -> ToolResult:
    """A result that says in one sentence why there is none."""
    return ToolResult(summary=text.splitlines()[0][:200], text=text, data={**data, "message": text}, status="error")
