"""A master that Sentinels watch, and a Cluster: the product works on both and keeps everything when a master dies.

Real redis-servers, a real gateway and a real agent with the sample cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis

from gateway.audit.log import open_log
from gateway.users import open_users
from kubetriage.redis_connection import RedisUrlError, connect_redis
from tests.agent.support import start_agent
from tests.gateway.alerting import FAST, incident_when, notification, tell
from tests.gateway.support import PASSWORD, bearer, start_gateway
from tests.processes import RedisServer, RunningService, eventually, free_port, send, stop

QUESTION = {"question": "Why is checkout failing?", "namespace": "shop"}
PATIENCE = 60  # seconds, from the death of a master until its replica serves on a busy machine


@dataclass
class Deployment:
    """``masters``: who holds the data at the start."""

    url: str
    masters: list[RedisServer]
    has_failed_over: Callable[[], bool]
    password: str | None = None


def wait_for_replica(master: RedisServer, password: str | None) -> None:
    client: Any = redis.Redis(port=master.port, password=password)
    with contextlib.closing(client):
        written = client.info("replication")["master_repl_offset"]
        wait_until(lambda: client.info("replication")["slave0"]["offset"] >= written)


@pytest.fixture
def ending() -> Iterator[contextlib.ExitStack]:
    """What a deployment has started ends with the test."""
    with contextlib.ExitStack() as stack:
        yield stack


def start(
    ending: contextlib.ExitStack, folder: Path, port: int, *options: str, command: tuple[str, ...] = ()
) -> RedisServer:
    folder.mkdir(exist_ok=True)
    server = RedisServer(port, folder, options, command)
    ending.callback(stop, server.process)
    return server


def client_of(ending: contextlib.ExitStack, server: RedisServer, password: str | None = None) -> Any:
    client: Any = redis.Redis(port=server.port, password=password, decode_responses=True)
    ending.callback(client.close)
    return client


@pytest.fixture
def sentinels(tmp_path: Path, ending: contextlib.ExitStack) -> Deployment:
    """A master, a replica and three Sentinels."""
    keys = ("--requirepass", "pw", "--masterauth", "pw")
    master = start(ending, tmp_path / "master", free_port(), *keys)
    replica = start(ending, tmp_path / "replica", free_port(), *keys, "--replicaof", f"127.0.0.1 {master.port}")
    following = client_of(ending, replica, "pw")
    wait_until(lambda: following.info("replication").get("master_link_status") == "up")
    watching = []
    for number in range(3):
        folder, port = tmp_path / f"sentinel-{number}", free_port()
        folder.mkdir()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {master.port} 2\n"
            "sentinel auth-pass shop pw\nsentinel down-after-milliseconds shop 1000\n"
            "sentinel failover-timeout shop 5000\n"
        )
        watching.append(start(ending, folder, port, command=("redis-server", str(config), "--sentinel")))
    clients = [client_of(ending, one) for one in watching]
    wait_until(lambda: all(knows_all(client) for client in clients))
    hosts = ",".join(f"127.0.0.1:{one.port}" for one in watching)

    def has_failed_over() -> bool:
        return int(clients[0].sentinel_get_master_addr_by_name("shop")[1]) == replica.port

    return Deployment(f"redis+sentinel://:pw@{hosts}/shop/0", [master], has_failed_over, password="pw")


def knows_all(sentinel: Any) -> bool:
    return len(sentinel.sentinel_sentinels("shop")) == 2 and len(sentinel.sentinel_slaves("shop")) == 1


@pytest.fixture
def cluster(tmp_path: Path, ending: contextlib.ExitStack) -> Deployment:
    """Three masters with a replica each."""
    if shutil.which("redis-cli") is None:
        pytest.skip("there is no redis-cli (package redis-tools), which makes a Cluster of servers")
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-port")
    # By default the port of the bus is 10,000 above the other, which may be no port at all.
    nodes = [start(ending, tmp_path / str(number), free_port(), *options, str(free_port())) for number in range(6)]
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    subprocess.run(
        ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    clients = {node.port: client_of(ending, node) for node in nodes}
    wait_until(lambda: all(is_whole(client) for client in clients.values()))
    masters = [node for node in nodes if clients[node.port].info("replication")["role"] == "master"]
    assert len(masters) == 3

    def has_failed_over() -> bool:
        alive = [client for port, client in clients.items() if port != masters[0].port]
        roles = [client.info("replication")["role"] for client in alive]
        return roles.count("master") == 3 and all(is_in_order(client) for client in alive)

    return Deployment(f"redis+cluster://{addresses[0]},{addresses[1]}", masters, has_failed_over)


def is_in_order(node: Any) -> bool:
    return bool(node.cluster("info")["cluster_state"] == "ok")


def is_whole(node: Any) -> bool:
    """In order, and as a replica in step with its master."""
    return is_in_order(node) and node.info("replication").get("master_link_status", "up") == "up"


def wait_until(check: Callable[[], bool], seconds: float = 60) -> None:
    async def checked() -> bool:
        return check()

    asyncio.run(eventually(checked, seconds))


@pytest.fixture(params=["sentinels", "cluster"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    found: Deployment = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def gateway(deployment: Deployment, tmp_path: Path) -> Iterator[RunningService]:
    async def first_user() -> None:
        async with open_users(deployment.url) as users:
            await users.create("ada", PASSWORD)

    asyncio.run(first_user())
    agent = start_agent(tmp_path, deployment.url)
    running = start_gateway(tmp_path, deployment.url, agent.url, limit_ask="4/hour", **FAST)
    yield running
    running.end()
    agent.end()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


@pytest.mark.timeout(300)
async def test_nothing_is_lost_when_a_master_dies(
    deployment: Deployment, gateway: RunningService, http: aiohttp.ClientSession
) -> None:
    async def call(method: str, path: str, expected: int = 200, **options: Any) -> Any:
        reply = await send(http, method, gateway.url + path, **options)
        assert reply.status == expected, reply.body
        return reply.json if reply.body else None

    form = {"username": "ada", "password": PASSWORD}
    tokens = await call("POST", "/v1/auth/token", data=form)
    ada: dict[str, Any] = {"headers": bearer(tokens)}
    ready = await call("GET", "/readyz")
    assert ready["checks"]["redis"] == "ok"
    assert "redis_persistence" not in ready["checks"]
    first = await call("POST", "/v1/ask", json=QUESTION, **ada)
    session = first["session_id"]
    await call("POST", "/v1/ask", json={"question": "And since when?", "session_id": session}, **ada)
    other = await call("POST", "/v1/ask", json=QUESTION, **ada)
    await call("DELETE", f"/v1/sessions/{other['session_id']}", 204, **ada)
    opened = (await tell(http, gateway.url, notification("Before"))).json["incident"]
    before = await incident_when(http, gateway.url, ada["headers"], opened, diagnosis_state="done")
    # Replication is asynchronous: what a replica has not read yet dies with its master (docs/reliability.md).
    for master in deployment.masters:
        await asyncio.to_thread(wait_for_replica, master, deployment.password)

    stop(deployment.masters[0].process)

    async def served_again() -> bool:
        if not deployment.has_failed_over():
            return False
        reply = await send(http, "GET", f"{gateway.url}/v1/sessions", **ada)
        return reply.status == 200

    await eventually(served_again, PATIENCE)
    listed = await call("GET", "/v1/sessions", **ada)
    assert [(one["id"], one["turns"]) for one in listed["sessions"]] == [(session, 2)]
    said = await call("GET", f"/v1/sessions/{session}/messages", **ada)
    assert [one["content"] for one in said["messages"] if one["role"] == "user"] == [
        QUESTION["question"],
        "And since when?",
    ]
    assert await call("GET", f"/v1/incidents/{opened}", **ada) == before
    opened = (await tell(http, gateway.url, notification("After"))).json["incident"]
    await incident_when(http, gateway.url, ada["headers"], opened, diagnosis_state="done")
    async with open_log(deployment.url) as log:
        assert (await log.verify()).count >= 5
    renewed = await call("POST", "/v1/auth/refresh", data={"refresh_token": tokens["refresh_token"]})
    ada = {"headers": bearer(renewed)}
    answer = await call("POST", "/v1/ask", json={"question": "And now?", "session_id": session}, **ada)
    assert answer["session_id"] == session
    # The fifth of four an hour: the count survived, too.
    refused = await call("POST", "/v1/ask", 429, json=QUESTION, **ada)
    assert refused["violated-policies"] == ["ask"]


def test_a_url_that_is_none_says_what_it_needs_and_never_itself() -> None:
    for url in (
        "redis+sentinel://:hidden@host",
        "redis+other://:hidden@host",
        "redis+cluster://:hidden@host:port",
        "http://:hidden@host",
    ):
        with pytest.raises(RedisUrlError) as caught:
            connect_redis(url)
        assert "Redis" in str(caught.value)
        assert "hidden" not in str(caught.value)
