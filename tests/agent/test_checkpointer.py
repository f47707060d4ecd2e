"""The checkpointer on a real Redis: LangGraph's conformance suite, TTL, what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate

from agent_service.memory.checkpointer import RedisCheckpointer
from kubetriage.redis_connection import connect_redis
from tests.processes import RedisServer


async def test_conformance_of_langgraph(shared_redis: RedisServer) -> None:
    redis = connect_redis(shared_redis.url)

    @checkpointer_test("redis-plain")
    async def factory() -> AsyncIterator[RedisCheckpointer]:
        yield RedisCheckpointer(redis, ttl_seconds=60, keep=None, prefix=f"conformance:{uuid4().hex}:")

    report = await validate(factory)
    await redis.aclose()
    failed = {name: result.failures for name, result in report.results.items() if result.failures}
    assert not failed
    assert report.passed_all()


@pytest.fixture
async def saver(shared_redis: RedisServer) -> AsyncIterator[RedisCheckpointer]:
    redis = connect_redis(shared_redis.url)
    yield RedisCheckpointer(redis, ttl_seconds=60, keep=2, prefix=f"test:{uuid4().hex}:")
    await redis.aclose()


async def put(saver: RedisCheckpointer, thread: str, count: int) -> list[str]:
    ids = []
    config = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
    for step in range(count):
        checkpoint = empty_checkpoint()
        config = await saver.aput(config, checkpoint, {"source": "loop", "step": step, "parents": {}}, {})
        await saver.aput_writes(config, [("messages", step)], "task")
        ids.append(checkpoint["id"])
    return ids


async def test_only_the_newest_are_kept_with_their_writes(saver: RedisCheckpointer) -> None:
    ids = await put(saver, "t", 5)
    kept = [found async for found in saver.alist({"configurable": {"thread_id": "t"}})]
    assert [found.checkpoint["id"] for found in kept] == [ids[4], ids[3]]
    assert kept[0].pending_writes == [("task", "messages", 4)]
    assert len(await saver._redis.hkeys(saver._key("t"))) == 4


async def test_a_thread_expires_and_every_write_prolongs_it(saver: RedisCheckpointer) -> None:
    await put(saver, "t", 1)
    await saver._redis.expire(saver._key("t"), 5)
    await put(saver, "t", 1)
    assert 55 < await saver._redis.ttl(saver._key("t")) <= 60


async def test_a_deleted_thread_is_gone_and_its_neighbour_is_not(saver: RedisCheckpointer) -> None:
    await put(saver, "a", 1)
    await put(saver, "a2", 1)
    await saver.adelete_thread("a")
    assert await saver.aget_tuple({"configurable": {"thread_id": "a"}}) is None
    assert await saver.aget_tuple({"configurable": {"thread_id": "a2"}}) is not None
