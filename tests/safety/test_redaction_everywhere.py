"""A secret in a log or in a question reaches neither the model, the store nor the answer."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agent_service.settings import Settings
from kubetriage.safety.redaction import Redactor, redact, redact_object
from kubetriage.safety.secret_names import is_secret_name
from tests.processes import KEY


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "clientSecret",
        "--api-key",
        "PGPASSWORD",
        "x-api-key",
        "client-key-data",
        "authToken",
        "signing_keys",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["secretName", "max_tokens", "token_type", "topologyKey", "primary_key", "passwordFile", "compass", "keyboard", ""],
)
def test_names_of_what_is_none(name: str) -> None:
    assert not is_secret_name(name)


def test_emails_and_addresses_are_hidden_only_on_request() -> None:
    text = "mail ada@example.com from 10.0.3.17:5432, 2001:db8::8a2e:370:7334 and ::1 at 12:40:05, app 1.2.3"
    assert redact(text) == text
    hidden = Redactor(emails=True, addresses=True).text(text)
    assert hidden == (
        "mail [redacted email] from [redacted address]:5432, [redacted address] and [redacted address] "
        "at 12:40:05, app 1.2.3"
    )


def test_what_else_to_hide_is_a_setting_that_knows_its_values() -> None:
    settings = Settings(internal_key=KEY, redact="emails, addresses")
    assert settings.redactor == Redactor(emails=True, addresses=True)
    assert Settings(internal_key=KEY).redactor == Redactor()
    with pytest.raises(ValidationError, match="emails"):
        Settings(internal_key=KEY, redact="names")


def test_objects_lose_what_their_fields_names_give_away() -> None:
    clean = redact_object(
        {
            "kind": "Database",
            "spec": {"adminPassword": "hunter2", "passwordSecretRef": {"name": "db"}, "tokenTtlSeconds": "3600"},
            "template": {"kind": "Secret", "data": {"a": "aHVudGVyMg=="}},
        }
    )
    assert clean["spec"] == {
        "adminPassword": "[redacted value]",
        "passwordSecretRef": {"name": "db"},
        "tokenTtlSeconds": "3600",
    }
    assert clean["template"] == {"kind": "Secret"}
