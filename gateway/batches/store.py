"""Batches in Redis: a hash for each, an index for each owner, and one stream of items to be answered."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from redis.asyncio import Redis

from gateway.settings import Settings
from gateway.work.queue import GROUP, Job
from kubetriage.contracts.batches import Batch, BatchItem, BatchResult

_PREFIX = "kt:{batches}:"
WORK = f"{_PREFIX}work"
_RECORD = f"{_PREFIX}record:"
_items: TypeAdapter[tuple[BatchItem, ...]] = TypeAdapter(tuple[BatchItem, ...])

# KEYS: index of the owner, work, idempotency key. ARGV: new id, owner, epoch, items, their number, now,
# lifetime, most open, most kept, record, fingerprint ('' without a key).
_CREATE = """
if ARGV[11] ~= '' then
  local made = redis.call('HMGET', KEYS[3], 'batch', 'fingerprint')
  if made[1] then return {made[2] == ARGV[11] and 'known' or 'other', made[1]} end
end
local open = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local status = redis.call('HGET', ARGV[10] .. id, 'status')
  if status == 'running' then open = open + 1 end
  if not status then redis.call('ZREM', KEYS[1], id) end
end
if open >= tonumber(ARGV[8]) then return {'full', ''} end
local record = ARGV[10] .. ARGV[1]
redis.call('HSET', record, 'owner', ARGV[2], 'epoch', ARGV[3], 'items', ARGV[4], 'total', ARGV[5], 'created', ARGV[6],
           'status', 'running', 'finished', 0)
redis.call('EXPIRE', record, ARGV[7])
redis.call('ZADD', KEYS[1], 0, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[7])
for item = 0, tonumber(ARGV[5]) - 1 do redis.call('XADD', KEYS[2], '*', 'batch', ARGV[1], 'item', item) end
local extra = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[9])
if extra > 0 then
  for _, old in ipairs(redis.call('ZRANGE', KEYS[1], 0, extra - 1)) do redis.call('DEL', ARGV[10] .. old) end
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, extra - 1)
end
if ARGV[11] ~= '' then
  redis.call('HSET', KEYS[3], 'batch', ARGV[1], 'fingerprint', ARGV[11])
  redis.call('EXPIRE', KEYS[3], 86400)
end
return {'made', ARGV[1]}
"""

# KEYS: record, work. ARGV: item, result, entry, group of consumers. Only the first result counts; none after a cancel.
_FINISH = """
redis.call('XACK', KEYS[2], ARGV[4], ARGV[3])
redis.call('XDEL', KEYS[2], ARGV[3])
if redis.call('HGET', KEYS[1], 'status') ~= 'running' then return 0 end
if redis.call('HSETNX', KEYS[1], 'result:' .. ARGV[1], ARGV[2]) == 0 then return 0 end
if redis.call('HINCRBY', KEYS[1], 'finished', 1) == tonumber(redis.call('HGET', KEYS[1], 'total')) then
  redis.call('HSET', KEYS[1], 'status', 'done')
end
return 1
"""

# KEYS: record. ARGV: owner. What waits in the stream is thrown away when its turn comes.
_CANCEL = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'status') == 'running' then redis.call('HSET', KEYS[1], 'status', 'cancelled') end
return 1
"""


class BatchError(Exception):
    """A batch cannot be made; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Task:
    """One item to be answered. ``epoch`` of the owner: another one by now means that the owner was shut out."""

    owner: str
    epoch: int
    item: BatchItem


class BatchStore:
    """``open_limit`` and ``limit`` count the batches of one owner."""

    def __init__(self, redis: Redis, *, open_limit: int, limit: int, lifetime_seconds: int) -> None:
        self._redis: Any = redis
        self._open = open_limit
        self._limit = limit
        self._lifetime = lifetime_seconds

    async def create(self, owner: str, epoch: int, items: tuple[BatchItem, ...], idempotency_key: str | None) -> str:
        """The id of a new batch, or of the one that was made with this key in the last 24 hours.

        Raises BatchError: ``batch_limit``; ``idempotency_key_reused`` for the same key with other items.
        """
        now = time.time()
        new_id = f"b_{int(now * 1000):012x}{secrets.token_hex(6)}"
        document = _items.dump_json(items, exclude_defaults=True).decode()
        key = hashlib.sha256(f"{owner}\n{idempotency_key}".encode()).hexdigest()
        result, batch_id = await self._redis.eval(
            _CREATE, 3, _index(owner), WORK, f"{_PREFIX}key:{key}",
            new_id, owner, epoch, document, len(items), now, self._lifetime, self._open, self._limit, _RECORD,
            hashlib.sha256(document.encode()).hexdigest() if idempotency_key else "",
        )  # fmt: skip
        if result == "full":
            raise BatchError("batch_limit")
        if result == "other":
            raise BatchError("idempotency_key_reused")
        return str(batch_id)

    async def find(self, owner: str, batch_id: str) -> Batch | None:
        """The owner's batch; somebody else's looks like none."""
        fields = await self._redis.hgetall(_RECORD + batch_id)
        return _read(batch_id, fields) if fields.get("owner") == owner else None

    async def all_of(self, owner: str) -> tuple[Batch, ...]:
        """The owner's batches without results, newest first."""
        names = ("items", "status", "total", "finished", "created")
        ids = await self._redis.zrevrange(_index(owner), 0, -1)
        rows = [await self._redis.hmget(_RECORD + batch_id, names) for batch_id in ids]
        return tuple(
            _read(batch_id, dict(zip(names, row, strict=True)))
            for batch_id, row in zip(ids, rows, strict=True)
            if row[0] is not None
        )

    async def cancel(self, owner: str, batch_id: str) -> bool:
        """What has a result keeps it. False when there is no such batch of the owner's."""
        return bool(await self._redis.eval(_CANCEL, 1, _RECORD + batch_id, owner))

    async def task(self, job: Job) -> Task | None:
        """What there is to do, None when the batch was cancelled or is gone."""
        status, owner, epoch, items = await self._redis.hmget(
            _RECORD + job.fields["batch"], ("status", "owner", "epoch", "items")
        )
        if status != "running":
            return None
        return Task(owner, int(epoch), _items.validate_json(items)[int(job.fields["item"])])

    async def finish(self, job: Job, result: BatchResult | None) -> bool:
        """Keeps the result and acknowledges the job. False: somebody else had done it, or nobody wants it any more."""
        document = result.model_dump_json(exclude_none=True) if result else ""
        record, item = _RECORD + job.fields["batch"], job.fields["item"]
        return bool(await self._redis.eval(_FINISH, 2, record, WORK, item, document, job.id, GROUP))


def batch_store(settings: Settings, redis: Redis) -> BatchStore:
    """The batches in ``redis``."""
    return BatchStore(
        redis,
        open_limit=settings.batch_open,
        limit=settings.batch_limit,
        lifetime_seconds=settings.batch_seconds,
    )


def _index(owner: str) -> str:
    return f"{_PREFIX}of:{owner}"


def _read(batch_id: str, fields: dict[str, str]) -> Batch:
    results = [
        BatchResult.model_validate_json(value, extra="ignore")
        for name, value in fields.items()
        if name.startswith("result:")
    ]
    return Batch(
        id=batch_id,
        status=fields["status"],
        total=int(fields["total"]),
        finished=int(fields["finished"]),
        created_at=datetime.fromtimestamp(float(fields["created"]), UTC),
        items=_items.validate_json(fields["items"], extra="ignore"),
        results=tuple(sorted(results, key=lambda result: result.item)),
    )
