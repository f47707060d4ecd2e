"""The service over real HTTP and a real Redis: answers, streams, memory, rights, faults."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import redis
import redis.asyncio

from tests.agent.support import ask, headers, start_agent
from tests.processes import RedisServer, RunningService, eventually, free_port, send, stop


async def test_an_answer_has_cause_evidence_fix_sources_and_tool_calls(
    http: aiohttp.ClientSession, agent: RunningService
) -> None:
    reply = await ask(http, agent, "Why is checkout failing?", session="s_answer01")
    assert reply.status == 200
    answer = reply.json
    first, fix = answer["answer"].split("Fix:")
    assert first.startswith("**Root cause: checkout fails because payments is OOMKilled**")
    assert "64Mi" in first
    assert "kubectl -n shop set resources deployment/payments -c app --limits=memory=256Mi" in fix
    assert answer["diagnosis"]["incidents"][0]["root_cause"]["cause"] == "oom_killed"
    assert [call["name"] for call in answer["tool_calls"]] == ["list_resources", "diagnose", "search_runbooks"]
    assert {"object", "event"} <= {source["kind"] for source in answer["sources"]}
    assert answer["usage"]["model"] == "builtin"


async def test_a_stream_tells_its_progress_and_ends_with_the_answer(
    http: aiohttp.ClientSession, agent: RunningService
) -> None:
    reply = await ask(http, agent, "Why is checkout failing?", session="s_stream01", stream=True)
    events = reply.events
    kinds = [event["type"] for event in events]
    assert kinds[0] == "run.started"
    assert kinds[-1] == "answer"
    assert kinds.count("answer") == 1
    assert kinds.index("tool.started") < kinds.index("tool.finished") < kinds.index("token")
    told = "".join(event["text"] for event in events if event["type"] == "token")
    assert told == events[-1]["answer"]["answer"]


async def test_a_session_goes_on_after_kill_9(
    http: aiohttp.ClientSession, shared_redis: RedisServer, tmp_path: Path
) -> None:
    running = start_agent(tmp_path, shared_redis.url)
    await ask(http, running, "Why is checkout failing?", session="s_killed01")
    running.process.send_signal(signal.SIGKILL)
    running.process.wait(5)
    again = start_agent(tmp_path, shared_redis.url)
    try:
        logs = (await ask(http, again, "show me its logs", session="s_killed01")).json
        assert "risk model: 56 of 112 MiB loaded" in logs["answer"]
        url = f"{again.url}/internal/v1/sessions/s_killed01/messages"
        messages = (await send(http, "GET", url, headers=headers("s_killed01"))).json["messages"]
        assert [one["content"] for one in messages if one["role"] == "user"] == [
            "Why is checkout failing?",
            "show me its logs",
        ]
        assert {"user", "assistant", "tool"} == {one["role"] for one in messages}
    finally:
        again.end()


async def test_a_forgotten_session_is_gone(http: aiohttp.ClientSession, agent: RunningService) -> None:
    await ask(http, agent, "Is cart healthy?", session="s_forget01")
    url = f"{agent.url}/internal/v1/sessions/s_forget01"
    assert (await send(http, "DELETE", url, headers=headers("s_forget01"))).status == 204
    assert (await send(http, "GET", f"{url}/messages", headers=headers("s_forget01"))).json["messages"] == []


async def test_two_users_never_share_a_conversation(http: aiohttp.ClientSession, agent: RunningService) -> None:
    await ask(http, agent, "Why is payments failing?", session="s_shared01", subject="ada")
    url = f"{agent.url}/internal/v1/sessions/s_shared01/messages"
    other = await send(http, "GET", url, headers=headers("s_shared01", subject="bob"))
    assert other.json["messages"] == []


async def test_what_a_session_weighs_does_not_grow_with_the_index_of_names(
    http: aiohttp.ClientSession, agent: RunningService, shared_redis: RedisServer
) -> None:
    for _ in range(3):
        await ask(http, agent, "how many nodes are there?", session="s_weight01")
    with redis.Redis.from_url(shared_redis.url) as client:
        stored = client.hgetall("kubetriage:memory:ada:s_weight01")
    assert len(stored) == 1, "one checkpoint, without leftovers"
    assert sum(len(value) for value in stored.values()) < 12_000


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "internal_token_invalid"),
        ("Bearer nonsense", "internal_token_invalid"),
        ("Basic YTpi", "internal_token_invalid"),
    ],
)
async def test_nobody_gets_in_without_the_gateways_token(
    http: aiohttp.ClientSession, agent: RunningService, authorization: str, code: str
) -> None:
    given = {"Authorization": authorization} if authorization else {}
    for method, path in (
        ("POST", "ask"),
        ("POST", "diagnose"),
        ("POST", "search"),
        ("GET", "sessions/s_12345678/messages"),
        ("DELETE", "sessions/s_12345678"),
    ):
        reply = await send(
            http, method, f"{agent.url}/internal/v1/{path}", json={"question": "x", "query": "x"}, headers=given
        )
        assert (reply.status, reply.json["code"]) == (401, code)


async def test_a_token_of_one_session_does_not_open_another(http: aiohttp.ClientSession, agent: RunningService) -> None:
    url = f"{agent.url}/internal/v1/sessions/s_99999999/messages"
    assert (await send(http, "GET", url, headers=headers("s_12345678"))).status == 404


async def test_other_namespaces_can_neither_be_read_nor_named(
    http: aiohttp.ClientSession, agent: RunningService
) -> None:
    only = {"namespaces": ("reports",)}
    refused = await ask(http, agent, "what is wrong?", session="s_rights01", body={"namespace": "shop"}, **only)
    assert (refused.status, refused.json["code"]) == (403, "namespace_forbidden")
    for question in ("Why is checkout failing?", "show me the logs of payments", "which pods are there?"):
        reply = await ask(http, agent, question, session="s_rights02", **only)
        assert reply.status == 200
        text = reply.body.decode().replace(question, "")
        assert "556896b5fb" not in text, question
        assert "shop/" not in text.replace("shop/reports:1.4", ""), question
    diagnosed = await send(http, "POST", f"{agent.url}/internal/v1/diagnose", json={}, headers=headers(None, **only))
    assert [one["root_cause"]["object"]["namespace"] for one in diagnosed.json["incidents"]] == ["reports"]


async def test_an_unknown_and_a_foreign_cluster_look_the_same(
    http: aiohttp.ClientSession, agent: RunningService
) -> None:
    unknown = await ask(http, agent, "ok?", body={"cluster": "prod-9"})
    foreign = await ask(http, agent, "ok?", body={"cluster": "shop.tar.gz"}, clusters=("other",))
    assert (unknown.status, unknown.json["code"]) == (404, "cluster_unknown")
    assert (foreign.status, foreign.json["code"]) == (404, "cluster_unknown")


async def test_diagnose_and_its_errors(http: aiohttp.ClientSession, agent: RunningService) -> None:
    url = f"{agent.url}/internal/v1/diagnose"
    found = await send(http, "POST", url, json={"namespace": "shop"}, headers=headers(None))
    assert found.json["outcome"] == "fault_found"
    wrong = await send(http, "POST", url, json={"namespace": "NOT VALID", "extra": 1}, headers=headers(None))
    assert wrong.status == 422
    assert {error["loc"][-1] for error in wrong.json["errors"]} == {"namespace", "extra"}
    assert "NOT VALID" not in wrong.body.decode()


@pytest.fixture
def lonely_agent(tmp_path: Path) -> Iterator[tuple[RunningService, RedisServer]]:
    server = RedisServer(free_port(), tmp_path)
    running = start_agent(tmp_path, server.url, redis_timeout_seconds=0.5)
    yield running, server
    running.end()
    stop(server.process)


async def test_without_redis_diagnose_works_and_ask_says_what_is_wrong(
    http: aiohttp.ClientSession, lonely_agent: tuple[RunningService, RedisServer]
) -> None:
    running, server = lonely_agent
    assert (await send(http, "GET", f"{running.url}/readyz")).status == 200
    stop(server.process)
    asked = await ask(http, running, "Why is checkout failing?")
    assert (asked.status, asked.json["code"]) == (503, "memory_unavailable")
    assert asked.headers["Retry-After"]
    streamed = await ask(http, running, "Why is checkout failing?", stream=True)
    assert streamed.status == 503 or streamed.events[-1]["problem"]["code"] == "memory_unavailable"
    url = f"{running.url}/internal/v1/diagnose"
    assert (await send(http, "POST", url, json={}, headers=headers(None))).status == 200
    # Not ready would take it, and every other agent with it, away from those who can be answered.
    async with http.get(f"{running.url}/readyz") as ready:
        assert (ready.status, (await ready.json())["status"]) == (200, "degraded")
        assert "does not answer" in (await ready.json())["checks"]["redis"]
    server.start()
    assert (await ask(http, running, "Why is checkout failing?")).status == 200


async def test_one_question_at_a_time_per_session(
    http: aiohttp.ClientSession, shared_redis: RedisServer, agent: RunningService
) -> None:
    async with redis.asyncio.Redis.from_url(shared_redis.url) as client:
        await client.set("kubetriage:lock:ada:s_locked01", "somebody else", px=60_000)
        busy = await ask(http, agent, "Is cart healthy?", session="s_locked01")
        assert (busy.status, busy.json["code"]) == (409, "session_busy")
        await client.delete("kubetriage:lock:ada:s_locked01")
    both = await asyncio.gather(*(ask(http, agent, "Is cart healthy?", session="s_locked02") for _ in range(2)))
    assert {reply.status for reply in both} <= {200, 409}
    url = f"{agent.url}/internal/v1/sessions/s_locked02/messages"
    messages = (await send(http, "GET", url, headers=headers("s_locked02"))).json["messages"]
    answered = sum(reply.status == 200 for reply in both)
    assert sum(one["role"] == "user" for one in messages) == answered


async def test_metrics_are_valid_and_count(http: aiohttp.ClientSession, agent: RunningService) -> None:
    await ask(http, agent, "Is cart healthy?", session="s_metric01")
    async with http.get(f"{agent.url}/metrics") as answer:
        text = await answer.text()
    assert 'kubetriage_agent_runs_total{outcome="completed"}' in text or 'outcome="degraded"' in text
    assert 'kubetriage_agent_tool_calls_total{status="ok",tool="diagnose"}' in text
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    checked = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_sigterm_ends_it_cleanly(http: aiohttp.ClientSession, shared_redis: RedisServer, tmp_path: Path) -> None:
    running = start_agent(tmp_path, shared_redis.url)
    running.process.terminate()

    async def ended() -> bool:
        return running.process.poll() is not None

    await eventually(ended, 10)
    assert running.process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in running.log.read_text()


async def test_a_draining_agent_ends_each_connection_with_an_answer(tmp_path: Path, shared_redis: RedisServer) -> None:
    """A connection that it closed in silence would swallow a question that is on its way."""
    running = start_agent(tmp_path, shared_redis.url)
    search = {"url": f"{running.url}/internal/v1/search", "json": {"query": "oom"}, "headers": headers()}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as kept:
        async with kept.post(**search) as answer:
            assert answer.status == 200
            assert "Connection" not in answer.headers
            await answer.read()
        running.process.terminate()

        async def draining() -> bool:
            async with aiohttp.ClientSession() as other, other.get(f"{running.url}/readyz") as answer:
                return answer.status == 503

        await eventually(draining)
        async with kept.post(**search) as answer:
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
            await answer.read()

        async def ended() -> bool:
            return running.process.poll() is not None

        await eventually(ended, 10)


def test_a_wrong_configuration_is_one_clear_line(tmp_path: Path) -> None:
    environment = {**os.environ, "KUBETRIAGE_AGENT_INTERNAL_KEY": "short", "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-m", "agent_service"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "KUBETRIAGE_AGENT_INTERNAL_KEY" in done.stderr
    assert "at least 32 characters" in done.stderr
    assert done.stderr.count("\n") == 1
