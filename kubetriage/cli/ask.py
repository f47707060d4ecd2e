"""``kubetriage ask``."""

from __future__ import annotations

from typing import Any

import click

from kubetriage.cli.answer_printing import AnswerPrinter
from kubetriage.cli.conversation import ServerError, Target, fail, open_conversation, target_options
from kubetriage.cli.source import run


@click.command("ask")
@click.argument("question")
@target_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(question: str, output: str, **options: Any) -> None:
    """Ask a question in plain words. Reads only; needs no server and no paid model.

    \b
    kubetriage ask "Why is checkout failing?" -n shop
    kubetriage ask "How many pods run which image?" --bundle support-bundle.tar.gz
    kubetriage ask "Is payments healthy?" --server https://kubetriage.example.com --user ada
    """
    printer = AnswerPrinter(text=output == "text")
    run(_ask(question, Target(**options), printer))
    if printer.error is not None:
        fail(printer.error)
    if output == "json" and printer.answer is not None:
        click.echo(printer.answer.model_dump_json(indent=2))


async def _ask(question: str, target: Target, printer: AnswerPrinter) -> None:
    try:
        async with open_conversation(target) as conversation:
            async for event in conversation.ask(question):
                printer.show(event)
    except ServerError as error:
        fail(error)
