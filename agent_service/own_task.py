"""An asynchronous iterator in a task of its own, where it is cancelled once, and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

_Item = TypeVar("_Item")


async def in_own_task(items: AsyncIterator[_Item]) -> AsyncGenerator[_Item]:
    """What ``items`` yields and raises.

    When a caller hangs up, anyio cancels the request's task again and again until it has ended. The second time hits
    LangGraph while it is about to cancel its steps, and they go on: a model's call was paid for to its end.
    """
    waiting: asyncio.Queue[tuple[_Item] | None] = asyncio.Queue()  # None: that was all

    async def run() -> None:
        try:
            async for item in items:
                waiting.put_nowait((item,))
        finally:
            waiting.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (found := await waiting.get()) is not None:
            yield found[0]
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})
