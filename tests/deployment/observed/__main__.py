"""``python -m tests.deployment.observed --out FOLDER``: the pictures of the dashboards, after some minutes of load."""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from deploy.grafana.pictures.__main__ import write
from deploy.grafana.pictures.data import Span
from tests.deployment.observed.load import Users
from tests.deployment.observed.product import running
from tests.processes import ROOT

_SCRAPE_SECONDS = 5
_QUERIES = (
    *("container was OOMKilled", "image cannot be pulled", "DNS does not resolve", "certificate has expired"),
    *("pod is pending, not enough cpu", "readiness probe fails", "volume cannot be mounted", "node is not ready"),
)


async def load(users: Users, seconds: float) -> None:
    """A morning in small: more and less to do, and each dependency fails for a while."""
    chance = random.Random(1)  # the same each time
    began = time.monotonic()
    failures: list[tuple[float, Callable[[], Awaitable[None]]]] = [
        *((0.30 + number / 100, users.without_redis) for number in range(2)),
        *((0.45 + number / 100, users.without_chroma) for number in range(6)),
        (0.6, lambda: users.hurry(200)),
        *((0.70 + number / 100, users.without_model) for number in range(6)),
    ]
    await users.begin()
    while (done := (time.monotonic() - began) / seconds) < 1:
        await users.investigate(delay=chance.uniform(0.05, 0.6))
        await users.search(*chance.sample(_QUERIES, 2))
        if chance.random() < 0.6:
            await users.diagnose()
            await users.work()
        if chance.random() < 0.25:
            await users.blunder()
        if chance.random() < 0.1:
            await users.without_chroma()
        if failures and done > failures[0][0]:
            await failures.pop(0)[1]()
        await users.probe()
        await asyncio.sleep(2 + math.sin(done * 9) + chance.random())


async def _drive(product_users: Callable[[aiohttp.ClientSession], Users], seconds: float) -> None:
    async with aiohttp.ClientSession() as http:
        await load(product_users(http), seconds)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=8)
    given = parser.parse_args()
    program = shutil.which("prometheus")
    if program is None:
        parser.error("no prometheus here: apt-get install prometheus")
    with tempfile.TemporaryDirectory() as folder:
        scrape = f"{_SCRAPE_SECONDS}s"
        limits = {"limit_ask": "120/minute", "limit_user": "1000/minute"}  # ada stays below
        with running(Path(folder), ROOT / "runbooks", program, scrape=scrape, **limits) as product:
            product.wait_for_scrapes(2)
            start = time.time()
            asyncio.run(_drive(lambda http: Users(product, http), given.minutes * 60))
            product.wait_for_scrapes(1)
            span = Span(start=start, end=time.time(), scrape_seconds=_SCRAPE_SECONDS)
            write(product.prometheus, given.out, span)


if __name__ == "__main__":
    main()
