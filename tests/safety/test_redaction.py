"""Secrets go, everything that a diagnosis needs stays."""

from __future__ import annotations

import time

import pytest

from kubetriage.safety.redaction import Redactor, redact, redact_object

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc123DEF456ghi", "abc123DEF456ghi"),
        ("authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        (f"got {JWT} from", JWT),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEow and cut", "MIIEow"),
        ("id AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
        ("clone with ghp_" + "a1" * 18, "a1a1a1"),
        ("key AIza" + "b" * 35, "bbbbb"),
        ("OPENAI sk-proj-" + "c3" * 15, "c3c3c3"),
        ("post xoxb-1234567890-abcdef", "1234567890-abcdef"),
        ("dial postgres://app:p4ss.w0rd@db:5432/x failed", "p4ss.w0rd"),
        ("redis://:p4ss.w0rd@cache:6379", "p4ss.w0rd"),
        ("DB_PASSWORD=hunter2", "hunter2"),
        ('{"api_key": "hunter2", "a": 1}', "hunter2"),
        ('{"password": "two words"}', "two words"),
        ("password: hunter2", "hunter2"),
        ("AccountKey=abc/def+123==;EndpointSuffix=x", "abc/def+123=="),
        ('env MYSQL_ROOT_PASSWORD="s3cr3t" set', "s3cr3t"),
    ],
)
def test_secrets_are_replaced(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert "[redacted" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        'MountVolume.SetUp failed for volume "v" : secret "db-credentials" not found',
        "couldn't find key password in Secret shop/db",
        "Error: secret not found",
        "invalid token: expired at noon",
        "failed: basic authentication is required",
        "dial tcp 10.0.0.7:5432: connect: connection refused",
        "GET http://cart:8080/items 503",
        "FATAL: password authentication failed for user app",
        "pulling image registry.example/app@sha256:" + "ab" * 32,
    ],
)
def test_what_a_diagnosis_needs_stays(text: str) -> None:
    assert redact(text) == text


def test_redacting_twice_changes_nothing_more() -> None:
    once = redact(f"password=hunter2 {JWT} redis://:p4ss@h")
    assert redact(once) == once


def test_objects_lose_values_but_no_names_or_references() -> None:
    item = {
        "kind": "Pod",
        "metadata": {
            "name": "web",
            "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "kept"},
        },
        "spec": {
            "containers": [
                {
                    "args": ["--db-password", "hunter2", "--port", "8080", "--token=abcdef"],
                    "env": [
                        {"name": "TOKEN", "value": "hunter2"},
                        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "db-secret", "key": "password"}}},
                    ],
                }
            ],
            "volumes": [{"name": "v", "secret": {"secretName": "db-secret"}}],
        },
    }
    clean = redact_object(item)
    (container,) = clean["spec"]["containers"]
    assert container["args"] == ["--db-password", "[redacted value]", "--port", "8080", "--token=[redacted value]"]
    assert [env["name"] for env in container["env"]] == ["TOKEN", "KEY"]
    assert "hunter2" not in str(clean)
    assert container["env"][1] == item["spec"]["containers"][0]["env"][1]
    assert clean["spec"]["volumes"] == item["spec"]["volumes"]
    assert clean["metadata"] == {"name": "web", "annotations": {"note": "kept"}}
    assert item["metadata"]["managedFields"] == [{}], "the original is not touched"


PIECES = [
    "a",
    "token",
    "-eyJ",
    "://a:",
    "password",
    "bearer ",
    "Basic ",
    "-----BEGIN ",
    "secret ",
    '"',
    "://",
    "A",
    "a=",
]
PIECES += ["name: key ", "--key ", "<key>", "key:\n  ", "mysql ", "data:\n a: b\n", '"data":{', "login x ", "1:", "a@"]


@pytest.mark.parametrize("piece", PIECES)
def test_one_endless_line_takes_no_endless_time(piece: str) -> None:
    text = piece * (262_144 // len(piece))
    begin = time.process_time()
    Redactor(emails=True, addresses=True).text(text)
    assert time.process_time() - begin < 5
