"""What can be configured about alerts, incidents and notifications; part of the gateway's Settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from gateway.setting_types import PREFIX, SecretFiles, SomeNames

_MINIMUM_KEY = 32  # characters, of keys that others send us or that sign


class IncidentSettings(SecretFiles):
    """Durations are seconds. Without ``alert_key`` no alerts are taken and no work is done."""

    # Alertmanager's bearer key; a comma separates keys during a rotation.
    alert_key: SecretStr | None = None
    alert_key_file: Path | None = None
    alert_cluster_label: str = "cluster"
    incident_namespaces: SomeNames = None  # that diagnoses of alerts may read; None: all
    incident_clusters: SomeNames = None
    incident_seconds: int = Field(default=30 * 86400, ge=60)  # kept after the last news
    incident_limit: int = Field(default=500, ge=1, le=10_000)  # kept at most
    incident_queue: int = Field(default=200, ge=1, le=400)  # waiting for a diagnosis at most
    incident_workers: int = Field(default=2, ge=1, le=16)  # diagnoses at once, of this process

    slack_url: SecretStr | None = None
    slack_url_file: Path | None = None
    webhook_url: SecretStr | None = None
    webhook_url_file: Path | None = None
    webhook_key: SecretStr | None = None  # signs what the generic webhook gets
    webhook_key_file: Path | None = None
    notification_attempts: int = Field(default=10, ge=1, le=20)
    # Of one post. A gateway that ends lets it finish, and has 10 seconds for all of its end.
    notification_seconds: Annotated[float, Field(gt=0, le=6)] = 5.0

    @model_validator(mode="after")
    def _notifiable(self) -> Self:
        for name in ("slack_url", "webhook_url"):
            url: SecretStr | None = getattr(self, name)
            if url is not None and not _is_url(url.get_secret_value()):
                raise ValueError(f"{PREFIX}{name.upper()} (or _FILE) must be an http or https URL")
        if any(len(key) < _MINIMUM_KEY for key in self.alert_keys):
            raise ValueError(
                f"{PREFIX}ALERT_KEY (or _FILE) must have at least {_MINIMUM_KEY} characters; "
                "`openssl rand -base64 48` makes one"
            )
        key = self.webhook_key.get_secret_value() if self.webhook_key else ""
        if self.webhook_url is not None and len(key) < _MINIMUM_KEY:
            raise ValueError(
                f"{PREFIX}WEBHOOK_KEY (or _FILE) must hold the key that signs what the webhook gets, "
                f"at least {_MINIMUM_KEY} characters"
            )
        return self

    @property
    def alert_keys(self) -> tuple[str, ...]:
        """Keys that Alertmanager may send."""
        text = self.alert_key.get_secret_value() if self.alert_key else ""
        return tuple(key.strip() for key in text.split(",") if key.strip())


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
