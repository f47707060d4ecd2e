"""``kubetriage explain``."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import click

from kubetriage.cli.own_rules import load_own_rules, rules_option
from kubetriage.diagnosis import CAUSES


@click.command("explain")
@click.argument("cause", required=False)
@rules_option
def command(cause: str | None, rules: Path | None) -> None:
    """What CAUSE means, how it shows, and what to do. Without CAUSE: the list of all."""
    own = load_own_rules(rules).causes
    causes = {**CAUSES, **own}
    if cause is None:
        for entry in causes.values():
            click.echo(f"{entry.code:34} {entry.title}{' (own)' if entry.code in own else ''}")
        return
    found = causes.get(cause)
    if found is None:
        near = difflib.get_close_matches(cause, causes, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else "; 'kubetriage explain' lists them"
        click.echo(f"kubetriage: no cause {cause!r}{hint}", err=True)
        sys.exit(2)
    click.echo(f"{found.title}  ({found.code}, {found.domain})\n")
    lines = [("Means", found.meaning), ("Shows as", found.evidence), ("Fix", found.fix)]
    if cause in own:
        lines.append(("Runbook", found.runbook))
    for label, text in lines:
        if text:
            click.echo(f"{label + ':':10}{text}")
