"""Batches: many questions, nobody waiting, on a real Redis with two gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from gateway.users import open_users
from tests.gateway.alerting import FAST
from tests.gateway.support import add_users, bearer, log_in, seen_by_agent
from tests.gateway.test_incidents import Agent, diagnoses
from tests.processes import RedisServer, Reply, RunningService, eventually, free_port, send, stop

Make = Callable[..., RunningService]
SETTINGS = {**FAST, "work_attempts": 20, "limit_ask": "1000/minute"}


@pytest.fixture
def own_agent() -> Iterator[Agent]:
    made = Agent(free_port())
    yield made
    if made.process:
        stop(made.process)


async def create(http: aiohttp.ClientSession, url: str, headers: dict[str, str], *items: dict[str, Any]) -> Reply:
    return await send(http, "POST", f"{url}/v1/batches", headers=headers, json={"items": items})


async def batch_when(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], batch: str, **wanted: Any
) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_so() -> bool:
        reply = await send(http, "GET", f"{url}/v1/batches/{batch}", headers=headers)
        found.update(reply.json)
        return reply.status == 200 and all(found[name] == value for name, value in wanted.items())

    await eventually(is_so, 30)
    return found


async def test_a_batch_is_answered_with_its_owners_rights_and_seen_by_nobody_else(
    own_redis: RedisServer, make_gateway: Make, agent_url: str, http: aiohttp.ClientSession
) -> None:
    await add_users(own_redis.url)
    url = make_gateway(own_redis.url, **SETTINGS, batch_open=2).url
    ada, bob = bearer(await log_in(http, url)), bearer(await log_in(http, url, "bob"))
    made = await create(
        http,
        url,
        bob,
        {"namespace": "shop", "question": "batched"},
        {"namespace": "shop", "ask": True, "question": "in words"},
        {"namespace": "shop", "question": "problem 409"},
    )
    assert (made.status, made.json["total"], made.headers["Location"]) == (202, 3, f"/v1/batches/{made.json['id']}")
    batch = made.json["id"]
    found = await batch_when(http, url, bob, batch, status="done")
    assert [result["state"] for result in found["results"]] == ["done", "done", "failed"]
    assert found["results"][0]["diagnosis"]["summary"] == "fine"
    assert found["results"][1]["answer"]["answer"] == "about in words"
    assert found["results"][2]["reason"] == "T"
    (call,) = await diagnoses(http, agent_url, "batched")
    claims = call["claims"]
    assert (claims["subject"], claims["namespaces"], claims["clusters"]) == ("bob", ["shop"], ["prod"])

    for method in ("GET", "DELETE"):
        reply = await send(http, method, f"{url}/v1/batches/{batch}", headers=ada)
        assert (reply.status, reply.json["code"]) == (404, "batch_not_found")
    assert (await send(http, "GET", f"{url}/v1/batches", headers=ada)).json == {"batches": []}
    (listed,) = (await send(http, "GET", f"{url}/v1/batches", headers=bob)).json["batches"]
    assert listed == {name: found[name] for name in ("id", "status", "total", "finished", "created_at")}
    refused = await create(http, url, bob, {"namespace": "shop"}, {"namespace": "vault"})
    assert (refused.status, refused.json["code"]) == (403, "namespace_forbidden")
    assert (await create(http, url, bob)).status == 422
    assert (await create(http, url, bob, *[{"namespace": "shop"}] * 51)).status == 422

    keyed = {**ada, "Idempotency-Key": "once"}
    twice = await asyncio.gather(*(create(http, url, keyed, {"question": "slow"}) for _ in range(4)))
    assert len({reply.json["id"] for reply in twice}) == 1
    other = await create(http, url, keyed, {"question": "something else"})
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")
    assert (await create(http, url, ada, {"question": "slow"})).status == 202
    many = await create(http, url, ada, {"question": "slow"})
    assert (many.status, many.json["code"]) == (409, "batch_limit")


async def test_a_batch_outlives_redis_and_gateways_and_nothing_is_asked_twice(
    own_redis: RedisServer, make_gateway: Make, own_agent: Agent, http: aiohttp.ClientSession
) -> None:
    await add_users(own_redis.url)
    settings = {**SETTINGS, "redis_retry_seconds": 0.2}
    first, second = (make_gateway(own_redis.url, agent=own_agent.url, **settings) for _ in range(2))
    ada = bearer(await log_in(http, first.url))
    items = [{"question": f"lasting {n}"} for n in range(12)]
    batch = (await create(http, first.url, ada, *items)).json["id"]
    first.end()  # kill -9
    stop(own_redis.process)  # kill -9
    own_redis.start()
    own_agent.start()
    found = await batch_when(http, second.url, ada, batch, status="done", finished=12)
    assert [result["item"] for result in found["results"]] == list(range(12))
    for n in range(12):
        assert len(await diagnoses(http, own_agent.url, f"lasting {n}")) == 1


async def test_what_is_cancelled_or_of_somebody_shut_out_is_not_asked(
    own_redis: RedisServer, make_gateway: Make, own_agent: Agent, http: aiohttp.ClientSession
) -> None:
    await add_users(own_redis.url)
    url = make_gateway(own_redis.url, agent=own_agent.url, **SETTINGS).url
    ada, bob = bearer(await log_in(http, url)), bearer(await log_in(http, url, "bob"))
    cancelled = (await create(http, url, ada, *[{"question": "never"}] * 5)).json["id"]
    assert (await send(http, "DELETE", f"{url}/v1/batches/{cancelled}", headers=ada)).status == 204
    await create(http, url, bob, {"namespace": "shop", "question": "never"})
    async with open_users(own_redis.url) as users:
        await users.disable("bob")
    last = (await create(http, url, ada, {"question": "the last"})).json["id"]
    own_agent.start()
    await batch_when(http, url, ada, last, status="done")

    async def nothing_waits() -> bool:
        text = (await send(http, "GET", f"{url}/metrics")).body
        return b'kubetriage_gateway_work_queue_length{queue="batches"} 0.0' in text

    await eventually(nothing_waits, 20)
    found = await batch_when(http, url, ada, cancelled, status="cancelled")
    assert (found["finished"], found["results"]) == (0, [])
    asked = [call.get("question") for call in (await seen_by_agent(http, own_agent.url))["calls"]]
    assert asked == ["the last"]
    assert (await send(http, "DELETE", f"{url}/v1/batches/{cancelled}", headers=ada)).status == 204
