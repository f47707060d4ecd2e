"""``kubetriage search``."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("search")
@click.argument("query")
@click.option(
    "--runbooks",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="folder of Markdown runbooks",
)
@click.option("-k", "count", type=click.IntRange(1, 50), default=5, show_default=True, help="how many documents")
@click.option("--alert", metavar="NAME", help="the runbook that serves exactly this alert comes first")
@click.option("-n", "--namespace", metavar="NS", help="leave out runbooks of other namespaces")
@click.option("--embedder", type=click.Choice(["auto", "bm25"]), default="auto", show_default=True)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    query: str,
    runbooks: Path,
    count: int,
    alert: str | None,
    namespace: str | None,
    embedder: str,
    output: str,
) -> None:
    """Find the runbook for a symptom, an alert or an error line. Works offline."""
    from kubetriage.contracts.api import SearchRequest  # noqa: PLC0415 - see main
    from kubetriage.retrieval.minilm import MiniLm, find_weights  # noqa: PLC0415 - see main
    from kubetriage.retrieval.runbooks import read_runbooks  # noqa: PLC0415 - see main
    from kubetriage.retrieval.search import RunbookIndex  # noqa: PLC0415 - see main

    weights = find_weights() if embedder == "auto" else None
    index = RunbookIndex(list(read_runbooks(runbooks)), MiniLm(weights) if weights else None)
    found = index.search(SearchRequest(query=query, k=count, alert=alert, namespace=namespace))
    if output == "json":
        click.echo(found.model_dump_json(indent=2))
        return
    if not found.passages:
        click.echo("no runbook fits", err=True)
        sys.exit(1)
    for passage in found.passages:
        click.echo(f"{passage.score:.2f}  {passage.path}  {passage.title}: {passage.heading}")
        click.echo(f"      {' '.join(passage.text.split())[:160]}")
