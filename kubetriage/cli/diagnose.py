"""``kubetriage diagnose``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from kubetriage.cli.over_time import mute, read_baseline, read_mutes, write_baseline
from kubetriage.cli.own_rules import load_own_rules, rules_option
from kubetriage.cli.source import open_metrics, open_reader, prometheus_options, run, say, source_options
from kubetriage.cluster.reader import MetricsSource
from kubetriage.contracts.diagnosis import Diagnosis, Outcome, Scope
from kubetriage.diagnosis.baseline import compare
from kubetriage.diagnosis.rule import Rule
from kubetriage.investigation import investigate


@click.command("diagnose")
@click.argument("target", required=False, metavar="[KIND/NAME]")
@click.option("-n", "--namespace", metavar="NS", help="only this namespace")
@click.option("-A", "--all-namespaces", is_flag=True, help="the whole cluster (the default without -n)")
@click.option("-q", "--question", metavar="TEXT", help="what you want to know; ranks what concerns it first")
@click.option("-o", "--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.option("--exit-code", type=click.IntRange(1, 255), metavar="N", help="exit with N when a fault was found")
@click.option(
    "--baseline",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="an earlier -o json: says what is new, ongoing and resolved since (missing: everything is new)",
)
@click.option("--update-baseline", is_flag=True, help="write this diagnosis to the --baseline file afterwards")
@click.option(
    "--mutes",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="acknowledged causes, with reason and end (default: .kubetriage-mutes.yaml when it is there)",
)
@rules_option
@prometheus_options
@source_options
def command(
    target: str | None,
    namespace: str | None,
    all_namespaces: bool,
    question: str | None,
    output: str,
    exit_code: int | None,
    baseline: Path | None,
    update_baseline: bool,
    mutes: Path | None,
    rules: Path | None,
    context: str | None,
    bundle: Path | None,
    prometheus: str | None,
    prometheus_token_file: Path | None,
) -> None:
    """Find what is wrong, why, and how to mend it. Reads only; needs no server and no model.

    \b
    kubetriage diagnose -n shop
    kubetriage diagnose deployment/checkout -n shop -o markdown
    kubetriage diagnose --bundle support-bundle.tar.gz --exit-code 1
    kubetriage diagnose --baseline last.json --update-baseline
    kubetriage diagnose -n shop --prometheus http://localhost:9090
    """
    if namespace and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    if update_baseline and baseline is None:
        raise click.UsageError("--update-baseline needs --baseline FILE")
    kind, _, name = (target or "").rpartition("/")
    scope = Scope(cluster=context, namespace=namespace, kind=kind or None, name=name or None, question=question)
    own = load_own_rules(rules)
    muted = read_mutes(mutes, own.causes)
    before = read_baseline(baseline, context) if baseline else None
    metrics = open_metrics(prometheus, prometheus_token_file)
    diagnosis = mute(run(_diagnose(scope, context, bundle, own.rules, metrics)), muted)
    if baseline:
        diagnosis = compare(diagnosis, before)
    click.echo(_render(diagnosis, output), color=sys.stdout.isatty())
    if baseline and update_baseline:
        write_baseline(baseline, diagnosis)
    if exit_code is not None and diagnosis.outcome is Outcome.FAULT_FOUND:
        sys.exit(exit_code)


async def _diagnose(
    scope: Scope,
    context: str | None,
    bundle: Path | None,
    extra_rules: Sequence[Rule],
    metrics: MetricsSource | None,
) -> Diagnosis:
    async with open_reader(context, bundle) as reader:
        return await investigate(reader, scope, progress=say, extra_rules=extra_rules, metrics=metrics)


def _render(diagnosis: Diagnosis, output: str) -> str:
    if output == "json":
        return diagnosis.model_dump_json(indent=2)
    if output == "markdown":
        from kubetriage.cli.render_markdown import render_markdown  # noqa: PLC0415 - one of three

        return render_markdown(diagnosis)
    from kubetriage.cli.render_text import render_text  # noqa: PLC0415 - one of three

    return render_text(diagnosis)
