"""``python -m rag_ingest [PATH...]``: once, or for ever with ``--watch``."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from kubetriage.retrieval.chroma_store import ChromaStore
from kubetriage.retrieval.searcher import RetrievalUnavailableError, default_embedder
from kubetriage.telemetry.exporting import exported_spans
from rag_ingest.ingest import SERVICE, Ingested, ingest
from rag_ingest.settings import PREFIX, Settings

_TELL_SECONDS = 5.0  # between two lines of progress in a log


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--chroma", "chroma_url", metavar="URL", help="Chroma server (default: http://127.0.0.1:8000)")
@click.option("--source", metavar="NAME", help="whose runbooks these are; another source's are left alone")
@click.option("--watch", is_flag=True, default=None, help="stay, ingest changes, serve /healthz, /readyz, /metrics")
@click.option("--port", type=int, help="of --watch (default: 8082)")
@click.pass_context
def main(ctx: click.Context, /, **given: Any) -> None:
    """Write Markdown runbooks (files or folders; none: the bundled ones) to Chroma.

    Only what changed is embedded and written; what is gone from the folders is removed. Every option can
    be set as KUBETRIAGE_INGEST_<NAME> in the environment too.
    """
    try:
        settings = Settings(**{name: value for name, value in given.items() if value not in {None, ()}})
    except ValidationError as error:
        for item in error.errors():
            name = PREFIX + "_".join(str(part) for part in item["loc"]).upper()
            click.echo(f"ingest: {name}: {item['msg'].removeprefix('Value error, ')}", err=True)
        ctx.exit(2)
    store = ChromaStore(settings.chroma_url, default_embedder())
    if settings.watch:
        _serve(settings, store)
        return
    try:
        done = asyncio.run(_once(settings, store))
    except (OSError, ValueError, RetrievalUnavailableError) as error:
        click.echo(f"ingest: {error}", err=True)
        ctx.exit(1)
    click.echo(str(done.summary))


async def _once(settings: Settings, store: ChromaStore) -> Ingested:
    told = time.monotonic()

    def progress(done: int, of: int) -> None:
        nonlocal told
        if sys.stderr.isatty():
            click.echo(f"\r  embedded {done} of {of} chunks", err=True, nl=done == of)
        elif time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            click.echo(f"  embedded {done} of {of} chunks", err=True)

    async with exported_spans(SERVICE):
        try:
            return await ingest(
                store,
                settings.paths,
                source=settings.source,
                progress=progress,
                say=lambda line: click.echo(f"  {line}", err=True),
            )
        finally:
            await store.aclose()


def _serve(settings: Settings, store: ChromaStore) -> None:
    import uvicorn  # noqa: PLC0415 - only a service needs a server

    from kubetriage.telemetry.logging import configure_logging  # noqa: PLC0415 - see above
    from rag_ingest.service import create_app  # noqa: PLC0415 - see above

    configure_logging(SERVICE, settings.log_level, json=settings.log_json)
    uvicorn.run(
        create_app(settings, store),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main(prog_name="rag_ingest")
