"""``kubetriage diagnose``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kubetriage.cli.source import open_reader, run, say, source_options
from kubetriage.contracts.diagnosis import Diagnosis, Outcome, Scope
from kubetriage.investigation import investigate


@click.command("diagnose")
@click.argument("target", required=False, metavar="[KIND/NAME]")
@click.option("-n", "--namespace", metavar="NS", help="only this namespace")
@click.option("-A", "--all-namespaces", is_flag=True, help="the whole cluster (the default without -n)")
@click.option("-q", "--question", metavar="TEXT", help="what you want to know; ranks what concerns it first")
@click.option("-o", "--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.option("--exit-code", type=click.IntRange(1, 255), metavar="N", help="exit with N when a fault was found")
@source_options
def command(
    target: str | None,
    namespace: str | None,
    all_namespaces: bool,
    question: str | None,
    output: str,
    exit_code: int | None,
    context: str | None,
    bundle: Path | None,
) -> None:
    """Find what is wrong, why, and how to mend it. Reads only; needs no server and no model.

    \b
    kubetriage diagnose -n shop
    kubetriage diagnose deployment/checkout -n shop -o markdown
    kubetriage diagnose --bundle support-bundle.tar.gz --exit-code 1
    """
    if namespace and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    kind, _, name = (target or "").rpartition("/")
    scope = Scope(cluster=context, namespace=namespace, kind=kind or None, name=name or None, question=question)
    diagnosis = run(_diagnose(scope, context, bundle))
    click.echo(_render(diagnosis, output), color=sys.stdout.isatty())
    if exit_code is not None and diagnosis.outcome is Outcome.FAULT_FOUND:
        sys.exit(exit_code)


async def _diagnose(scope: Scope, context: str | None, bundle: Path | None) -> Diagnosis:
    async with open_reader(context, bundle) as reader:
        return await investigate(reader, scope, progress=say)


def _render(diagnosis: Diagnosis, output: str) -> str:
    if output == "json":
        return diagnosis.model_dump_json(indent=2)
    if output == "markdown":
        from kubetriage.cli.render_markdown import render_markdown  # noqa: PLC0415 - one of three

        return render_markdown(diagnosis)
    from kubetriage.cli.render_text import render_text  # noqa: PLC0415 - one of three

    return render_text(diagnosis)
