"""``kubetriage search``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from kubetriage.contracts.api import SearchRequest, SearchResponse


@click.command("search")
@click.argument("query")
@click.option(
    "--runbooks",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="folder of Markdown runbooks (default: the bundled ones)",
)
@click.option("--chroma", metavar="URL", help="search what was ingested into this Chroma server")
@click.option("-k", "count", type=click.IntRange(1, 50), default=5, show_default=True, help="how many documents")
@click.option("--alert", metavar="NAME", help="the runbook that serves exactly this alert comes first")
@click.option("-n", "--namespace", metavar="NS", help="leave out runbooks of other namespaces")
@click.option("--embedder", type=click.Choice(["auto", "bm25"]), default="auto", show_default=True)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    query: str,
    runbooks: Path | None,
    chroma: str | None,
    count: int,
    alert: str | None,
    namespace: str | None,
    embedder: str,
    output: str,
) -> None:
    """Find the runbook for a symptom, an alert or an error line. Works offline."""
    if runbooks is not None and chroma is not None:
        raise click.UsageError("--runbooks and --chroma exclude each other")
    from kubetriage.retrieval.searcher import RetrievalUnavailableError  # noqa: PLC0415 - see main

    request = SearchRequest(query=query, k=count, alert=alert, namespace=namespace)
    try:
        found = asyncio.run(_search(request, runbooks, chroma, bm25=embedder == "bm25"))
    except RetrievalUnavailableError as error:
        click.echo(f"kubetriage: {error}", err=True)
        sys.exit(1)
    if output == "json":
        click.echo(found.model_dump_json(indent=2))
        return
    if not found.passages:
        click.echo("no runbook fits", err=True)
        sys.exit(1)
    for passage in found.passages:
        click.echo(f"{passage.score:.2f}  {passage.path}  {passage.title}: {passage.heading}")
        click.echo(f"      {' '.join(passage.text.split())[:160]}")


async def _search(request: SearchRequest, runbooks: Path | None, chroma: str | None, *, bm25: bool) -> SearchResponse:
    from kubetriage.retrieval.searcher import FolderSearcher, RunbookSearcher, bundled_folder  # noqa: PLC0415 - see main
    from kubetriage.retrieval.searcher import default_embedder as embedder  # noqa: PLC0415 - see main

    searcher: RunbookSearcher
    if chroma is not None:
        from kubetriage.retrieval.chroma_store import ChromaSearcher, ChromaStore  # noqa: PLC0415 - see main

        searcher = ChromaSearcher(ChromaStore(chroma, None if bm25 else embedder()))
    else:
        searcher = FolderSearcher(
            runbooks or bundled_folder(), None if bm25 else embedder(), lambda line: click.echo(line, err=True)
        )
    try:
        return await searcher.search(request)
    finally:
        await searcher.aclose()
