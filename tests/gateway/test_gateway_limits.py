import asyncio
import signal
import time

import pytest

from gateway.problems import QUOTA_EXCEEDED
from tests.gateway.support import PASSWORD, add_users, bearer, log_in
from tests.processes import RedisServer, send, stop


async def test_the_quota_of_a_user_admits_exactly_the_limit_and_says_where_one_stands(own_redis, make_gateway, http):
    await add_users(own_redis.url)
    running = make_gateway(own_redis.url, limit_user="5/minute")
    ada, bob = bearer(await log_in(http, running.url)), bearer(await log_in(http, running.url, "bob"))
    replies = [await send(http, "GET", f"{running.url}/v1/me", headers=ada) for _ in range(7)]
    assert [reply.status for reply in replies] == [200] * 5 + [429] * 2
    assert replies[0].headers["RateLimit-Policy"] == '"address";q=600;w=60, "user";q=5;w=60'
    assert '"user";r=4;t=' in replies[0].headers["RateLimit"]
    assert "Retry-After" not in replies[0].headers
    last = replies[-1]
    assert (last.json["type"], last.json["violated-policies"]) == (QUOTA_EXCEEDED, ["user"])
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert f";r=0;t={last.headers['Retry-After']}" in last.headers["RateLimit"]
    assert (await send(http, "GET", f"{running.url}/v1/me", headers=bob)).status == 200


async def test_bad_tokens_use_up_the_quota_of_the_address_but_probes_never_do(own_redis, make_gateway, http):
    running = make_gateway(own_redis.url, limit_address="3/minute")
    statuses = [(await send(http, "GET", f"{running.url}/v1/me", headers=bearer("x.y.z"))).status for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await send(http, "GET", running.url + path)).status == 200


async def test_a_path_parameter_does_not_open_a_new_window(own_redis, make_gateway, http):
    await add_users(own_redis.url)
    running = make_gateway(own_redis.url, limit_user="3/minute")
    ada = bearer(await log_in(http, running.url))
    statuses = [
        (await send(http, "GET", f"{running.url}/v1/sessions/s_number{n}", headers=ada)).status for n in range(5)
    ]
    assert statuses == [404, 404, 404, 429, 429]


async def test_three_gateways_on_one_redis_admit_the_limit_and_not_one_more(own_redis, make_gateway, http):
    await add_users(own_redis.url)
    gateways = [make_gateway(own_redis.url, limit_user="20/minute") for _ in range(3)]
    ada = bearer(await log_in(http, gateways[0].url))
    replies = await asyncio.gather(
        *(send(http, "GET", f"{gateways[n % 3].url}/v1/me", headers=ada) for n in range(200))
    )
    statuses = [reply.status for reply in replies]
    assert (statuses.count(200), statuses.count(429)) == (20, 180)


@pytest.fixture
async def served(own_redis, make_gateway, http):
    """A gateway that gives Redis 0.3 s, and a logged-in user."""
    await add_users(own_redis.url)
    running = make_gateway(
        own_redis.url, redis_timeout_seconds=0.3, redis_retry_seconds=0.5, limit_user="6/minute", limit_ask="100/minute"
    )
    return running, bearer(await log_in(http, running.url))


async def works_without_redis(http, running, headers, agent_url) -> None:
    diagnosis = await send(http, "POST", f"{running.url}/v1/diagnose", headers=headers, json={})
    assert diagnosis.status == 200
    asked = await send(http, "POST", f"{running.url}/v1/ask", headers=headers, json={"question": "hello"})
    login = await send(http, "POST", f"{running.url}/v1/auth/token", data={"username": "ada", "password": PASSWORD})
    for reply in (asked, login):
        assert (reply.status, reply.json["code"]) == (503, "store_unavailable")
        assert reply.headers["Retry-After"] == "2"
    ready = await send(http, "GET", f"{running.url}/readyz")
    assert (ready.status, ready.json["status"]) == (200, "degraded")
    statuses = [(await send(http, "GET", f"{running.url}/v1/me", headers=headers)).status for _ in range(8)]
    assert 429 in statuses  # counted in the process
    assert set(statuses) == {200, 429}


async def test_a_dead_redis_costs_logins_and_conversations_but_not_diagnoses(
    served, own_redis: RedisServer, http, agent_url
):
    running, headers = served
    stop(own_redis.process)
    await works_without_redis(http, running, headers, agent_url)
    own_redis.start()

    deadline = time.monotonic() + 10
    form = {"username": "ada", "password": PASSWORD}
    while (await send(http, "POST", f"{running.url}/v1/auth/token", data=form)).status != 200:
        assert time.monotonic() < deadline, "it did not recover"
        await asyncio.sleep(0.2)


async def test_a_stalled_redis_does_not_stall_the_gateway(served, own_redis: RedisServer, http, agent_url):
    running, headers = served
    own_redis.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        limited = asyncio.create_task(send(http, "GET", f"{running.url}/v1/me", headers=headers))
        await asyncio.sleep(0.05)
        asked = time.monotonic()
        assert (await send(http, "GET", f"{running.url}/healthz")).status == 200
        assert time.monotonic() - asked < 0.25  # while the other one waits for Redis
        assert (await limited).status == 200
        assert time.monotonic() - began < 1.5
        await works_without_redis(http, running, headers, agent_url)
    finally:
        own_redis.process.send_signal(signal.SIGCONT)
