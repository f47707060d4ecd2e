"""A streamed answer on a terminal: progress on stderr, the answer on stdout as it comes."""

from __future__ import annotations

import re
import sys

import click

from kubetriage.contracts.api import AskResponse, ToolCall
from kubetriage.contracts.events import Answer, RunError, StreamEvent, Token, ToolFinished, ToolStarted

_BOLD = re.compile(r"\*\*(.+?)\*\*")
_SHOWN = ("kind", "name", "namespace", "query", "container")
_ARGUMENT = 60  # characters


class AnswerPrinter:
    """Feed it the events of one answer. ``text`` False: only progress, the caller prints the answer."""

    def __init__(self, *, text: bool = True) -> None:
        self._text = text
        self._line = ""
        self._color = sys.stdout.isatty()
        self.answer: AskResponse | None = None
        self.error: str | None = None

    def show(self, event: StreamEvent) -> None:
        """Prints one event."""
        if isinstance(event, ToolStarted):
            return
        if isinstance(event, ToolFinished):
            click.echo(click.style(f"  {describe_call(event.call)}", dim=True), err=True, color=sys.stderr.isatty())
        elif isinstance(event, Token) and self._text:
            self._write(event.text)
        elif isinstance(event, Answer):
            self._end()
            self.answer = event.answer
        elif isinstance(event, RunError):
            self._end()
            self.error = event.problem.detail or event.problem.title

    def _write(self, text: str) -> None:
        # By whole lines: a mark may be cut in two by the stream.
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            click.echo(self._styled(line), color=self._color)

    def _end(self) -> None:
        if self._line:
            click.echo(self._styled(self._line), color=self._color)
            self._line = ""

    def _styled(self, line: str) -> str:
        return _BOLD.sub(lambda match: click.style(match[1], bold=True) if self._color else match[1], line)


def describe_call(call: ToolCall) -> str:
    """``diagnose deployment/checkout: payments is OOMKilled (0.1 s)``."""
    given = [str(call.arguments[name])[:_ARGUMENT] for name in _SHOWN if call.arguments.get(name)]
    what = " ".join((call.name, *given))
    return f"{what}: {call.summary} ({call.seconds:.1f} s)"
