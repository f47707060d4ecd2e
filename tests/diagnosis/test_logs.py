"""Which line of a log says why, whom it names, and that the word list misses none of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetriage.diagnosis.logs import Symptom, fatal_hit, find_hits

LINES = [
    ("exec /app: exec format error", Symptom.EXEC_FORMAT),
    ("java.sql.SQLException: Access denied for user 'shop'@'10.0.0.7' (using password: YES)", Symptom.DB_CREDENTIALS),
    ('FATAL: password authentication failed for user "shop"', Symptom.DB_CREDENTIALS),
    ("WRONGPASS invalid username-password pair", Symptom.DB_CREDENTIALS),
    ("SQLNonTransientConnectionException: Too many connections", Symptom.DB_CONNECTIONS),
    ("FATAL: sorry, too many clients already", Symptom.DB_CONNECTIONS),
    ("The MySQL server is running with the --read-only option so it cannot execute this", Symptom.DB_READ_ONLY),
    ("READONLY You can't write against a read only replica.", Symptom.DB_READ_ONLY),
    ("Web server failed to start. Port 8080 was already in use.", Symptom.PORT_IN_USE),
    ("Error: listen EADDRINUSE: address already in use :::8080", Symptom.PORT_IN_USE),
    ("java.net.UnknownHostException: payments", Symptom.DNS),
    ("Error: getaddrinfo ENOTFOUND payments", Symptom.DNS),
    ("x509: certificate has expired or is not yet valid", Symptom.CERTIFICATE_EXPIRED),
    ("tls: failed to verify certificate: x509: certificate signed by unknown authority", Symptom.CERTIFICATE_UNTRUSTED),
    ('pods is forbidden: User "system:serviceaccount:shop:bot" cannot list resource "pods"', Symptom.FORBIDDEN),
    ("write /data/log: no space left on device", Symptom.DISK_FULL),
    ("FATAL ERROR: Reached heap limit - JavaScript heap out of memory", Symptom.OUT_OF_MEMORY),
    ("open /data/db.lock: permission denied", Symptom.PERMISSION),
    ("KeyError: 'DATABASE_URL'", Symptom.SETTING_MISSING),
    ("Error: Cannot find module 'express'", Symptom.FILE_MISSING),
    ("CommunicationsException: Communications link failure", Symptom.DB_UNREACHABLE),
    ("dial tcp 10.1.2.3:8080: connect: connection refused", Symptom.REFUSED),
    ("context deadline exceeded", Symptom.TIMEOUT),
    ("panic: runtime error: index out of range", Symptom.CRASH),
]


@pytest.mark.parametrize(("line", "symptom"), LINES, ids=[line[:40] for line, _ in LINES])
def test_a_line_is_recognised(line: str, symptom: Symptom) -> None:
    assert [hit.symptom for hit in find_hits(f"starting\n{line}\nbye")] == [symptom]


def test_the_first_cause_outweighs_the_wrapping_exception() -> None:
    text = (
        "ERROR Application run failed\n"
        "org.springframework.beans.BeanCreationException: cannot create entityManagerFactory\n"
        "\tat org.Bean.create(Bean.java:12)\n"
        "Caused by: java.sql.SQLException: Access denied for user 'shop'@'10.0.0.7'\n"
    )
    hit = fatal_hit(text)
    assert hit is not None
    assert hit.symptom is Symptom.DB_CREDENTIALS


def test_host_and_port_are_read_from_the_line() -> None:
    hit = fatal_hit('level=error err="calling payments.shop:8080: connection refused"')
    assert hit is not None
    assert (hit.host, hit.port) == ("payments.shop", 8080)


def test_an_information_line_in_json_that_mentions_an_error_is_no_hit() -> None:
    assert find_hits('{"level":"info","message":"0 errors so far, retrying is not required"}') == []


def test_repeated_lines_are_counted_once_per_host() -> None:
    text = "\n".join(f"2026-11-23T10:00:{n:02}Z dial cart:8080: connection refused" for n in range(30))
    (hit,) = find_hits(text)
    assert hit.count == 30
    assert hit.position == 1.0
    assert hit.time is not None


@given(st.text(max_size=2_000))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    for hit in find_hits(text):
        assert hit.count >= 1
    fatal_hit(text)
