"""An asynchronous generator in a task of its own, where it is cancelled once, and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

_Item = TypeVar("_Item")


async def in_own_task(items: AsyncGenerator[_Item]) -> AsyncGenerator[_Item]:
    """What ``items`` yields and raises.

    When a caller hangs up, anyio cancels the request's task again and again until it has ended. The second time would
    hit what the first has set off: a model's call that LangGraph is about to cancel goes on, a lock is not released.
    """
    waiting: asyncio.Queue[tuple[_Item] | None] = asyncio.Queue()  # None: that was all

    async def run() -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    waiting.put_nowait((item,))
        finally:
            waiting.put_nowait(None)

    task = asyncio.create_task(run())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be there any more to ask
    try:
        while (found := await waiting.get()) is not None:
            yield found[0]
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})
