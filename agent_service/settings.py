"""Everything that can be configured: ``KUBETRIAGE_AGENT_<FIELD>`` in the environment.

``MODEL``, ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` are read under their usual names too. A secret is
given by value or, as ``<FIELD>_FILE``, as the path of a file that holds it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agent_service.models import choose_model
from kubetriage.redis_connection import RedisUrl
from kubetriage.safety.internal_tokens import MINIMUM_KEY_LENGTH
from kubetriage.safety.redaction import Redactor
from kubetriage.team_files import OwnRules, load_mutes, load_own_rules

if TYPE_CHECKING:
    from kubetriage.cluster.reader import MetricsSource
    from kubetriage.diagnosis.mutes import Mute

PREFIX = "KUBETRIAGE_AGENT_"


def _names(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _usual(name: str) -> AliasChoices:
    return AliasChoices(f"{PREFIX}{name}", name)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


def _secret(path: Path, variable: str) -> SecretStr:
    try:
        return SecretStr(path.read_text().strip())
    except OSError as error:
        raise ValueError(f"{variable} cannot be read: {error.strerror or 'unreadable'}") from error


class Settings(BaseSettings):
    """The agent's configuration. Durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8081, ge=0, le=65535)
    redis_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    # None: the bundled runbooks, searched in this process.
    chroma_url: str | None = None

    # Shared with the gateway; a comma separates keys during a rotation.
    internal_key: SecretStr | None = None
    internal_key_file: Path | None = None

    # Which clusters: kubeconfig contexts (the first is the default), or one bundle, or, with neither,
    # the cluster that this pod runs in, else the kubeconfig's current context.
    contexts: Names = ()
    kubeconfig: str | None = None
    bundle: Path | None = None

    # Metrics and alerts of that one cluster; the URL may hold user and password, the file a bearer token.
    prometheus_url: SecretStr | None = None
    prometheus_token_file: Path | None = None

    model: str | None = Field(default=None, validation_alias=_usual("MODEL"))
    openai_api_key: SecretStr | None = Field(default=None, validation_alias=_usual("OPENAI_API_KEY"))
    openai_api_key_file: Path | None = None
    openai_base_url: str | None = Field(default=None, validation_alias=_usual("OPENAI_BASE_URL"))
    model_seconds: Seconds = 60.0
    model_output_tokens: int = Field(default=2000, ge=64, le=100_000)

    run_seconds: Seconds = 110.0  # a whole question; below the gateway's patience with a silent agent
    tool_seconds: Seconds = 20.0
    max_steps: int = Field(default=12, ge=2, le=100)
    concurrent_runs: int = Field(default=64, ge=1, le=10_000)
    session_seconds: int = Field(default=30 * 86400, ge=60)
    redis_timeout_seconds: Seconds = 2.0
    drain_seconds: Seconds = 25.0

    # Secrets are always hidden, from the model, the store and the answer; these where somebody wants it, too.
    redact: Annotated[tuple[Literal["emails", "addresses"], ...], NoDecode, BeforeValidator(_names)] = ()

    # A team's own rules (a YAML file or a folder of them) and its mutes; a wrong file ends the start.
    rules: Path | None = None
    mutes: Path | None = None
    # An incident is called new for this long, and a resolved one is still told.
    baseline_seconds: float = Field(default=3600.0, ge=60, le=7 * 86400)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_json: bool = True

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in ("internal_key", "openai_api_key"):
            path: Path | None = getattr(self, f"{name}_file")
            if path is not None:
                # Frozen for everybody else; this is still construction.
                object.__setattr__(self, name, _secret(path, f"{PREFIX}{name.upper()}_FILE"))
        if not self.internal_keys or any(len(key) < MINIMUM_KEY_LENGTH for key in self.internal_keys):
            raise ValueError(
                f"{PREFIX}INTERNAL_KEY (or _FILE) must hold the key shared with the gateway, "
                f"at least {MINIMUM_KEY_LENGTH} characters; `openssl rand -base64 48` makes one"
            )
        if self.bundle is not None and self.contexts:
            raise ValueError(f"{PREFIX}BUNDLE and {PREFIX}CONTEXTS exclude each other")
        if self.bundle is not None and not self.bundle.exists():
            raise ValueError(f"{PREFIX}BUNDLE names {self.bundle}, which does not exist")
        return self

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _ = self.team_mutes  # a wrong file ends the start
        if self.metrics_source is not None and len(self.contexts) > 1:
            raise ValueError(f"{PREFIX}PROMETHEUS_URL is of one cluster, and {PREFIX}CONTEXTS names several")
        return self

    @cached_property
    def metrics_source(self) -> MetricsSource | None:
        """Raises ValueError when ``prometheus_url`` cannot be meant."""
        if self.prometheus_url is None:
            return None
        from kubetriage.cluster.prometheus import (  # noqa: PLC0415 - few need it
            PrometheusSource,
            PrometheusUrlError,
            parse_endpoint,
        )

        try:
            return PrometheusSource(parse_endpoint(self.prometheus_url.get_secret_value(), self.prometheus_token_file))
        except PrometheusUrlError as error:
            raise ValueError(f"{PREFIX}PROMETHEUS_URL: {error}") from None

    @cached_property
    def team_rules(self) -> OwnRules:
        """Installed ones and those of ``rules``. Raises TeamFileError."""
        return load_own_rules(self.rules)

    @cached_property
    def team_mutes(self) -> tuple[Mute, ...]:
        """Raises TeamFileError."""
        rules = self.team_rules
        if self.mutes is None:
            return ()
        return load_mutes(self.mutes, rules.causes, today=datetime.now(UTC).date())

    @cached_property
    def redactor(self) -> Redactor:
        return Redactor(emails="emails" in self.redact, addresses="addresses" in self.redact)

    @property
    def internal_keys(self) -> tuple[str, ...]:
        """Keys of the internal tokens."""
        text = self.internal_key.get_secret_value() if self.internal_key else ""
        return tuple(key.strip() for key in text.split(",") if key.strip())

    @property
    def model_name(self) -> str:
        return choose_model(self.model, self.openai_api_key, self.openai_base_url)
