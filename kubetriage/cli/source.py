"""Which cluster a command reads: ``--bundle``, ``--context``, or the current kubeconfig context."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from kubetriage.cluster.errors import ClusterError
from kubetriage.cluster.reader import ClusterReader, MetricsSource

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


def prometheus_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --prometheus and --prometheus-token-file."""
    command = click.option(
        "--prometheus-token-file",
        metavar="PATH",
        envvar="KUBETRIAGE_PROMETHEUS_TOKEN_FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="a bearer token for it (or KUBETRIAGE_PROMETHEUS_TOKEN_FILE)",
    )(command)
    return click.option(
        "--prometheus",
        metavar="URL",
        envvar="KUBETRIAGE_PROMETHEUS_URL",
        help="take metrics and alerts of this Prometheus into account (or KUBETRIAGE_PROMETHEUS_URL)",
    )(command)


def open_metrics(url: str | None, token_file: Path | None) -> MetricsSource | None:
    """The Prometheus that was named; None when none was."""
    if not url:
        return None
    from kubetriage.cluster.prometheus import (  # noqa: PLC0415 - brings aiohttp
        PrometheusSource,
        PrometheusUrlError,
        parse_endpoint,
    )

    try:
        return PrometheusSource(parse_endpoint(url, token_file))
    except PrometheusUrlError as error:
        raise click.UsageError(str(error)) from None


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
