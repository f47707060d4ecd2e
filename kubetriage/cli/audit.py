"""``kubetriage audit``: the gateway's audit log, checked and taken out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TextIO

import click

from kubetriage.cli.conversation import fail
from kubetriage.cli.users import redis_option


@click.group("audit")
def command() -> None:
    """The gateway's audit log: who asked for what, each entry tied to the one before by its hash."""


@command.command("verify")
@click.argument("file", type=click.File("r", encoding="utf-8"), required=False)
@click.option("--head", metavar="SEQUENCE:HASH", help="one that was kept elsewhere; the log must contain it")
@redis_option
def verify(file: TextIO | None, head: str | None, redis_url: str) -> None:
    """Check FILE, an export, or without one the log in Redis. Exit 1 when the chain does not hold."""
    from gateway.audit.chain import ChainBrokenError, Head  # noqa: PLC0415 - only commands that need it pay
    from gateway.audit.chain import verify as verify_links  # noqa: PLC0415 - see above

    try:
        heads = [Head.read(head)] if head else []
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--head") from error
    try:
        if file is not None:
            found = verify_links(_read(file), *heads)
        else:
            found = _with_log(redis_url, lambda log: log.verify(*heads))
    except ChainBrokenError as error:
        fail(f"the audit log does not hold: {error}")
    older = f"; entries before {found.first} are not there" if found.first > 1 else ""
    click.echo(f"{found.count} entries hold{older}\nhead {found.head}")


@command.command("export")
@click.option("-o", "--output", type=click.File("w", encoding="utf-8"), default="-", help="default: standard output")
@redis_option
def export(output: TextIO, redis_url: str) -> None:
    """Write every entry as a line of JSON, oldest first."""

    async def write(log: Any) -> None:
        async for link in log.links():
            output.write(json.dumps(link) + "\n")

    _with_log(redis_url, write)


def _read(file: TextIO) -> Iterator[Any]:
    for line in file:
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                yield None  # said to be no entry, with its place


def _with_log(redis_url: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    from gateway.audit.log import open_log  # noqa: PLC0415 - see above
    from gateway.store import UNAVAILABLE  # noqa: PLC0415 - see above

    async def main() -> Any:
        async with open_log(redis_url) as log:
            return await work(log)

    try:
        return asyncio.run(main())
    except UNAVAILABLE as error:
        fail(f"Redis does not answer ({type(error).__name__}); --redis names another")
