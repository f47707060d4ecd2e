"""From an alert to a posted diagnosis: real Redis, real gateways, a scripted agent, a webhook on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.gateway.alerting import (
    ALERT_KEY,
    FAST,
    WEBHOOK_KEY,
    Target,
    incident_when,
    notes_when,
    notification,
    quiet,
    serve,
    tell,
)
from tests.gateway.support import AGENT, add_users, bearer, log_in, seen_by_agent, start_gateway
from tests.processes import KEY, ROOT, RedisServer, RunningService, eventually, free_port, send, stop, wait_for_port

Make = Callable[..., RunningService]


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    runner = await serve(made)
    yield made
    await runner.cleanup()


def notified(target: Target, **more: Any) -> dict[str, Any]:
    """Settings of a gateway that tells ``target`` in both ways."""
    return {**FAST, "slack_url": target.url, "webhook_url": target.url, "webhook_key": WEBHOOK_KEY, **more}


@dataclass
class Agent:
    """A scripted agent of the test's own, that can be stopped and started."""

    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(AGENT), str(self.port), KEY], cwd=ROOT)
        wait_for_port(self.port, self.process)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def own_agent() -> Iterator[Agent]:
    made = Agent(free_port())
    yield made
    if made.process:
        stop(made.process)


@dataclass
class Pair:
    """Two gateways on one Redis, and a target that both tell."""

    gateways: list[RunningService]
    target: Target
    redis_url: str

    @property
    def url(self) -> str:
        return self.gateways[0].url


@pytest.fixture(scope="module")
def pair_processes(
    agent_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[list[RunningService], RedisServer, int]]:
    port, folder = free_port(), tmp_path_factory.mktemp("pair")
    server = RedisServer(free_port(), folder)
    asyncio.run(add_users(server.url))
    settings = notified(Target(f"http://127.0.0.1:{port}/hook"), notification_attempts=4, work_attempts=2)
    running = [start_gateway(folder, server.url, agent_url, **settings) for _ in range(2)]
    yield running, server, port
    for gateway in running:
        gateway.end()
    stop(server.process)


@pytest.fixture
async def pair(pair_processes: tuple[list[RunningService], RedisServer, int]) -> AsyncIterator[Pair]:
    gateways, server, port = pair_processes
    target = Target()
    runner = await serve(target, port)
    yield Pair(gateways, target, server.url)
    await runner.cleanup()


@pytest.fixture
async def ada(pair: Pair, http: aiohttp.ClientSession) -> dict[str, str]:
    return bearer(await log_in(http, pair.url))


async def diagnoses(http: aiohttp.ClientSession, agent: str, alert: str) -> list[dict[str, Any]]:
    """The agent's diagnose calls of this alert."""
    calls = (await seen_by_agent(http, agent))["calls"]
    return [call for call in calls if call["path"].endswith("/diagnose") and call.get("question") == alert]


# The webhook


async def test_a_group_becomes_one_incident_that_is_diagnosed_and_told_once(
    pair: Pair, ada: dict[str, str], agent_url: str, http: aiohttp.ClientSession
) -> None:
    url, target = pair.url, pair.target
    told = notification("Once", namespace="shop", pod="api-x")
    replies = await asyncio.gather(*(tell(http, pair.gateways[n % 2].url, told) for n in range(8)))
    assert {reply.status for reply in replies} == {202}
    assert sorted(reply.json["result"] for reply in replies) == ["known"] * 7 + ["opened"]
    (incident,) = {reply.json["incident"] for reply in replies}

    found = await incident_when(http, url, ada, incident, diagnosis_state="done")
    assert (found["status"], found["version"], found["headline"]) == ("firing", 1, "fine")
    assert (found["alerts"]["namespace"], found["alerts"]["kind"], found["alerts"]["name"]) == ("shop", "Pod", "api-x")
    assert found["diagnosis"]["outcome"] == "no_fault_found"
    assert found["runbooks"][0]["path"] == "oom.md"
    (call,) = await diagnoses(http, agent_url, "Once")
    assert (call["claims"]["subject"], call["claims"]["namespaces"]) == ("service:alertmanager", None)

    await notes_when(http, url, ada, incident, ["sent", "sent"])
    over = await tell(http, url, {**told, "status": "resolved"})
    assert over.json == {"incident": incident, "result": "resolved"}
    assert (await tell(http, url, {**told, "status": "resolved"})).json == {"incident": None, "result": "ignored"}
    await notes_when(http, url, ada, incident, ["sent"] * 4)
    assert (await incident_when(http, url, ada, incident, status="resolved"))["resolved_at"]
    await quiet(target)
    assert target.keys_of(incident) == sorted(f"{incident}-{n}-{kind}" for n in (1, 2) for kind in ("slack", "webhook"))
    for headers, body in target.posts:
        assert headers["Content-Type"] == "application/json"
        if headers["Idempotency-Key"].endswith("webhook"):
            signed = headers["X-Kubetriage-Timestamp"].encode() + b"." + body
            digest = hmac.new(WEBHOOK_KEY.encode(), signed, hashlib.sha256).hexdigest()
            assert headers["X-Kubetriage-Signature"] == f"v1={digest}"

    again = await tell(http, url, told)
    assert again.json["result"] == "opened"
    assert again.json["incident"] != incident
    metrics = (await send(http, "GET", f"{url}/metrics")).body
    assert b'kubetriage_gateway_alert_groups_total{result="resolved"} 1.0' in metrics


