"""``kubetriage explain``."""

from __future__ import annotations

import difflib
import sys

import click

from kubetriage.diagnosis import CAUSES


@click.command("explain")
@click.argument("cause", required=False)
def command(cause: str | None) -> None:
    """What CAUSE means, how it shows, and what to do. Without CAUSE: the list of all."""
    if cause is None:
        for entry in CAUSES.values():
            click.echo(f"{entry.code:34} {entry.title}")
        return
    found = CAUSES.get(cause)
    if found is None:
        near = difflib.get_close_matches(cause, CAUSES, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else "; 'kubetriage explain' lists them"
        click.echo(f"kubetriage: no cause {cause!r}{hint}", err=True)
        sys.exit(2)
    click.echo(f"{found.title}  ({found.code}, {found.domain})\n")
    for label, text in (("Means", found.meaning), ("Shows as", found.evidence), ("Fix", found.fix)):
        click.echo(f"{label + ':':10}{text}")
