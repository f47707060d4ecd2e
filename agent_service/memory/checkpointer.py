"""LangGraph's checkpoints in Redis without modules (langgraph-checkpoint-redis needs RedisJSON and RediSearch).

One hash per thread, so that a conversation expires and is deleted as one thing. Its fields are
``c SEP namespace SEP checkpoint`` and ``w SEP namespace SEP checkpoint SEP task SEP index``.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from redis.asyncio import Redis

_SEP = "\x1f"
PREFIX = "kubetriage:memory:"


class RedisCheckpointer(BaseCheckpointSaver[str]):
    """Asynchronous only. Every write prolongs the life of its thread by ``ttl_seconds``.

    ``keep``: how many of the newest checkpoints of a namespace stay (None: all). A checkpoint holds
    the whole conversation, so all of them would grow with its square. Redis errors are passed on.
    """

    def __init__(self, redis: Redis, *, ttl_seconds: int, keep: int | None = 1, prefix: str = PREFIX) -> None:
        super().__init__()
        self._redis = redis
        self._ttl = ttl_seconds
        self._keep = keep
        self._prefix = prefix

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        thread, namespace = _thread(config), _namespace(config)
        ids = await self._ids(thread, namespace)
        wanted = get_checkpoint_id(config) or (ids[0] if ids else None)
        if wanted is None or wanted not in ids:
            return None
        return await self._read(thread, namespace, wanted)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - the name is LangGraph's
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        threads = [_thread(config)] if config else [thread async for thread in self._threads()]
        only = config["configurable"].get("checkpoint_ns") if config else None
        exact = get_checkpoint_id(config) if config else None
        ceiling = get_checkpoint_id(before) if before else None
        given = 0
        for thread in threads:
            for namespace, checkpoint in await self._all_ids(thread):
                if only not in {None, namespace} or exact not in {None, checkpoint}:
                    continue
                if ceiling is not None and checkpoint >= ceiling:
                    continue
                if limit is not None and given >= limit:
                    return
                found = await self._read(thread, namespace, checkpoint)
                if found is None or any(found.metadata.get(name) != value for name, value in (filter or {}).items()):
                    continue
                given += 1
                yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        del new_versions  # channel values are stored whole
        thread, namespace = _thread(config), _namespace(config)
        key = self._key(thread)
        parent = get_checkpoint_id(config) or ""
        value = self._pack(parent, checkpoint, get_checkpoint_metadata(config, metadata))
        gone = await self._superseded(thread, namespace, checkpoint["id"])
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, _SEP.join(("c", namespace, checkpoint["id"])), value)
            if gone:
                pipe.hdel(key, *gone)
            pipe.expire(key, self._ttl)
            await pipe.execute()
        return _config(thread, namespace, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        key = self._key(_thread(config))
        checkpoint = str(get_checkpoint_id(config))
        async with self._redis.pipeline(transaction=True) as pipe:
            for position, (channel, value) in enumerate(writes):
                index = WRITES_IDX_MAP.get(channel, position)
                field = _SEP.join(("w", _namespace(config), checkpoint, task_id, str(index)))
                packed = self._pack(channel, value, task_path)
                # A task's first word stays; errors and interrupts (negative) may be replaced.
                if index >= 0:
                    pipe.hsetnx(key, field, packed)
                else:
                    pipe.hset(key, field, packed)
            pipe.expire(key, self._ttl)
            await pipe.execute()

    async def adelete_thread(self, thread_id: str) -> None:
        await self._redis.unlink(self._key(thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._redis.copy(self._key(source_thread_id), self._key(target_thread_id), replace=True)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        for thread in thread_ids:
            if strategy == "delete":
                await self.adelete_thread(thread)
                continue
            latest: dict[str, str] = {}
            for namespace, checkpoint in await self._all_ids(thread):
                latest.setdefault(namespace, checkpoint)
            gone = [field for field in await self._fields(thread) if latest.get(_part(field, 1)) != _part(field, 2)]
            if gone:
                await self._redis.hdel(self._key(thread), *gone)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        async for thread in self._threads():
            doomed = set()
            for namespace, checkpoint in await self._all_ids(thread):
                found = await self._read(thread, namespace, checkpoint)
                if found is not None and found.metadata.get("run_id") in run_ids:
                    doomed.add((namespace, checkpoint))
            gone = [f for f in await self._fields(thread) if (_part(f, 1), _part(f, 2)) in doomed]
            if gone:
                await self._redis.hdel(self._key(thread), *gone)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """As LangGraph's own savers: ordered, and different for two writers of the same step."""
        del channel
        number = int(str(current).split(".", maxsplit=1)[0]) if current is not None else 0
        return f"{number + 1:032}.{random.random():016}"  # noqa: S311 - not a secret

    def _key(self, thread: str) -> str:
        return f"{self._prefix}{thread}"

    async def _threads(self) -> AsyncIterator[str]:
        async for key in self._redis.scan_iter(match=f"{self._prefix}*"):
            yield key.decode().removeprefix(self._prefix)

    async def _fields(self, thread: str) -> list[str]:
        fields: Any = await self._redis.hkeys(self._key(thread))  # bytes: nothing is decoded for us
        return [field.decode() for field in fields]

    async def _all_ids(self, thread: str) -> list[tuple[str, str]]:
        """(namespace, checkpoint) pairs, newest first: ids are time-ordered UUIDs (RFC 9562, version 6)."""
        pairs = [(_part(field, 1), _part(field, 2)) for field in await self._fields(thread) if field[0] == "c"]
        return sorted(pairs, key=lambda pair: pair[1], reverse=True)

    async def _ids(self, thread: str, namespace: str) -> list[str]:
        return [checkpoint for where, checkpoint in await self._all_ids(thread) if where == namespace]

    async def _superseded(self, thread: str, namespace: str, newest: str) -> list[str]:
        """Fields to delete once ``newest`` is stored."""
        if self._keep is None:
            return []
        fields = await self._fields(thread)
        ids = sorted({_part(f, 2) for f in fields if f[0] == "c" and _part(f, 1) == namespace} | {newest})
        old = set(ids[: -self._keep])
        return [field for field in fields if _part(field, 1) == namespace and _part(field, 2) in old]

    async def _read(self, thread: str, namespace: str, checkpoint: str) -> CheckpointTuple | None:
        start = _SEP.join(("w", namespace, checkpoint, ""))
        names = [field for field in await self._fields(thread) if field.startswith(start)]
        wanted = [_SEP.join(("c", namespace, checkpoint)), *names]
        packed, *writes = await self._redis.hmget(self._key(thread), wanted)
        if packed is None:
            return None
        parent, content, metadata = self._unpack(packed)
        pending = []
        for name, value in zip(names, writes, strict=True):
            if value is not None:
                channel, written, path = self._unpack(value)
                pending.append((path, _part(name, 3), int(_part(name, 4)), channel, written))
        pending.sort(key=lambda entry: entry[:3])
        return CheckpointTuple(
            config=_config(thread, namespace, checkpoint),
            checkpoint=content,
            metadata=metadata,
            parent_config=_config(thread, namespace, parent) if parent else None,
            pending_writes=[(task, channel, written) for _, task, _, channel, written in pending],
        )

    def _pack(self, *parts: Any) -> bytes:
        return ormsgpack.packb([self.serde.dumps_typed(part) for part in parts])

    def _unpack(self, packed: Any) -> Iterable[Any]:
        return [self.serde.loads_typed((kind, value)) for kind, value in ormsgpack.unpackb(packed)]


def _thread(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])


def _namespace(config: RunnableConfig) -> str:
    return str(config["configurable"].get("checkpoint_ns") or "")


def _part(field: str, position: int) -> str:
    return field.split(_SEP)[position]


def _config(thread: str, namespace: str, checkpoint: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint}}
