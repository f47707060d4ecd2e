"""Takes work from a queue and does it, one job at a time, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import structlog

from gateway.store import UNAVAILABLE
from gateway.work.queue import Job, WorkQueue
from kubetriage.telemetry.spans import span

_CANCEL_SECONDS = 0.5
_AFTER_FAILURE_SECONDS = 1.0  # Redis is away, or we have a bug: either way there is no hurry
_log = structlog.get_logger("gateway.work")


class RetryLaterError(Exception):
    """The job could not be done now; it is tried again after a pause."""


class Worker:
    """``handle`` acknowledges what it has done itself, in the same step as its result; it raises RetryLaterError."""

    def __init__(
        self, queue: WorkQueue, handle: Callable[[Job], Awaitable[None]], on_length: Callable[[int], None]
    ) -> None:
        self._queue = queue
        self._handle = handle
        self._on_length = on_length

    async def run(self, stop: asyncio.Event) -> None:
        """Ends soon after ``stop`` is set. Cancelled, it leaves its job to the others at once."""
        prepared = False
        while not stop.is_set():
            try:
                if not prepared:
                    await self._queue.prepare()
                    prepared = True
                job = await self._queue.take()
                self._on_length(await self._queue.length())
                if job is not None:
                    await self._work(job)
            except UNAVAILABLE as error:
                prepared = False  # a Redis without its file has forgotten the group too
                _log.warning("queue unavailable", stream=self._queue.stream, error_type=type(error).__name__)
                await _is_set(stop, _AFTER_FAILURE_SECONDS)
            # One bad job must not end all work; it is tried again, and given up like any other.
            except Exception:  # noqa: BLE001
                _log.exception("job failed unexpectedly", stream=self._queue.stream)
                await _is_set(stop, _AFTER_FAILURE_SECONDS)

    async def _work(self, job: Job) -> None:
        try:
            with span(f"work {self._queue.name}", {"kubetriage.attempt": job.attempts}):
                async with self._renewed(job):
                    await self._handle(job)
        except asyncio.CancelledError:
            with contextlib.suppress(*UNAVAILABLE):
                await self._queue.release(job)
            raise
        except RetryLaterError as error:
            _log.info("job is tried again later", stream=self._queue.stream, attempt=job.attempts, reason=str(error))
            await self._queue.put_back(job)
        except Exception:
            await self._queue.put_back(job)
            raise

    @asynccontextmanager
    async def _renewed(self, job: Job) -> AsyncIterator[None]:
        """The claim is renewed while the context is open, and not once more after it."""
        done = asyncio.Event()
        renewal = asyncio.create_task(self._renew(job, done))
        try:
            yield
        finally:
            # Told and not cancelled: redis-py may swallow the cancellation of a call that is under way.
            done.set()
            await asyncio.gather(renewal, return_exceptions=True)

    async def _renew(self, job: Job, done: asyncio.Event) -> None:
        while not await _is_set(done, self._queue.lease_seconds / 3):
            with contextlib.suppress(*UNAVAILABLE):
                await self._queue.renew(job)


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is, at the latest after ``seconds``."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


@asynccontextmanager
async def at_work(workers: Iterable[Worker], *, seconds: float) -> AsyncIterator[None]:
    """They work while the context is open. At its end jobs under way have ``seconds`` left, then others get them."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(worker.run(stop)) for worker in workers]
    try:
        yield
    finally:
        stop.set()
        await end(tasks, seconds=seconds)


async def end(tasks: Iterable[asyncio.Task[None]], *, seconds: float) -> None:
    """Waits so long for tasks that were told to end, then cancels them."""
    _, late = await asyncio.wait(set(tasks), timeout=seconds)
    while late:  # again and again: redis-py may swallow one
        for task in late:
            task.cancel()
        _, late = await asyncio.wait(late, timeout=_CANCEL_SECONDS)
