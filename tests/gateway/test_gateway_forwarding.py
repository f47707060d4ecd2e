import asyncio
import json
import time

import pytest

from tests.gateway.support import bearer, log_in, seen_by_agent
from tests.processes import eventually, send


@pytest.fixture
async def ada(gateway, http):
    return bearer(await log_in(http, gateway.url))


async def ask(http, gateway, headers, **body):
    return await send(http, "POST", f"{gateway.url}/v1/ask", headers=headers, json=body)


async def test_a_question_begins_a_session_that_goes_on_and_is_listed(gateway, http, ada):
    first = await ask(http, gateway, ada, question="Why is checkout failing?")
    session_id = first.json["session_id"]
    assert first.headers["X-Session-ID"] == session_id
    await ask(http, gateway, ada, question="and its logs", session_id=session_id)
    (listed,) = (await send(http, "GET", f"{gateway.url}/v1/sessions", headers=ada)).json["sessions"]
    assert (listed["id"], listed["title"], listed["turns"]) == (session_id, "Why is checkout failing?", 2)
    one = await send(http, "GET", f"{gateway.url}/v1/sessions/{session_id}", headers=ada)
    assert one.json == listed
    messages = await send(http, "GET", f"{gateway.url}/v1/sessions/{session_id}/messages", headers=ada)
    assert messages.json["messages"][0]["content"] == "hi"
    assert (await send(http, "DELETE", f"{gateway.url}/v1/sessions/{session_id}", headers=ada)).status == 204
    assert (await send(http, "GET", f"{gateway.url}/v1/sessions/{session_id}", headers=ada)).status == 404


async def test_somebody_elses_session_does_not_exist(gateway, http, ada):
    created = await send(http, "POST", f"{gateway.url}/v1/sessions", headers=ada, json={"title": "mine"})
    assert created.status == 201
    path = created.headers["Location"]
    bob = bearer(await log_in(http, gateway.url, "bob"))
    calls = [("GET", path), ("DELETE", path), ("GET", path + "/messages")]
    replies = [await send(http, method, gateway.url + url, headers=bob) for method, url in calls]
    replies.append(await ask(http, gateway, bob, question="x", session_id=created.json["id"]))
    unknown = await send(http, "GET", f"{gateway.url}/v1/sessions/s_doesnotexist", headers=bob)
    assert [(reply.status, reply.json["code"]) for reply in [*replies, unknown]] == [(404, "session_not_found")] * 5
    assert {reply.json["detail"] for reply in replies} == {unknown.json["detail"]}
    assert (await send(http, "GET", f"{gateway.url}/v1/sessions", headers=bob)).json == {"sessions": []}


async def test_the_agent_learns_who_asks_and_nothing_that_the_caller_made_up(gateway, http, agent_url):
    bob = bearer(await log_in(http, gateway.url, "bob"))
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    made_up = {
        "X-Request-ID": "mine-1",
        "traceparent": parent,
        "X-Session-ID": "s_someoneelse",
        "X-Forwarded-For": "10.0.0.1",
        "Cookie": "a=b",
        "Keep-Alive": "timeout=5",
        "TE": "trailers",
    }
    body = {"namespace": "shop", "kind": "Deployment", "name": "checkout"}
    reply = await send(http, "POST", f"{gateway.url}/v1/diagnose", headers={**bob, **made_up}, json=body)
    assert (reply.status, reply.json["outcome"], reply.headers["X-Request-ID"]) == (200, "no_fault_found", "mine-1")
    call = (await seen_by_agent(http, agent_url))["calls"][-1]
    claims = call["claims"]
    assert (claims["subject"], claims["role"], claims["namespaces"], claims["clusters"], claims["request_id"]) == (
        "bob",
        "operator",
        ["shop"],
        ["prod"],
        "mine-1",
    )
    names = {name.lower() for name in call["headers"]}
    assert not names & {"x-forwarded-for", "cookie", "keep-alive", "te", "x-session-id"}
    assert call["headers"]["traceparent"].split("-")[1] == parent.split("-")[1]
    assert call["headers"]["traceparent"] != parent


@pytest.mark.parametrize("body", [{"namespace": "kube-system"}, {"cluster": "staging"}])
async def test_what_a_user_may_not_read_is_refused_before_the_agent_hears_of_it(gateway, http, agent_url, body):
    bob = bearer(await log_in(http, gateway.url, "bob"))
    before = len((await seen_by_agent(http, agent_url))["calls"])
    diagnose = await send(http, "POST", f"{gateway.url}/v1/diagnose", headers=bob, json=body)
    asked = await ask(http, gateway, bob, question="x", **body)
    assert {reply.json["code"] for reply in (diagnose, asked)} == {f"{next(iter(body))}_forbidden"}
    assert {diagnose.status, asked.status} == {403}
    assert len((await seen_by_agent(http, agent_url))["calls"]) == before


async def calls_with(http, url, outcome, call="ask") -> float:
    """What the gateway has counted."""
    text = (await send(http, "GET", f"{url}/metrics")).body.decode()
    labels = f'{{call="{call}",outcome="{outcome}"}}'
    found = [
        line
        for line in text.splitlines()
        if line.startswith(f"kubetriage_gateway_upstream_duration_seconds_count{labels}")
    ]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


