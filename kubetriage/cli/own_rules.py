"""Where a team's own rules come from: YAML files (``--rules``) and the entry points ``kubetriage.rules``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubetriage.cli.over_time import fail
from kubetriage.diagnosis.causes import CAUSES, Cause
from kubetriage.diagnosis.rule import Rule
from kubetriage.state.resources import RESOURCES

if TYPE_CHECKING:
    from kubetriage.diagnosis.own_rules import Check

GROUP = "kubetriage.rules"
VARIABLE = "KUBETRIAGE_RULES"
_KNOWN = {resource.plural for resource in RESOURCES} - {"secrets"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRules:
    """``installed``: entry point to rule. ``checks``: those of the files."""

    installed: tuple[tuple[str, Rule], ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """For the engine."""
        return (*(rule for _, rule in self.installed), *(check.rule() for check in self.checks))

    @property
    def causes(self) -> dict[str, Cause]:
        return {cause.code: cause for rule in self.rules for cause in rule.causes}


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
    """Installed ones and those of ``path``. A rule that cannot be used is one line and exit 2."""
    found = OwnRules(
        installed=tuple(_installed(entry_points(group=GROUP))), checks=() if path is None else _checks(path)
    )
    seen: dict[str, str] = {}
    sources = [*found.installed, *((check.source, check.rule()) for check in found.checks)]
    for source, cause in [(source, cause) for source, rule in sources for cause in rule.causes]:
        if cause.code in CAUSES:
            fail(f"{source}: cause {cause.code} is a built-in one")
        if cause.code in seen:
            fail(f"{source}: cause {cause.code} is there already, in {seen[cause.code]}")
        seen[cause.code] = source
    return found


def _checks(path: Path) -> tuple[Check, ...]:
    from kubetriage.diagnosis.documents import DocumentError  # noqa: PLC0415 - brings YAML, which few runs need
    from kubetriage.diagnosis.own_rules import parse_checks  # noqa: PLC0415 - see above

    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
    found: list[Check] = []
    for file in files:
        try:
            found += parse_checks(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError, DocumentError) as error:
            fail(f"rules {file}: {error.strerror if isinstance(error, OSError) else error}")
    if not found:
        fail(f"rules {path}: there is no rule in it")
    return tuple(found)


def _installed(entries: Iterable[EntryPoint]) -> Iterator[tuple[str, Rule]]:
    """An entry point names a Rule (a function under ``@rule``) or several."""
    for entry in sorted(entries, key=lambda entry: entry.name):
        source = f"entry point {entry.name} ({entry.value})"
        try:
            loaded = entry.load()
        except Exception as error:  # noqa: BLE001 - it is not our code, and we say what it raised
            fail(f"{source} cannot be loaded: {type(error).__name__}: {error}")
        for rule in loaded if isinstance(loaded, tuple | list) else (loaded,):
            if not isinstance(rule, Rule):
                fail(f"{source} is no rule: decorate the function with kubetriage.diagnosis.rule.rule")
            unknown = sorted(rule.reads - _KNOWN)
            if unknown:
                fail(f"{source} reads {', '.join(unknown)}, which is not read")
            yield source, rule
