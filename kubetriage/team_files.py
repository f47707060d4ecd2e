"""What a team adds to a diagnosis: rules of its own (YAML files, entry points) and mutes.

Read by the CLI and by the agent alike, so that both say the same of one cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from kubetriage.diagnosis.causes import CAUSES, Cause
from kubetriage.diagnosis.rule import Rule
from kubetriage.state.resources import RESOURCES

if TYPE_CHECKING:
    from kubetriage.diagnosis.mutes import Mute
    from kubetriage.diagnosis.own_rules import Check

GROUP = "kubetriage.rules"
_KNOWN = {resource.plural for resource in RESOURCES} - {"secrets"}


class TeamFileError(ValueError):
    """A rule or a mute that cannot be used, for people, with its file and line."""


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


def load_own_rules(path: Path | None) -> OwnRules:
    """Installed ones and those of ``path``, a YAML file or a folder of them. Raises TeamFileError."""
    found = OwnRules(
        installed=tuple(_installed(entry_points(group=GROUP))), checks=() if path is None else _checks(path)
    )
    seen: dict[str, str] = {}
    sources = [*found.installed, *((check.source, check.rule()) for check in found.checks)]
    for source, cause in [(source, cause) for source, rule in sources for cause in rule.causes]:
        if cause.code in CAUSES:
            raise TeamFileError(f"{source}: cause {cause.code} is a built-in one")
        if cause.code in seen:
            raise TeamFileError(f"{source}: cause {cause.code} is there already, in {seen[cause.code]}")
        seen[cause.code] = source
    return found


def load_mutes(path: Path, own_causes: Collection[str], *, today: date) -> tuple[Mute, ...]:
    """The mutes of a file. Raises TeamFileError."""
    from kubetriage.diagnosis.documents import DocumentError  # noqa: PLC0415 - brings YAML, which few runs need
    from kubetriage.diagnosis.mutes import parse_mutes  # noqa: PLC0415 - see above

    try:
        return parse_mutes(path.read_text(encoding="utf-8"), today=today, own_causes=own_causes)
    except (OSError, UnicodeDecodeError, DocumentError) as error:
        raise TeamFileError(f"mutes {path}: {_reason(error)}") from error


def _checks(path: Path) -> tuple[Check, ...]:
    from kubetriage.diagnosis.documents import DocumentError  # noqa: PLC0415 - see load_mutes
    from kubetriage.diagnosis.own_rules import parse_checks  # noqa: PLC0415 - see load_mutes

    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
    found: list[Check] = []
    for file in files:
        try:
            found += parse_checks(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError, DocumentError) as error:
            raise TeamFileError(f"rules {file}: {_reason(error)}") from error
    if not found:
        raise TeamFileError(f"rules {path}: there is no rule in it")
    return tuple(found)


def _reason(error: Exception) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)


def _installed(entries: Iterable[EntryPoint]) -> Iterator[tuple[str, Rule]]:
    """An entry point names a Rule (a function under ``@rule``) or several."""
    for entry in sorted(entries, key=lambda entry: entry.name):
        source = f"entry point {entry.name} ({entry.value})"
        try:
            loaded = entry.load()
        except Exception as error:  # it is not our code, and we say what it raised
            raise TeamFileError(f"{source} cannot be loaded: {type(error).__name__}: {error}") from error
        for rule in loaded if isinstance(loaded, tuple | list) else (loaded,):
            if not isinstance(rule, Rule):
                raise TeamFileError(f"{source} is no rule: decorate the function with kubetriage.diagnosis.rule.rule")
            unknown = sorted(rule.reads - _KNOWN)
            if unknown:
                raise TeamFileError(f"{source} reads {', '.join(unknown)}, which is not read")
            yield source, rule
