"""What a gateway does besides answering: its share of the work, with a connection to Redis of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.batches.answering import Answering
from gateway.batches.store import WORK, batch_store
from gateway.core import Gateway
from gateway.incidents.service import incident_workers
from gateway.work.calls import BackgroundCalls
from gateway.work.queue import WorkQueue
from gateway.work.worker import Worker, at_work
from kubetriage.redis_connection import connect_redis

# Workers wait for work in Redis: longer than that, and no request waits for them.
_REDIS_SECONDS = 5.0


@asynccontextmanager
async def working(gateway: Gateway) -> AsyncIterator[None]:
    """Diagnoses of alerts, notifications and batches, while the context is open.

    At its end what is being posted may finish; an answer under way is left to the other gateways.
    """
    settings, metrics = gateway.settings, gateway.metrics
    redis = connect_redis(settings.redis_url.get_secret_value(), timeout_seconds=_REDIS_SECONDS, decode=True)
    calls = BackgroundCalls(gateway.agent, attempts=settings.work_attempts)
    queue = WorkQueue(redis, WORK, lease_seconds=settings.work_lease_seconds, pause_seconds=settings.work_retry_seconds)
    answering = Answering(batch_store(settings, redis), gateway.users, calls, metrics)
    length = metrics.work_queue.labels("batches").set
    batch_workers = [Worker(queue, answering, length) for _ in range(settings.batch_workers)]
    try:
        async with (
            incident_workers(settings, redis, calls, metrics) as others,
            at_work((*batch_workers, *others), seconds=settings.notification_seconds),
        ):
            yield
    finally:
        await redis.aclose()
