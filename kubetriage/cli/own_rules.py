"""``--rules``: a team's own rules for a command. One that cannot be used is one line and exit 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kubetriage import team_files
from kubetriage.cli.over_time import fail
from kubetriage.team_files import OwnRules, TeamFileError

VARIABLE = "KUBETRIAGE_RULES"


def rules_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --rules."""
    return click.option(
        "--rules",
        metavar="PATH",
        envvar=VARIABLE,
        type=click.Path(exists=True, path_type=Path),
        help=f"a team's own checks: a YAML file or a folder of them (or {VARIABLE})",
    )(command)


def load_own_rules(path: Path | None) -> OwnRules:
    """Installed ones and those of ``path``."""
    try:
        return team_files.load_own_rules(path)
    except TeamFileError as error:
        fail(str(error))
