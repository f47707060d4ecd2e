"""The audit log: its chain alone, and as two gateways on one Redis write it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.audit.chain import ChainBrokenError, Head, chained, verify
from gateway.audit.facts import LOGIN, account_of, facts_of_answer, facts_of_request, is_recorded
from gateway.users import open_users
from kubetriage.contracts.identity import Role
from tests.gateway.support import PASSWORD, add_users, bearer, log_in
from tests.processes import ROOT, RedisServer, RunningService, eventually, send, stop

Make = Callable[..., RunningService]
Links = list[Any]

# The chain


def links(count: int = 6) -> tuple[Links, Head]:
    made, head = chained(({"actor": "ada", "action": f"POST /v1/ask {n}"} for n in range(count)), Head())
    return json.loads(json.dumps(made)), head


def changed(at: int, **members: Any) -> Callable[[Links], Links]:
    return lambda made: [*made[:at], {**made[at], "entry": {**made[at]["entry"], **members}}, *made[at + 1 :]]


TAMPERED: dict[str, tuple[Callable[[Links], Links], str]] = {
    "an actor": (changed(2, actor="bob"), "entry 3 was changed"),
    "a member more": (changed(2, asked="x"), "entry 3 was changed"),
    "one is gone": (lambda made: made[:2] + made[3:], "entry 2 is followed by 4"),
    "two are swapped": (lambda made: [made[0], made[2], made[1], *made[3:]], "entry 1 is followed by 3"),
    "one is there twice": (lambda made: [*made[:2], made[1], *made[2:]], "entry 2 is followed by 2"),
    "the last are gone": (lambda made: made[:4], "does not contain 6:"),
    "all are gone": (lambda made: [], "does not contain 6:"),
    "written anew": (lambda made: links(7)[0][1:2] + chained([{"actor": "x"}] * 5, Head(2, made[1]["hash"]))[0], "6:"),
    "a link to elsewhere": (lambda made: [*made[:3], {**made[3], "previous": "f" * 64}, *made[4:]], "does not follow"),
    "another beginning": (lambda made: [{**made[0], "previous": "f" * 64}, *made[1:]], "does not begin"),
    "no entry at all": (lambda made: [*made[:3], None, *made[4:]], "after entry 3 is no entry"),
}


@pytest.mark.parametrize(("tamper", "complaint"), TAMPERED.values(), ids=TAMPERED)
def test_a_chain_that_was_tampered_with_does_not_hold(tamper: Callable[[Links], Links], complaint: str) -> None:
    made, head = links()
    assert verify(made, head).count == 6
    with pytest.raises(ChainBrokenError, match=complaint):
        verify(tamper(made), head)


def test_a_chain_without_its_oldest_entries_holds_and_says_so() -> None:
    made, head = links()
    found = verify(made[2:], head)
    assert (found.count, found.first, str(found.head)) == (4, 3, str(head))


# What is kept


def test_what_was_asked_is_kept_without_secrets_and_at_a_length() -> None:
    body = {"question": "why? password=hunter2hunter2 \x1b[31m" + "x" * 5000, "namespace": "shop", "password": "p"}
    found = facts_of_request(json.dumps(body).encode())
    assert found.keys() == {"asked", "namespace"}
    assert "hunter2" not in found["asked"]
    assert "\x1b" not in found["asked"]
    assert len(found["asked"]) == 500
    for odd in (b"", b"[1]", b"{", b'{"question": {"a": 1}, "namespace": 5, "name": []}', b"[" * 30_000):
        assert facts_of_request(odd) == {}


ANSWER = {
    "tool_calls": [{"name": "get_logs", "arguments": {"namespace": "shop", "pod": "api-x"}}],
    "sources": [{"kind": "event", "title": "BackOff"}],
    "diagnosis": {
        "incidents": [{"root_cause": {"object": {"kind": "Deployment", "name": "api", "namespace": "shop"}}}]
    },
}
READ = ("tool get_logs shop api-x", "event BackOff", "object shop/Deployment/api")


def test_what_was_read_is_taken_from_the_answer_however_it_came() -> None:
    stream = f"event: token\ndata: {{}}\n\nevent: answer\ndata: {json.dumps({'answer': ANSWER})}\n\n"
    assert facts_of_answer(json.dumps(ANSWER).encode()) == facts_of_answer(stream.encode()) == READ
    assert facts_of_answer(json.dumps(ANSWER["diagnosis"]).encode()) == READ[2:]
    assert facts_of_answer(b'{"passages": [{"path": "oom.md"}]}') == ("runbook oom.md",)
    assert facts_of_answer(b'{"tool_calls": 5, "sources": [5], "diagnosis": {"incidents": [{}]}}') == ()


@pytest.mark.parametrize(
    ("method", "route", "status", "actor", "kept"),
    [
        ("POST", "/v1/ask", 200, "ada", True),
        ("POST", "/v1/ask", 403, "ada", True),
        ("POST", "/v1/ask", 429, "ada", False),
        ("POST", "/v1/ask", 401, None, False),
        ("POST", LOGIN, 400, None, True),
        ("POST", LOGIN, 429, None, False),
        ("GET", "/v1/sessions", 200, "ada", False),
        ("GET", "/v1/incidents/{incident_id}", 404, "ada", True),
        ("DELETE", "/v1/keys/{key}", 204, "root", True),
        ("POST", "/v1/auth/refresh", 200, None, False),
    ],
)
def test_which_calls_are_recorded(method: str, route: str, status: int, actor: str | None, *, kept: bool) -> None:
    assert is_recorded(method, route, status, actor) is kept


def test_whoever_tries_to_log_in_is_named_by_a_name_that_could_be_one() -> None:
    assert account_of(b"username=Ada&password=x") == "ada"
    assert account_of(b"username=%0a%7bforged&password=x") == "(no such name)"
    assert account_of(b"\xff&" * 50) == "(no such name)"


# Two gateways on one Redis


def kubetriage(redis: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KUBETRIAGE_GATEWAY_REDIS_URL": redis, "USER": "op"}
    command = [sys.executable, "-m", "kubetriage", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


async def entries(http: aiohttp.ClientSession, url: str, headers: dict[str, str], **query: Any) -> list[dict[str, Any]]:
    """All entries that fit, newest first, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        reply = await send(http, "GET", f"{url}/v1/audit", headers=headers, params={"limit": 200, **query, **cursor})
        assert reply.status == 200, reply.body
        found += [link["entry"] for link in reply.json["entries"]]
        if reply.json["next"] is None:
            return found
        cursor = {"cursor": reply.json["next"]}


