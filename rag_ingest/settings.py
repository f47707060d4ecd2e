"""Everything that can be configured: ``KUBETRIAGE_INGEST_<FIELD>`` in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kubetriage.retrieval.chroma_store import BUNDLED

PREFIX = "KUBETRIAGE_INGEST_"


def _paths(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


# It is part of ids and paths.
SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Settings(BaseSettings):
    """The configuration of an ingest. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    chroma_url: str = "http://127.0.0.1:8000"
    # Empty: the bundled runbooks.
    paths: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_paths)] = ()
    source: SourceName = BUNDLED

    # With watch the process stays, reads the folders again and serves health and metrics.
    watch: bool = False
    interval_seconds: float = Field(default=60.0, ge=1, le=86_400)
    host: str = "127.0.0.1"
    port: int = Field(default=8082, ge=0, le=65535)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_json: bool = True
