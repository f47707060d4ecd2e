"""``kubetriage rules``: a team's own rules, listed and tested."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kubetriage.cli.own_rules import load_own_rules, rules_option
from kubetriage.diagnosis.causes import CAUSES
from kubetriage.diagnosis.rules import all_rules


@click.group("rules")
def command() -> None:
    """A team's own rules: YAML checks and installed Python rules. docs/own-rules.md says how to write one."""


@command.command("list")
@rules_option
def list_rules(rules: Path | None) -> None:
    """How many rules are built in, and which are your own."""
    own = load_own_rules(rules)
    click.echo(f"{len(all_rules())} built-in rules for {len(CAUSES)} causes (kubetriage explain lists them)")
    click.echo(f"{len(own.rules)} own")
    for name, rule in own.installed:
        codes = ", ".join(cause.code for cause in rule.causes) or "names no cause"
        click.echo(f"{rule.name:34} {codes}  [{name}]")
    for check in own.checks:
        click.echo(f"{check.cause.code:34} {check.cause.title}  [{check.source}]")


@command.command("test")
@rules_option
def test_rules(rules: Path | None) -> None:
    """Run the tests that the YAML checks bring along. Exit 1 when one fails."""
    own = load_own_rules(rules)
    if not own.checks:
        raise click.UsageError("no checks: give --rules PATH")
    from kubetriage.diagnosis.own_rules import try_check  # noqa: PLC0415 - brings YAML

    trials = [trial for check in own.checks for trial in try_check(check)]
    for trial in trials:
        word = click.style("FAIL", fg="red") if trial.problem else click.style("pass", fg="green")
        click.echo(f"{word}  {trial.check}: {trial.example}" + (f": {trial.problem}" if trial.problem else ""))
    failed = sum(bool(trial.problem) for trial in trials)
    click.echo(f"{len(trials) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
