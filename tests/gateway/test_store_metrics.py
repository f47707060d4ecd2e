"""What a gateway measures of Redis: every round trip, and what INFO says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.exceptions import RedisError

from gateway.metrics import Metrics
from gateway.store_state import StoreState
from kubetriage.redis_connection import connect_redis
from tests.processes import RedisServer, eventually, free_port, send, stop

PREFIX = "kubetriage_gateway_redis"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A Redis Cluster of one."""
    # The usual port of the bus, 10000 higher, may be none.
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    server = RedisServer(free_port(), tmp_path, options)
    yield f"redis+cluster://127.0.0.1:{server.port}"
    stop(server.process)


def trips(registry: CollectorRegistry, command: str, outcome: str = "ok") -> float:
    labels = {"command": command, "outcome": outcome}
    return registry.get_sample_value(f"{PREFIX}_duration_seconds_count", labels) or 0.0


async def some_calls(client: Any) -> None:
    await client.set("{a}name", "value")
    async with client.pipeline(transaction=False) as pipe:
        pipe.get("{a}name")
        pipe.exists("{a}other")
        assert await pipe.execute() == ["value", 0]


async def test_commands_and_pipelines_are_counted_once_each(shared_redis: RedisServer) -> None:
    metrics = Metrics()
    client = connect_redis(shared_redis.url, decode=True, observe=metrics.redis.observe)
    await some_calls(client)
    await client.aclose()
    assert (trips(metrics.registry, "set"), trips(metrics.registry, "pipeline")) == (1, 1)
    assert trips(metrics.registry, "get") == 0, "it was part of the pipeline"


async def test_a_cluster_is_measured_as_one_server_is(cluster: str) -> None:
    metrics = Metrics()
    node: Any = connect_redis(cluster.replace("redis+cluster", "redis"))
    await node.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")

    async def formed() -> bool:
        return b"cluster_state:ok" in await node.execute_command("CLUSTER", "INFO")

    await eventually(formed, 20)
    await node.aclose()
    client: Any = connect_redis(cluster, decode=True, observe=metrics.redis.observe)
    await some_calls(client)
    await client.aclose()
    assert (trips(metrics.registry, "set"), trips(metrics.registry, "pipeline")) == (1, 1)


async def test_what_redis_does_not_answer_is_an_error(own_redis: RedisServer) -> None:
    metrics = Metrics()
    client = connect_redis(own_redis.url, observe=metrics.redis.observe)
    stop(own_redis.process)
    with pytest.raises(RedisError):
        await client.get("name")
    await client.aclose()
    assert (trips(metrics.registry, "get", "error"), trips(metrics.registry, "get")) == (1, 0)


async def test_memory_clients_and_evictions_are_those_of_info(own_redis: RedisServer) -> None:
    metrics = Metrics()
    client: Any = connect_redis(own_redis.url, decode=True)
    state = StoreState(client, metrics)

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"{PREFIX}_{name}")

    await client.config_set("maxmemory", "3mb")
    await client.config_set("maxmemory-policy", "allkeys-lru")
    await state.read()
    assert value("memory_limit_bytes") == 3 * 2**20
    assert 0 < (value("memory_bytes") or 0) < 3 * 2**20
    assert value("clients") == 1
    assert value("evictions_total") == 0
    for number in range(40):
        await client.set(f"key {number}", "x" * 100_000)
    await state.read()
    evicted = (await client.info("stats"))["evicted_keys"]
    assert value("evictions_total") == evicted > 0
    stop(own_redis.process)
    await state.read()
    assert math.isnan(value("memory_bytes") or 0), "not known is not 0"
    own_redis.start()
    await state.read()
    assert value("evictions_total") == evicted, "a Redis that counts anew is no eviction"
    await client.aclose()


async def test_every_gateway_notices_a_redis_that_was_emptied_and_none_that_started_again(
    own_redis: RedisServer,
) -> None:
    client: Any = connect_redis(own_redis.url, decode=True)
    gateways = [(StoreState(client, metrics), metrics) for metrics in (Metrics(), Metrics())]

    async def losses() -> list[float | None]:
        for state, _ in gateways:
            await state.read()
        return [metrics.registry.get_sample_value(f"{PREFIX}_losses_total") for _, metrics in gateways]

    assert await losses() == [0, 0]
    await client.config_set("appendfsync", "always")
    await client.set("kt:mark:written", "and synced with what came before")
    stop(own_redis.process)
    assert await losses() == [0, 0], "away is not emptied"
    own_redis.start()
    assert await losses() == [0, 0], "its file has it all"
    await client.flushall()
    assert await losses() == [1, 1]
    assert await losses() == [1, 1]
    await client.aclose()


async def test_a_redis_that_may_not_be_asked_is_neither_failing_nor_without_persistence(
    own_redis: RedisServer, make_gateway: Any, http: Any
) -> None:
    client: Any = connect_redis(own_redis.url)
    await client.execute_command("ACL", "SETUSER", "managed", "on", ">word", "~*", "+@all", "-info")
    await client.aclose()
    running = make_gateway(own_redis.url.replace("//", "//managed:word@"))
    ready = await send(http, "GET", f"{running.url}/readyz")
    assert ready.json["checks"]["redis"] == "ok"
    assert "redis_persistence" not in ready.json["checks"]
    text = (await send(http, "GET", f"{running.url}/metrics")).body.decode()
    assert "kubetriage_gateway_store_persistent NaN" in text
    assert "kubetriage_gateway_store_failures_total 0.0" in text


async def test_a_gateway_asks_in_the_background(own_redis: RedisServer, make_gateway: Any, http: Any) -> None:
    running = make_gateway(own_redis.url)
    text = (await send(http, "GET", f"{running.url}/metrics")).body.decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(f"{PREFIX}_memory_bytes"))
    assert float(values[f"{PREFIX}_memory_bytes"]) > 0
