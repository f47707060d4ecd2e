"""The files of ``kubetriage diagnose`` over time: the baseline and the mutes. Wrong ones are one line and exit 2."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from pydantic import ValidationError

from kubetriage.contracts.diagnosis import Diagnosis
from kubetriage.team_files import TeamFileError, load_mutes

if TYPE_CHECKING:
    from kubetriage.diagnosis.mutes import Mute

DEFAULT_MUTES = Path(".kubetriage-mutes.yaml")
WRONG_FILE = 2  # exit code


def read_baseline(path: Path, cluster: str | None) -> Diagnosis | None:
    """The earlier diagnosis; None when there is none yet."""
    try:
        before = Diagnosis.model_validate_json(path.read_bytes(), extra="ignore")
    except FileNotFoundError:
        return None
    except OSError as error:
        fail(f"baseline {path} cannot be read: {error.strerror}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        fail(f"baseline {path} is not what -o json writes: {f'{where}: ' if where else ''}{first['msg']}")
    if cluster and before.scope.cluster and before.scope.cluster != cluster:
        fail(f"baseline {path} is of cluster {before.scope.cluster}, not of {cluster}")
    return before


def write_baseline(path: Path, diagnosis: Diagnosis) -> None:
    """Whole or not at all: the old file stays until the new one is on the disk."""
    target = path.resolve()
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(diagnosis.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        fail(f"baseline {path} cannot be written: {error.strerror}")


def read_mutes(path: Path | None, own_causes: Collection[str]) -> tuple[Mute, ...]:
    """The mutes of this file, else of the default one when it is there."""
    if path is None and not DEFAULT_MUTES.is_file():
        return ()
    try:
        return load_mutes(path or DEFAULT_MUTES, own_causes, today=datetime.now(UTC).date())
    except TeamFileError as error:
        fail(str(error))


def mute(diagnosis: Diagnosis, mutes: tuple[Mute, ...]) -> Diagnosis:
    """Without what is muted; mutes that have ended are a warning each."""
    if not mutes:
        return diagnosis
    from kubetriage.diagnosis.mutes import apply_mutes  # noqa: PLC0415 - brings YAML, which few runs need

    quieter, warnings = apply_mutes(diagnosis, mutes, today=datetime.now(UTC).date())
    for warning in warnings:
        click.echo(f"kubetriage: {warning}", err=True)
    return quieter


def fail(message: str) -> NoReturn:
    """One line, and exit code 2."""
    click.echo(f"kubetriage: {' '.join(message.split())}", err=True)
    sys.exit(WRONG_FILE)