async def test_search_passes_through(gateway, http, ada):
    reply = await send(http, "POST", f"{gateway.url}/v1/search", headers=ada, json={"query": "oom", "k": 3})
    assert reply.json["passages"][0]["path"] == "oom.md"


AGENT_FAULTS = {
    "garbage": (502, "agent_answer_invalid"),
    "wrong shape": (502, "agent_answer_invalid"),
    "plain 500": (502, "agent_answer_invalid"),
    "refused key": (502, "agent_refused_gateway"),
    "cut": (502, "agent_failed"),
    "problem 409": (409, "approval_pending"),
}


@pytest.mark.parametrize(("script", "expected"), AGENT_FAULTS.items(), ids=AGENT_FAULTS.keys())
async def test_faults_of_the_agent_become_problems(gateway, http, ada, script, expected):
    # What an answer holds is only looked at once it is here.
    counted = {"problem 409": "refused", "garbage": "ok", "wrong shape": "ok"}
    outcome = counted.get(script, expected[1])
    before = await calls_with(http, gateway.url, outcome)
    reply = await ask(http, gateway, ada, question=script)
    assert (reply.status, reply.json["code"]) == expected
    assert b"secret" not in reply.body
    assert await calls_with(http, gateway.url, outcome) == before + 1
    assert (await send(http, "GET", f"{gateway.url}/v1/sessions", headers=ada)).json["sessions"] == []


async def test_what_only_reads_is_asked_once_more_and_a_question_is_not(gateway, http, ada, agent_url):
    """An agent that goes away closes connections on which the gateway is just about to ask."""
    reply = await send(http, "POST", f"{gateway.url}/v1/diagnose", headers=ada, json={"question": "cut once"})
    assert reply.status == 200, reply.body
    reply = await ask(http, gateway, ada, question="cut once")
    assert (reply.status, reply.json["code"]) == (502, "agent_failed")
    calls = (await seen_by_agent(http, agent_url))["calls"]
    assert [call["path"] for call in calls][-3:] == ["/internal/v1/diagnose"] * 2 + ["/internal/v1/ask"]


async def test_a_newer_agents_fields_are_passed_on_during_an_upgrade(gateway, http, ada):
    reply = await ask(http, gateway, ada, question="newer version")
    assert (reply.status, reply.json["later"]) == (200, 1)


async def test_the_agents_own_problem_keeps_its_retry_after(gateway, http, ada):
    reply = await ask(http, gateway, ada, question="problem 409")
    assert (reply.headers["Retry-After"], reply.json["instance"]) == ("7", "/v1/ask")


async def test_an_agent_that_is_not_there_is_a_503_and_a_slow_one_a_504(shared_redis, make_gateway, gateway, http, ada):
    lost = make_gateway(shared_redis.url, agent="http://127.0.0.1:9")
    reply = await send(http, "POST", f"{lost.url}/v1/diagnose", headers=ada, json={})
    assert (reply.status, reply.json["code"], reply.headers["Retry-After"]) == (503, "agent_unavailable", "2")
    assert await calls_with(http, lost.url, "agent_unavailable", "diagnose") == 1
    slow = make_gateway(shared_redis.url, agent_read_seconds=0.3)
    reply = await send(http, "POST", f"{slow.url}/v1/diagnose", headers=ada, json={"question": "slow"})
    assert (reply.status, reply.json["code"]) == (504, "agent_timeout")
    assert await calls_with(http, slow.url, "agent_timeout", "diagnose") == 1


def events_of(body: bytes) -> list[dict]:
    lines = body.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def test_a_stream_is_passed_on_event_by_event(gateway, http, ada):
    headers = {**ada, "Accept": "text/event-stream"}
    arrived = []
    async with http.post(f"{gateway.url}/v1/ask", headers=headers, json={"question": "hello"}) as answer:
        assert answer.content_type == "text/event-stream"
        assert answer.headers["X-Session-ID"].startswith("s_")
        body = b""
        async for chunk in answer.content.iter_any():
            arrived.append(time.monotonic())
            body += chunk
    assert [event["type"] for event in events_of(body)] == ["run.started", "token", "token", "token", "answer"]
    # The script sleeps 0.3 s before each token; buffered, all would come at once.
    assert arrived[-1] - arrived[0] > 0.6
    assert len(arrived) >= 4


async def test_a_stream_that_the_agent_breaks_off_ends_with_an_error_event(gateway, http, ada):
    headers = {**ada, "Accept": "text/event-stream"}
    async with http.post(f"{gateway.url}/v1/ask", headers=headers, json={"question": "break off"}) as answer:
        events = events_of(await answer.read())
        request_id = answer.headers["X-Request-ID"]
    assert [event["type"] for event in events] == ["run.started", "token", "error"]
    assert (events[-1]["problem"]["code"], events[-1]["problem"]["request_id"]) == ("agent_failed", request_id)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
async def test_hanging_up_cancels_the_agents_run_within_a_second(gateway, http, ada, agent_url, accept):
    before = len((await seen_by_agent(http, agent_url))["cancelled"])
    call = http.post(f"{gateway.url}/v1/ask", headers={**ada, "Accept": accept}, json={"question": "slow"})

    async def hang_up():
        async with call as answer:
            await answer.content.readany()
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hang_up(), 0.7)

    async def cancelled():
        return len((await seen_by_agent(http, agent_url))["cancelled"]) > before

    await eventually(cancelled, seconds=1)
