"""A conversation as plain data: turns, each a question with what its tools brought. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """One tool's result: its arguments and the artifact's data."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    ok: bool = True

    @property
    def message(self) -> str:
        """What the tool said when it had no result."""
        return str(self.data.get("message") or "It failed without saying why.")


@dataclass(frozen=True, slots=True)
class Turn:
    """``answer`` is the text of it, which is all there is when the caller keeps the conversation."""

    question: str
    outcomes: tuple[Outcome, ...] = ()
    answer: str = ""

    def of(self, tool: str) -> list[Outcome]:
        return [one for one in self.outcomes if one.tool == tool]

    @property
    def index(self) -> Mapping[str, Any] | None:
        """The names of everything, once they were listed in this turn."""
        return next((one.data for one in self.of("list_resources") if "index" in one.data), None)

    @property
    def diagnosis(self) -> Mapping[str, Any] | None:
        return next((one.data["diagnosis"] for one in reversed(self.outcomes) if "diagnosis" in one.data), None)


@dataclass(frozen=True, slots=True)
class Call:
    """A tool to be called."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
