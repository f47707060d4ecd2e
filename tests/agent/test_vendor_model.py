"""A real LLM's place, taken by a scripted OpenAI-compatible server over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import redis

from tests.agent.support import VENDOR_KEY, Vendor, ask, headers, running_vendor, start_agent
from tests.processes import RedisServer, RunningService, eventually


@pytest.fixture(scope="module")
def vendor_url() -> Iterator[str]:
    with running_vendor() as url:
        yield url


@pytest.fixture
def vendor(vendor_url: str, http: aiohttp.ClientSession) -> Vendor:
    return Vendor(vendor_url, http)


@pytest.fixture(scope="module")
def agent(
    shared_redis: RedisServer, vendor_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    running = start_agent(
        tmp_path_factory.mktemp("vendor"),
        shared_redis.url,
        model="test-model",
        openai_base_url=f"{vendor_url}/v1",
        openai_api_key=VENDOR_KEY,
        model_seconds=1.5,
        max_steps=4,
    )
    yield running
    running.end()


async def test_the_diagnosis_comes_first_and_the_model_explains_it(
    http: aiohttp.ClientSession, agent: RunningService, vendor: Vendor
) -> None:
    await vendor.plays(
        {"calls": [["get_pod_logs", {"name": "payments", "namespace": "shop"}], ["get_events", {"name": "payments"}]]},
        {"text": "payments is OOMKilled; raise its limit."},
    )
    reply = await ask(http, agent, "Why is checkout failing?", session="s_vendor01", stream=True)
    events = reply.events
    answer = events[-1]["answer"]
    assert answer["answer"].split() == ["payments", "is", "OOMKilled;", "raise", "its", "limit."]
    assert answer["status"] == "completed"
    assert [call["name"] for call in answer["tool_calls"]] == ["diagnose", "get_pod_logs", "get_events"]
    assert answer["diagnosis"]["incidents"][0]["root_cause"]["cause"] == "oom_killed"
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (200, 40)
    first, second = await vendor.seen()
    assert first["authorization"] == f"Bearer {VENDOR_KEY}"
    assert first["body"]["temperature"] == 0
    roles = [message["role"] for message in first["body"]["messages"]]
    assert roles == ["system", "user", "assistant", "tool"], "the diagnosis stands before the first model call"
    assert "oom_killed" in first["body"]["messages"][-1]["content"]
    assert first["body"]["messages"][-1]["content"].startswith('<data source="diagnose">')
    assert [message["role"] for message in second["body"]["messages"]][-2:] == ["tool", "tool"]
    names = {tool["function"]["name"] for tool in first["body"]["tools"]}
    assert {"get_pod_status", "search_runbooks"} <= names


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 401}, {"garbage": True}, {"delay": 5}])
async def test_when_the_vendor_fails_the_builtin_model_answers_and_says_so(
    http: aiohttp.ClientSession, agent: RunningService, vendor: Vendor, fault: dict[str, Any]
) -> None:
    await vendor.plays(fault)
    session = f"s_fault_{'_'.join(fault)}_{fault.get('status', 0)}"
    answer = (await ask(http, agent, "Why is checkout failing?", session=session)).json
    assert "payments is OOMKilled" in answer["answer"]
    assert answer["status"] == "degraded"
    assert "model" in answer["degraded"]
    assert "sk-test" not in agent.log.read_text()


async def test_a_looping_model_is_ended_with_what_was_found(
    http: aiohttp.ClientSession, agent: RunningService, vendor: Vendor
) -> None:
    await vendor.plays({"calls": [["get_pod_status", {"name": "cart"}]]})
    answer = (await ask(http, agent, "Why is checkout failing?", session="s_looping1")).json
    assert answer["status"] == "limit_exceeded"
    assert "stopped after 4 steps" in answer["answer"]
    assert "payments is OOMKilled" in answer["answer"]
    assert len(await vendor.seen()) == 3, "the first of the four steps is the diagnosis, which needs no model"


async def test_wrong_arguments_and_unknown_tools_go_back_to_the_model(
    http: aiohttp.ClientSession, agent: RunningService, vendor: Vendor
) -> None:
    await vendor.plays(
        {"calls": [["get_pod_logs", {"lines": "many"}], ["delete_everything", {}]]},
        {"text": "I could not read that."},
    )
    answer = (await ask(http, agent, "show me logs please", session="s_wrong001")).json
    assert answer["answer"].strip() == "I could not read that."
    assert [call["status"] for call in answer["tool_calls"]] == ["error", "error"]


async def test_the_model_sees_the_conversation_that_the_caller_kept(
    http: aiohttp.ClientSession, agent: RunningService, vendor: Vendor, shared_redis: RedisServer
) -> None:
    await vendor.plays({"text": "raise its limit"})
    history = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "payments is OOMKilled"}]
    reply = await ask(http, agent, "what now?", session="s_history1", body={"history": history})
    assert reply.json["answer"].strip() == "raise its limit"
    sent = (await vendor.seen())[-1]["body"]["messages"]
    assert [(one["role"], one["content"]) for one in sent[1:]] == [
        ("user", "hello"),
        ("assistant", "payments is OOMKilled"),
        ("user", "what now?"),
    ]
    with redis.Redis.from_url(shared_redis.url) as client:
        assert not client.exists("kubetriage:memory:ada:s_history1"), "nothing is stored"


async def test_the_model_sees_ten_turns_and_no_index_of_names(
    http: aiohttp.ClientSession, agent: RunningService, vendor: Vendor
) -> None:
    await vendor.plays({"text": "fine"})
    for number in range(12):
        await ask(http, agent, f"hello number {number}", session="s_window01")
    last = (await vendor.seen())[-1]["body"]["messages"]
    questions = [message["content"] for message in last if message["role"] == "user"]
    assert questions == [f"hello number {number}" for number in range(2, 12)]


async def test_a_caller_who_hangs_up_ends_the_run_and_frees_the_session(
    http: aiohttp.ClientSession, agent: RunningService, vendor: Vendor
) -> None:
    await vendor.plays({"delay": 60, "text": "too late"})
    body = {"question": "Why is checkout failing?", "session_id": "s_hungup01"}
    accept = {**headers("s_hungup01"), "Accept": "text/event-stream"}
    async with http.post(f"{agent.url}/internal/v1/ask", json=body, headers=accept) as answer:

        async def asked() -> bool:
            return bool(await vendor.seen())

        await eventually(asked)
        answer.close()

    async def ended() -> bool:
        async with http.get(f"{agent.url}/metrics") as reply:
            lines = (await reply.text()).splitlines()
        return {'kubetriage_agent_runs_total{outcome="cancelled"} 1.0', "kubetriage_agent_runs_active 0.0"} <= {*lines}

    await eventually(ended)
    await vendor.plays({"text": "fine"})
    again = await ask(http, agent, "and now?", session="s_hungup01")
    assert again.json["answer"].split() == ["fine"]


async def test_what_the_model_made_up_is_named(
    http: aiohttp.ClientSession, agent: RunningService, vendor: Vendor
) -> None:
    true = "deployment/payments is OOMKilled with exit code 137: its memory limit is 64Mi."
    await vendor.plays({"text": f"{true} Pod payments-7f9c6d5b44-x7k2p used 900Mi. Run `kubectl delete ns shop`."})
    reply = await ask(http, agent, "Why is checkout failing?", session="s_made_up1", stream=True)
    answer = reply.events[-1]["answer"]
    assert answer["unverified"] == ["kubectl delete ns shop", "payments-7f9c6d5b44-x7k2p", "900Mi"]
    note = answer["answer"].splitlines()[-1]
    assert (
        note
        == "Not verified, no tool's result shows it: " + ", ".join(f"`{one}`" for one in answer["unverified"]) + "."
    )
    assert "".join(event["text"] for event in reply.events if event["type"] == "token") == answer["answer"]
    held = {claim: source for source in answer["sources"] for claim in source["claims"]}
    assert "deployment/payments" in held
    assert held["64Mi"]["where"] == "spec.containers[app].resources.limits.memory"


async def test_an_answer_that_keeps_to_what_was_read_has_nothing_to_name(
    http: aiohttp.ClientSession, agent: RunningService, vendor: Vendor
) -> None:
    said = (
        "**payments** runs out of memory. The container `app` of deployment/payments has a limit of 64Mi and was "
        'killed 4 times (exit code 137). The event says "Back-off restarting failed container app". Raise it to 512Mi '
        "and watch it for about 10 minutes with `kubectl -n shop logs deployment/payments --previous`."
    )
    await vendor.plays({"text": said})
    answer = (await ask(http, agent, "Why is checkout failing?", session="s_kept_to1")).json
    assert answer["unverified"] == []
    assert answer["answer"] == said