async def test_all_gateways_write_one_chain_that_admins_read_and_anybody_can_check(
    own_redis: RedisServer, make_gateway: Make, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await add_users(own_redis.url)
    async with open_users(own_redis.url) as users:
        await users.create("root", PASSWORD, role=Role.ADMIN)
    generous = {f"limit_{name}": "100000/minute" for name in ("user", "ask", "address")}
    urls = [make_gateway(own_redis.url, **generous).url for _ in range(2)]
    tokens = await log_in(http, urls[0])
    ada, root = bearer(tokens), bearer(await log_in(http, urls[0], "root"))
    bob = bearer(await log_in(http, urls[1], "bob"))

    asked = [{"question": f"number {n}", "namespace": "shop"} for n in range(120)]
    await asyncio.gather(
        *(send(http, "POST", f"{urls[n % 2]}/v1/diagnose", headers=ada, json=body) for n, body in enumerate(asked))
    )
    await send(http, "POST", f"{urls[0]}/v1/ask", headers=bob, json={"question": "x", "namespace": "vault"})
    await send(http, "POST", f"{urls[0]}/v1/search", headers=ada, json={"query": "token=abcdefghijklmnop"})
    await send(http, "POST", f"{urls[1]}{LOGIN}", data={"username": "ada", "password": "not the password"})
    await send(http, "GET", f"{urls[1]}/v1/me", headers=bearer("x.y.z"))

    async def written() -> bool:
        return len(await entries(http, urls[0], root, actor="ada")) == 123  # a login, 120, a search, a failed login

    await eventually(written, 20)
    mine = await entries(http, urls[1], root, actor="ada")
    assert {entry["asked"] for entry in mine if entry["action"] == "POST /v1/diagnose"} == {
        body["question"] for body in asked
    }
    logins = [entry["status"] for entry in mine if entry["action"] == f"POST {LOGIN}"]
    assert sorted(logins) == [200, 400]
    (search,) = [entry for entry in mine if entry["action"] == "POST /v1/search"]
    assert (search["read"], "abcdefghijklmnop" in search["asked"]) == (["runbook oom.md"], False)
    (refused,) = [entry for entry in await entries(http, urls[0], root, actor="bob") if entry["status"] == 403]
    assert (refused["action"], refused["namespace"], refused["read"]) == ("POST /v1/ask", "vault", [])
    assert refused["request_id"]
    assert not await entries(http, urls[0], root, until="2020-01-01T00:00:00Z")
    assert await entries(http, urls[0], root, since=mine[-1]["time"], actor="ada") == mine
    forbidden = await send(http, "GET", f"{urls[0]}/v1/audit", headers=ada)
    assert (forbidden.status, forbidden.json["code"]) == (403, "role_required")

    added = await asyncio.to_thread(kubetriage, own_redis.url, "users", "disable", "bob")
    assert added.returncode == 0, added.stderr
    everything = await entries(http, urls[0], root)
    assert ("cli:op", "users disable bob") in [(entry["actor"], entry["action"]) for entry in everything]
    file = tmp_path / "audit.jsonl"
    assert (await asyncio.to_thread(kubetriage, own_redis.url, "audit", "export", "-o", str(file))).returncode == 0
    text = file.read_text()
    for secret in (PASSWORD, "not the password", tokens["access_token"][-40:], tokens["refresh_token"]):
        assert secret not in text
    alone = await asyncio.to_thread(kubetriage, "redis://127.0.0.1:9", "audit", "verify", str(file))
    assert alone.returncode == 0, alone.stderr
    head = alone.stdout.split()[-1]
    live = await asyncio.to_thread(kubetriage, own_redis.url, "audit", "verify", "--head", head)
    assert (live.returncode, " entries hold" in live.stdout) == (0, True), live.stderr
    file.write_text(text.replace("number 7", "number 8", 1))
    forged = await asyncio.to_thread(kubetriage, own_redis.url, "audit", "verify", str(file))
    assert (forged.returncode, "was changed" in forged.stderr) == (1, True)


async def test_a_redis_that_stalls_dies_or_comes_back_delays_the_log_and_nothing_else(
    own_redis: RedisServer, make_gateway: Make, http: aiohttp.ClientSession
) -> None:
    await add_users(own_redis.url)
    async with open_users(own_redis.url) as users:
        await users.create("root", PASSWORD, role=Role.ADMIN)
    running = make_gateway(own_redis.url, redis_timeout_seconds=0.5, redis_retry_seconds=0.2, drain_delay_seconds=0)
    ada, root = bearer(await log_in(http, running.url)), bearer(await log_in(http, running.url, "root"))

    async def diagnose(question: str) -> None:
        reply = await send(http, "POST", f"{running.url}/v1/diagnose", headers=ada, json={"question": question})
        assert reply.status == 200

    own_redis.process.send_signal(signal.SIGSTOP)
    await diagnose("while it stalls")
    own_redis.process.send_signal(signal.SIGCONT)
    stop(own_redis.process)
    await diagnose("while it is away")
    own_redis.start()

    async def kept() -> bool:
        reply = await send(http, "GET", f"{running.url}/v1/audit", headers=root, params={"actor": "ada"})
        texts = [link["entry"].get("asked") for link in reply.json.get("entries", ())]
        return [text for text in texts if text] == ["while it is away", "while it stalls"]

    await eventually(kept, 20)
    await diagnose("at the very end")
    running.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(running.process.wait, 10)
    checked = await asyncio.to_thread(kubetriage, own_redis.url, "audit", "export")
    assert checked.stdout.count("at the very end") == 1
    assert (await asyncio.to_thread(kubetriage, own_redis.url, "audit", "verify")).returncode == 0
