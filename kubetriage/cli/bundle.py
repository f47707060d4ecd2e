"""``kubetriage bundle``."""

from __future__ import annotations

from pathlib import Path

import click

from kubetriage.cli.source import open_reader, run
from kubetriage.cluster.collect import CollectReport, collect_bundle


@click.group("bundle")
def command() -> None:
    """Capture a cluster into a file, to diagnose it elsewhere or later."""


@command.command("collect")
@click.option("-n", "--namespace", "namespaces", multiple=True, metavar="NS", help="only these (default: all)")
@click.option("--context", metavar="NAME", help="kubeconfig context (default: the current one)")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("bundle.tar.gz"), show_default=True
)
def collect(namespaces: tuple[str, ...], context: str | None, out: Path) -> None:
    """Objects, events, logs and metrics into one archive. Reads only; never reads Secrets; passwords,
    tokens and keys in what is read are replaced."""
    report = run(_collect(namespaces, context, out))
    click.echo(f"{report.path}: {report.objects} objects, {report.logs} logs, {report.size / 1024:.0f} KiB")
    for gap in report.unreadable:
        click.echo(f"could not read {gap.resource}: {gap.reason} ({gap.remedy})")


async def _collect(namespaces: tuple[str, ...], context: str | None, out: Path) -> CollectReport:
    async with open_reader(context, None) as reader:
        return await collect_bundle(
            reader, out, namespaces=namespaces or None, progress=lambda line: click.echo(line, err=True)
        )
