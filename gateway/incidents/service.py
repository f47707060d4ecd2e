"""The parts of this package put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from gateway.incidents.delivery import Delivery, Target, open_http
from gateway.incidents.diagnosing import Diagnosing
from gateway.incidents.store import NOTIFICATIONS, WORK, IncidentStore, Limits
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.work.calls import BackgroundCalls
from gateway.work.queue import WorkQueue
from gateway.work.worker import Worker


def incident_store(settings: Settings, redis: Redis) -> IncidentStore:
    """The incidents in ``redis``."""
    limits = Limits(settings.incident_limit, settings.incident_queue, settings.incident_seconds)
    return IncidentStore(redis, limits, [target.name for target in targets_of(settings)])


def targets_of(settings: Settings) -> tuple[Target, ...]:
    """Where results are posted on to."""
    targets: list[Target] = []
    if settings.slack_url is not None:
        targets.append(Target("slack", settings.slack_url.get_secret_value()))
    if settings.webhook_url is not None and settings.webhook_key is not None:
        url, key = settings.webhook_url.get_secret_value(), settings.webhook_key.get_secret_value()
        targets.append(Target("webhook", url, key))
    return tuple(targets)


@asynccontextmanager
async def incident_workers(
    settings: Settings, redis: Redis, calls: BackgroundCalls, metrics: Metrics
) -> AsyncIterator[tuple[Worker, ...]]:
    """Those of one gateway, with their way out open; none without a key of alerts."""
    if not settings.alert_keys:
        yield ()
        return
    store = incident_store(settings, redis)
    diagnosing = Diagnosing(
        store=store,
        calls=calls,
        metrics=metrics,
        namespaces=settings.incident_namespaces,
        clusters=settings.incident_clusters,
    )

    def queue(stream: str) -> WorkQueue:
        return WorkQueue(
            redis, stream, lease_seconds=settings.work_lease_seconds, pause_seconds=settings.work_retry_seconds
        )

    async with open_http(settings.notification_seconds) as http:
        delivery = Delivery(store, http, targets_of(settings), metrics, attempts=settings.notification_attempts)
        lengths = metrics.work_queue
        yield (
            *(
                Worker(queue(WORK), diagnosing, lengths.labels("incidents").set)
                for _ in range(settings.incident_workers)
            ),
            Worker(queue(NOTIFICATIONS), delivery, lengths.labels("notifications").set),
        )