async def test_only_the_key_of_alerts_opens_the_webhook_and_it_opens_nothing_else(
    pair: Pair, ada: dict[str, str], gateway: RunningService, http: aiohttp.ClientSession
) -> None:
    url = f"{pair.url}/v1/alerts/alertmanager"
    for headers in ({}, ada, bearer("b" * 48), bearer(ALERT_KEY[:-1]), bearer("ü" * 48), {"Authorization": ALERT_KEY}):
        reply = await send(http, "POST", url, headers=headers, json=notification())
        assert (reply.status, reply.json["code"]) == (401, "alert_key_invalid")
    reply = await send(http, "GET", f"{pair.url}/v1/incidents", headers=bearer(ALERT_KEY))
    assert (reply.status, reply.json["code"]) == (401, "token_invalid")
    reply = await tell(http, gateway.url, notification())
    assert (reply.status, reply.json["code"]) == (404, "alerts_not_configured")


BAD_BODIES: dict[str, dict[str, Any]] = {
    "another version": {"version": "3"},
    "no alerts": {"alerts": []},
    "no group key": {"groupKey": ""},
    "a state that is none": {"status": "burning"},
    "labels that are no text": {"commonLabels": {"alertname": {"$gt": ""}}},
}


@pytest.mark.parametrize("change", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_what_alertmanager_never_sends_is_refused(
    pair: Pair, http: aiohttp.ClientSession, change: dict[str, Any]
) -> None:
    reply = await tell(http, pair.url, {**notification(), **change})
    assert (reply.status, reply.json["code"]) == (422, "request_invalid")


async def test_what_waits_and_what_is_kept_is_bounded(
    own_redis: RedisServer, make_gateway: Make, http: aiohttp.ClientSession
) -> None:
    await add_users(own_redis.url)
    running = make_gateway(own_redis.url, agent="http://127.0.0.1:9", **FAST, incident_queue=4, incident_limit=3)
    replies = [await tell(http, running.url, notification(f"Full{n}")) for n in range(5)]
    assert [reply.status for reply in replies] == [202] * 4 + [503]
    assert (replies[4].json["code"], replies[4].headers["Retry-After"]) == ("alert_queue_full", "30")
    listed = await send(http, "GET", f"{running.url}/v1/incidents", headers=bearer(await log_in(http, running.url)))
    assert [entry["id"] for entry in listed.json["incidents"]] == [reply.json["incident"] for reply in replies[3:0:-1]]


# Who may read what


async def test_somebody_elses_incident_does_not_exist(
    pair: Pair, ada: dict[str, str], http: aiohttp.ClientSession
) -> None:
    bob = bearer(await log_in(http, pair.url, "bob"))  # may read namespace shop of cluster prod
    told = {
        "mine": notification("Seen", namespace="shop", cluster="prod"),
        "other namespace": notification("Seen", namespace="vault", cluster="prod"),
        "other cluster": notification("Seen", namespace="shop", cluster="staging"),
        "whole cluster": notification("Seen", namespace=None, cluster="prod"),
    }
    ids = {name: (await tell(http, pair.url, body)).json["incident"] for name, body in told.items()}
    for incident in ids.values():
        await incident_when(http, pair.url, ada, incident, diagnosis_state="done")
    seen = {name: await send(http, "GET", f"{pair.url}/v1/incidents/{ids[name]}", headers=bob) for name in ids}
    unknown = await send(http, "GET", f"{pair.url}/v1/incidents/i_{'0' * 24}", headers=bob)
    assert seen.pop("mine").status == 200
    for reply in seen.values():
        assert (reply.status, reply.json["code"], reply.json["detail"]) == (
            404,
            "incident_not_found",
            unknown.json["detail"],
        )
    listed = (await send(http, "GET", f"{pair.url}/v1/incidents", headers=bob)).json["incidents"]
    assert [entry["id"] for entry in listed if entry["alerts"]["alert"] == "Seen"] == [ids["mine"]]
    assert "diagnosis" not in listed[0]
    refused = await send(http, "GET", f"{pair.url}/v1/incidents?namespace=vault", headers=bob)
    assert (refused.status, refused.json["code"]) == (403, "namespace_forbidden")


async def test_a_diagnosis_that_speaks_of_other_places_is_withheld(
    pair: Pair, ada: dict[str, str], http: aiohttp.ClientSession
) -> None:
    bob = bearer(await log_in(http, pair.url, "bob"))
    told = await tell(http, pair.url, notification("speak of vault", cluster="prod"))
    incident = told.json["incident"]
    whole = await incident_when(http, pair.url, ada, incident, diagnosis_state="done")
    assert whole["diagnosis"]["unreadable"][0]["namespace"] == "vault"
    part = (await send(http, "GET", f"{pair.url}/v1/incidents/{incident}", headers=bob)).json
    assert (part["diagnosis"], part["headline"]) == (None, None)
    assert "POST /v1/diagnose" in part["withheld"]


async def test_lists_are_filtered_and_paged(pair: Pair, ada: dict[str, str], http: aiohttp.ClientSession) -> None:
    ids = []
    for n in range(7):
        body = notification(f"Paged{n}", namespace=("paged", "other")[n % 2])
        ids.append((await tell(http, pair.url, body)).json["incident"])
    await tell(http, pair.url, notification("Paged0", namespace="paged", status="resolved"))

    async def listed(**query: Any) -> tuple[list[str], str | None]:
        reply = await send(http, "GET", f"{pair.url}/v1/incidents", headers=ada, params=query)
        return [entry["id"] for entry in reply.json["incidents"]], reply.json["next"]

    first, cursor = await listed(limit=3)
    second, cursor = await listed(limit=3, cursor=cursor)
    assert (first, second) == (ids[6:3:-1], ids[3:0:-1])
    third, _ = await listed(limit=1, cursor=cursor)
    assert third == ids[:1]
    assert await listed(namespace="other") == (ids[5::-2], None)
    assert await listed(status="resolved", namespace="paged") == (ids[:1], None)
    assert await listed(status="firing", namespace="paged") == ([ids[6], ids[4], ids[2]], None)
    wrong = await send(http, "GET", f"{pair.url}/v1/incidents", headers=ada, params={"cursor": "x"})
    assert wrong.status == 422


# Faults


async def test_a_diagnosis_that_cannot_be_made_says_why_and_is_tried_again_when_the_alert_is_repeated(
    pair: Pair, ada: dict[str, str], http: aiohttp.ClientSession
) -> None:
    told = notification("plain 500")
    incident = (await tell(http, pair.url, told)).json["incident"]
    failed = await incident_when(http, pair.url, ada, incident, diagnosis_state="failed")
    assert (failed["reason"], failed["diagnosis"]) == ("The agent answered 500; its log has the reason.", None)
    await notes_when(http, pair.url, ada, incident, ["sent", "sent"])
    before = failed["diagnosed_at"]
    assert (await tell(http, pair.url, told)).json == {"incident": incident, "result": "requeued"}

    async def failed_again() -> bool:
        found = (await send(http, "GET", f"{pair.url}/v1/incidents/{incident}", headers=ada)).json
        return bool(found["diagnosis_state"] == "failed" and found["diagnosed_at"] > before)

    await eventually(failed_again, 20)
    await quiet(pair.target)
    assert pair.target.keys_of(incident) == [
        f"{incident}-1-slack",
        f"{incident}-1-webhook",
    ]  # the same again is no news
    assert pair.target.documents_of(incident, "webhook")[0]["event"] == "failed"


async def test_work_outlives_redis_and_is_done_once_by_two_gateways(
    own_redis: RedisServer, make_gateway: Make, own_agent: Agent, target: Target, http: aiohttp.ClientSession
) -> None:
    await add_users(own_redis.url)
    settings = notified(target, work_attempts=20, redis_retry_seconds=0.2)
    gateways = [make_gateway(own_redis.url, agent=own_agent.url, **settings) for _ in range(2)]
    ada = bearer(await log_in(http, gateways[0].url))
    bodies = [notification(f"Outlive{n}") for n in range(6)]
    ids = [(await tell(http, gateways[0].url, body)).json["incident"] for body in bodies]
    stop(own_redis.process)  # kill -9, with six diagnoses queued or being tried
    refused = await tell(http, gateways[1].url, notification("While it is away"))
    assert (refused.status, refused.json["code"]) == (503, "store_unavailable")
    own_agent.start()
    own_redis.start()
    for incident in ids:
        await incident_when(http, gateways[1].url, ada, incident, diagnosis_state="done")
        await notes_when(http, gateways[0].url, ada, incident, ["sent", "sent"])
    await quiet(target)
    assert sorted(target.keys) == sorted(f"{incident}-1-{kind}" for incident in ids for kind in ("slack", "webhook"))
    for n in range(6):
        assert len(await diagnoses(http, own_agent.url, f"Outlive{n}")) == 1


async def test_the_work_of_a_gateway_that_dies_is_done_by_another(
    own_redis: RedisServer, make_gateway: Make, own_agent: Agent, target: Target, http: aiohttp.ClientSession
) -> None:
    await add_users(own_redis.url)
    own_agent.start()
    assert own_agent.process
    settings = {**FAST, "slack_url": target.url}
    first = make_gateway(own_redis.url, agent=own_agent.url, **settings)
    ada = bearer(await log_in(http, first.url))
    own_agent.process.send_signal(signal.SIGSTOP)
    incident = (await tell(http, first.url, notification("Inherited"))).json["incident"]
    await incident_when(http, first.url, ada, incident, diagnosis_state="running")
    first.end()  # kill -9, in the middle of a diagnosis
    own_agent.process.send_signal(signal.SIGCONT)
    target.script = [503] * 3
    second = make_gateway(own_redis.url, agent=own_agent.url, **settings)

    async def tried() -> bool:
        return bool(target.posts)

    await eventually(tried, 20)
    second.end()  # and in the middle of a notification
    third = make_gateway(own_redis.url, agent=own_agent.url, **settings)
    await notes_when(http, third.url, ada, incident, ["sent"])
    await quiet(target)
    assert target.keys == [f"{incident}-1-slack"] * 4


async def test_a_gateway_that_ends_in_order_hands_its_work_over_at_once(
    own_redis: RedisServer, make_gateway: Make, own_agent: Agent, http: aiohttp.ClientSession
) -> None:
    await add_users(own_redis.url)
    own_agent.start()
    # A lease that the test would not live to see the end of.
    settings = {**FAST, "work_lease_seconds": 600, "notification_seconds": 0.2, "drain_delay_seconds": 0}
    first = make_gateway(own_redis.url, agent=own_agent.url, **settings)
    ada = bearer(await log_in(http, first.url))
    incident = (await tell(http, first.url, notification("slow"))).json["incident"]
    await incident_when(http, first.url, ada, incident, diagnosis_state="running")
    first.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.process.wait, 10)
    second = make_gateway(own_redis.url, agent="http://127.0.0.1:9", **settings, work_attempts=2)
    found = await incident_when(http, second.url, ada, incident, diagnosis_state="failed")
    assert "cannot be reached" in found["reason"]


