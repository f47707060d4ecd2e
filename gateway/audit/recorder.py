"""Writes the audit log behind the requests' back: no call waits for it, and a Redis that stalls delays only the log.

What has not been written is in this process: an orderly end writes it out; a process that is killed
takes it along, which is what came in since the last write, some milliseconds with a healthy Redis.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog

from gateway.audit.log import AuditLog, entry_document
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.store import UNAVAILABLE
from gateway.work.worker import end
from kubetriage.contracts.audit import AuditEntry
from kubetriage.redis_connection import connect_redis

_WAITING = 10_000  # entries, about 10 MB: a minute of a busy gateway without Redis
_BATCH = 200
_RETRY_SECONDS = 0.5
_REDIS_SECONDS = 2.0
_LAST_SECONDS = 2.0  # for what is left at the end
_log = structlog.get_logger("gateway.audit")


class Recorder:
    """Entries come in without waiting and are written in their order."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: deque[AuditEntry] = deque()
        self._news = asyncio.Event()
        self._ending = False
        self._lost = 0

    def record(self, entry: AuditEntry) -> None:
        """Never blocks. When too many wait already, this one is counted and not kept; the log will say how many."""
        if len(self._waiting) >= _WAITING:
            self._lost += 1
            self._metrics.audit.labels("lost").inc()
            return
        self._waiting.append(entry)
        self._news.set()

    @asynccontextmanager
    async def writing(self, settings: Settings) -> AsyncIterator[None]:
        """Entries are written while the context is open, and what is left at its end."""
        url = settings.redis_url.get_secret_value()
        redis = connect_redis(url, timeout_seconds=_REDIS_SECONDS, decode=True)
        task = asyncio.create_task(self._run(AuditLog(redis, entries=settings.audit_entries)))
        try:
            yield
        finally:
            self._ending = True
            self._news.set()
            await end([task], seconds=_LAST_SECONDS)
            await redis.aclose()
            if self._waiting:
                self._metrics.audit.labels("lost").inc(len(self._waiting))
                _log.error("audit entries are lost", entries=len(self._waiting))

    async def _run(self, log: AuditLog) -> None:
        while self._waiting or not self._ending:
            if not self._waiting:
                self._news.clear()
                await self._news.wait()
                continue
            if self._lost and len(self._waiting) < _WAITING:
                self._waiting.append(_gap(self._lost))
                self._lost = 0
            batch = list(itertools.islice(self._waiting, _BATCH))
            await self._write(log, [entry_document(entry) for entry in batch])
            for _ in batch:
                self._waiting.popleft()
            self._metrics.audit.labels("written").inc(len(batch))

    async def _write(self, log: AuditLog, batch: list[dict[str, Any]]) -> None:
        """Returns when it is written. Always the same batch: the log knows one again whose answer was lost."""
        while True:
            try:
                await log.append(batch)
            except UNAVAILABLE as error:
                _log.warning("audit log unavailable", error_type=type(error).__name__, waiting=len(self._waiting))
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return


def _gap(entries: int) -> AuditEntry:
    what = f"{entries} entries were not kept: the log could not be written for too long"
    return AuditEntry(sequence=1, time=datetime.now(UTC), actor="gateway", action="audit gap", asked=what)
