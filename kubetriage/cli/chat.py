"""``kubetriage chat``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from kubetriage.cli.answer_printing import AnswerPrinter
from kubetriage.cli.conversation import ServerError, Target, fail, open_conversation, target_options
from kubetriage.cli.source import run

_PROMPT = "> "
_ENDS = frozenset({"/quit", "/exit", "quit", "exit"})


@click.command("chat")
@target_options
def command(**options: Any) -> None:
    """Talk: follow-up questions know what was said before. Ends with /quit or Ctrl-D.

    Questions can be piped in, one per line.
    """
    run(_chat(Target(**options)))


async def _chat(target: Target) -> None:
    try:
        async with open_conversation(target) as conversation:
            if sys.stdin.isatty():
                click.echo("Ask about the cluster; `help` gives examples, /quit ends.", err=True)
            while (question := await asyncio.to_thread(_read_question)) is not None:
                if not question.strip():
                    continue
                printer = AnswerPrinter()
                async for event in conversation.ask(question.strip()):
                    printer.show(event)
                if printer.error is not None:
                    click.echo(f"kubetriage: {printer.error}", err=True)
                click.echo("")
    except ServerError as error:
        fail(error)


def _read_question() -> str | None:
    """The next line; None at the end."""
    if sys.stdin.isatty():
        import readline  # noqa: F401, PLC0415 - arrow keys and history for input()
    try:
        line = input(_PROMPT if sys.stdin.isatty() else "")
    except (EOFError, KeyboardInterrupt):
        return None
    return None if line.strip().lower() in _ENDS else line