# Notifications


@pytest.mark.parametrize(
    ("script", "state", "posts", "reason"),
    [
        ([503, 429, 500], "sent", 4, None),
        ([400], "failed", 1, "the target answered 400"),
        ([302], "failed", 1, "the target answered 302"),
        ([503] * 9, "failed", 4, "the target answered 503"),
    ],
    ids=["busy for a while", "never takes it", "a redirect is not followed", "busy for too long"],
)
async def test_a_target_is_tried_until_it_takes_it_or_never_will(
    pair: Pair,
    ada: dict[str, str],
    http: aiohttp.ClientSession,
    script: list[int],
    state: str,
    posts: int,
    reason: str | None,
) -> None:
    pair.target.script = list(script)
    alert = f"Told {state} {posts} {script[0]}"
    incident = (await tell(http, pair.url, notification(alert))).json["incident"]
    slack, webhook = await notes_when(http, pair.url, ada, incident, [state, "sent"])
    assert (slack["attempts"], slack["reason"], webhook["attempts"]) == (posts, reason, 1)
    await quiet(pair.target, 0.5)
    assert pair.target.keys_of(incident) == [f"{incident}-1-slack"] * posts + [f"{incident}-1-webhook"]
    logs = "".join(gateway.log.read_text() for gateway in pair.gateways)
    assert pair.target.url not in logs
    assert WEBHOOK_KEY not in logs


async def test_what_was_told_and_given_up_is_counted(pair: Pair, http: aiohttp.ClientSession) -> None:
    texts = [(await send(http, "GET", f"{gateway.url}/metrics")).body.decode() for gateway in pair.gateways]
    for outcome in ("sent", "failed", "retried"):
        assert any(f'notifications_total{{outcome="{outcome}",target="slack"}}' in text for text in texts), outcome
    assert all('kubetriage_gateway_work_queue_length{queue="incidents"} 0.0' in text for text in texts)
