"""``kubetriage eval``."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("eval")
def command() -> None:
    """Measure the diagnosis on labelled cases."""


@command.command("cloud-opsbench")
@click.option(
    "--cases", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="folder of bundles"
)
@click.option("--index", type=click.Path(exists=True, path_type=Path), required=True, help="cases.jsonl")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="predictions.jsonl, for the benchmark's scorer"
)
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True)
def cloud_opsbench(cases: Path, index: Path, out: Path, jobs: int) -> None:
    """Diagnose each bundle given only itself, its namespace and the vague question."""
    from kubetriage.evaluation.cloud_opsbench import read_cases, run  # noqa: PLC0415 - see main

    wanted = list(read_cases(index))
    with out.open("w", encoding="utf-8") as stream:
        run(wanted, cases, stream, jobs)
    click.echo(f"{len(wanted)} cases diagnosed; predictions in {out}")
