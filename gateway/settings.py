"""Everything that can be configured: ``KUBETRIAGE_GATEWAY_<FIELD>`` in the environment.

A secret is given by value or, as ``<FIELD>_FILE``, as the path of a file that holds it. Messages
name the variable and what it needs, never its value.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from gateway.audit.log import MOST_ENTRIES
from gateway.incidents.settings import IncidentSettings
from gateway.setting_types import PREFIX, Names, Rate, Seconds
from gateway.work.settings import WorkSettings
from kubetriage.redis_connection import RedisUrl
from kubetriage.safety.internal_tokens import MINIMUM_KEY_LENGTH


class Settings(IncidentSettings, WorkSettings):
    """The gateway's configuration. Durations are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    tier: int = Field(default=1, ge=1, le=3)
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    redis_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    agent_url: str = "http://127.0.0.1:8081"

    # Shared with the agent. The first signs; a comma separates keys during a rotation.
    internal_key: SecretStr | None = None
    internal_key_file: Path | None = None
    # PEM private keys (EC P-256 or RSA); the first signs, all verify. Tier 1 makes its own.
    signing_keys: SecretStr | None = None
    signing_keys_file: Path | None = None

    issuer: str = "https://kubetriage.invalid"
    audience: str = "kubetriage"
    # RFC 9700 and our threat model: a stolen access token is worth a quarter of an hour at most.
    access_token_seconds: int = Field(default=900, ge=10, le=900)
    refresh_token_seconds: int = Field(default=14 * 86400, ge=60, le=90 * 86400)
    session_seconds: int = Field(default=30 * 86400, ge=60)

    limit_user: Rate = "120/minute"
    limit_ask: Rate = "40/minute"  # ask and diagnose: each may cost model tokens or a cluster read
    limit_address: Rate = "600/minute"
    login_failures_account: Rate = "10/5minute"
    login_failures_address: Rate = "50/5minute"

    # Of one Redis call on the way of a request. A local Redis answers in under 1 ms; whoever is
    # slower than this is treated as down for ``redis_retry_seconds``.
    redis_timeout_seconds: Seconds = 0.25
    redis_retry_seconds: Seconds = 1.0
    agent_connect_seconds: Seconds = 2.0
    agent_read_seconds: Seconds = 120.0  # silence of the agent, not the length of an answer
    audit_entries: int = Field(default=100_000, ge=1000, le=MOST_ENTRIES)  # kept, about 600 bytes each
    body_bytes: int = Field(default=64 * 1024, ge=1024, le=16 * 1024 * 1024)
    # Chat front ends send the whole conversation each time: an answer has some 3 KB.
    chat_body_bytes: int = Field(default=512 * 1024, ge=1024, le=16 * 1024 * 1024)
    body_seconds: Seconds = 10.0  # a whole request body; slower is an attack or a broken client
    answer_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    drain_delay_seconds: float = Field(default=0.5, ge=0, le=120)
    drain_seconds: Seconds = 25.0

    allowed_hosts: Names = ()
    trusted_proxies: Names = ()
    cors_origins: Names = ()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_json: bool = True

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.internal_keys or any(len(key) < MINIMUM_KEY_LENGTH for key in self.internal_keys):
            raise ValueError(
                f"{PREFIX}INTERNAL_KEY (or _FILE) must hold the key shared with the agent, "
                f"at least {MINIMUM_KEY_LENGTH} characters; `openssl rand -base64 48` makes one"
            )
        if self.tier > 1 and self.signing_keys is None:
            raise ValueError(
                f"{PREFIX}SIGNING_KEYS (or _FILE) must hold a PEM private key from tier 2 on; "
                "`openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt` makes one"
            )
        return self

    @property
    def internal_keys(self) -> tuple[str, ...]:
        """Keys of the internal tokens; the first signs."""
        text = self.internal_key.get_secret_value() if self.internal_key else ""
        return tuple(key.strip() for key in text.split(",") if key.strip())

    @property
    def hosts(self) -> frozenset[str]:
        """Host names we answer to, lower case; ``*`` alone means any."""
        if self.allowed_hosts:
            return frozenset(name.lower() for name in self.allowed_hosts)
        return frozenset({"localhost", "127.0.0.1", "[::1]", self.host.lower(), socket.gethostname().lower()})
