"""What several groups of settings are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from limits import parse
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode

PREFIX = "KUBETRIAGE_GATEWAY_"


def _rate(value: str) -> str:
    try:
        parse(value)
    except ValueError as error:
        raise ValueError("a rate reads like 120/minute") from error
    return value


def _names(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Rate = Annotated[str, AfterValidator(_rate)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
SomeNames = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_names)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class SecretFiles(BaseSettings):
    """Every field ``<name>_file`` is the path of a file with the secret ``<name>``."""

    @model_validator(mode="after")
    def _read_files(self) -> Self:
        for field in type(self).model_fields:
            path: Path | None = getattr(self, field) if field.endswith("_file") else None
            if path is not None:
                try:
                    text = path.read_text().strip()
                except OSError as error:
                    reason = error.strerror or "unreadable"
                    raise ValueError(f"{PREFIX}{field.upper()} cannot be read: {reason}") from error
                # Frozen for everybody else; this is still construction.
                object.__setattr__(self, field.removesuffix("_file"), SecretStr(text))
        return self
