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


@command.command("retrieval")
@click.option("--queries", type=click.Path(exists=True, path_type=Path), required=True, help="JSON lines")
@click.option(
    "--runbooks", type=click.Path(exists=True, file_okay=False, path_type=Path), help="folder (default: the bundled)"
)
def retrieval(queries: Path, runbooks: Path | None) -> None:
    """Search a folder for each query and count how often a relevant runbook comes first."""
    from kubetriage.evaluation.retrieval import read_queries, score  # noqa: PLC0415 - see main
    from kubetriage.retrieval.runbooks import read_runbooks  # noqa: PLC0415 - see main
    from kubetriage.retrieval.search import RunbookIndex  # noqa: PLC0415 - see main
    from kubetriage.retrieval.searcher import bundled_folder, default_embedder  # noqa: PLC0415 - see main

    chunks, wanted = list(read_runbooks(runbooks or bundled_folder())), read_queries(queries)
    click.echo("| embedder | queries | R@1 | R@3 | R@5 | MRR |\n|---|---|---|---|---|---|")
    for embedder in dict.fromkeys((None, default_embedder())):
        index = RunbookIndex(chunks, embedder)
        for style in ("", *dict.fromkeys(query.style for query in wanted)):
            found, wrong = score(index, [query for query in wanted if style in {"", query.style}])
            name = f"{index.embedder} {style}".strip()
            figures = " | ".join(f"{one:.3f}" for one in (found.at_1, found.at_3, found.at_5, found.mrr))
            click.echo(f"| {name} | {found.queries} | {figures} |")
            if not style:
                for query, instead in wrong:
                    click.echo(f"wrong: {query.text!r}: {', '.join(instead)}", err=True)
