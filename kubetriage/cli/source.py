"""Which cluster a command reads: ``--bundle``, ``--context``, or the current kubeconfig context."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from kubetriage.cluster.errors import ClusterError
from kubetriage.cluster.reader import ClusterReader

Value = TypeVar("Value")
UNREADABLE = 3  # exit code


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --context and --bundle."""
    command = click.option("--context", metavar="NAME", help="kubeconfig context (default: the current one)")(command)
    return click.option(
        "--bundle",
        metavar="PATH",
        type=click.Path(exists=True, path_type=Path),
        help="read a captured cluster: a folder or archive (troubleshoot.sh, cluster-info dump, must-gather)",
    )(command)


@contextlib.asynccontextmanager
async def open_reader(context: str | None, bundle: Path | None) -> AsyncIterator[ClusterReader]:
    """The reader, closed afterwards."""
    from kubetriage.cluster import connect, open_bundle  # noqa: PLC0415 - only commands that read pay

    if bundle is not None and context is not None:
        raise click.UsageError("--bundle and --context exclude each other")
    reader: ClusterReader = open_bundle(bundle) if bundle is not None else await connect(context)
    try:
        yield reader
    finally:
        await reader.aclose()


def run(work: Coroutine[Any, Any, Value]) -> Value:
    """Run a command's coroutine; what cannot be read is one line and exit code 3."""
    import asyncio  # noqa: PLC0415 - see main

    try:
        return asyncio.run(work)
    except ClusterError as error:
        click.echo(f"kubetriage: {error}", err=True)
        sys.exit(UNREADABLE)


def say(line: str) -> None:
    """Progress, on a terminal only, and never mixed with the output."""
    if sys.stderr.isatty():
        click.echo(f"  {line}…", err=True)
