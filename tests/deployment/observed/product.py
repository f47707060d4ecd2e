"""Every service for real, and a Prometheus that scrapes them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import yaml

from tests.agent import scripted_vendor
from tests.agent.support import start_agent
from tests.gateway.alerting import ALERT_KEY
from tests.gateway.support import start_gateway
from tests.processes import RedisServer, RunningService, free_port, start_service, stop, wait_for_port
from tests.retrieval.conftest import ChromaServer

NAMESPACE = "triage"
MODEL = "test-model"


@dataclass(frozen=True)
class Product:
    """Running. ``second_agent`` cannot reach its Chroma; ``vendor`` is where the scripted model listens."""

    gateway: RunningService
    agent: RunningService
    second_agent: RunningService
    ingest: RunningService
    redis: RedisServer
    vendor: str
    prometheus: str

    def query(self, expression: str, path: str = "query", **parameters: float) -> list[dict[str, Any]]:
        """The result of a query of Prometheus."""
        asked = urllib.parse.urlencode({"query": expression, **parameters})
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/{path}?{asked}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def wait_for_scrapes(self, number: int) -> None:
        """Until everything was scraped that often from now on."""
        counting = "min(count_over_time(kubetriage_{service}_build_info[1h]))"
        services = ("gateway", "agent", "ingest")
        deadline, wanted = time.monotonic() + 60, None
        while time.monotonic() < deadline:
            found = [self.query(counting.replace("{service}", service)) for service in services]
            counts = [int(one[0]["value"][1]) if one else 0 for one in found]
            wanted = wanted or [count + number for count in counts]
            if all(count >= enough for count, enough in zip(counts, wanted, strict=True)):
                return
            time.sleep(0.2)
        raise AssertionError("Prometheus does not scrape")


@contextlib.contextmanager
def running(directory: Path, runbooks: Path, prometheus: str, *, scrape: str, **limits: str) -> Iterator[Product]:
    """Everything started, and ended again. ``prometheus``: its program; ``scrape``: the interval, such as 1s."""
    # One after the other: on a busy machine all at once would not listen in time.
    with contextlib.ExitStack() as ending:

        def service(made: RunningService) -> RunningService:
            ending.callback(made.end)
            return made

        store = RedisServer(free_port(), directory)
        ending.callback(stop, store.process)
        with redis.Redis.from_url(store.url) as client:
            client.config_set("maxmemory", "64mb")
        vendor_port = free_port()
        vendor = subprocess.Popen([sys.executable, scripted_vendor.__file__, str(vendor_port)])
        ending.callback(stop, vendor)
        chroma = ChromaServer(free_port(), directory / "chroma")
        ending.callback(stop, chroma.process)
        settings = {
            "model": MODEL,
            "openai_base_url": f"http://127.0.0.1:{vendor_port}/v1",
            "openai_api_key": "sk-test-0123456789abcdef",
            "model_seconds": 1.5,
            "redis_timeout_seconds": 0.5,
        }
        agent, second = (
            service(start_agent(directory, store.url, chroma_url=url, **settings))
            for url in (chroma.url, f"http://127.0.0.1:{free_port()}")
        )
        told = {"alert_key": ALERT_KEY, "slack_url": f"http://127.0.0.1:{vendor_port}/hook"}
        gateway = service(start_gateway(directory, store.url, agent.url, redis_timeout_seconds=0.5, **told, **limits))
        watching = {"chroma_url": chroma.url, "watch": 1, "interval_seconds": 1, "paths": runbooks}
        ingest = service(start_service("rag_ingest", "KUBETRIAGE_INGEST_", directory, watching))
        services = {"gateway": [gateway], "agent": [agent, second], "ingest": [ingest]}
        url = ending.enter_context(_scraping(directory, prometheus, services, scrape))
        wait_for_port(vendor_port, vendor)
        yield Product(
            gateway=gateway,
            agent=agent,
            second_agent=second,
            ingest=ingest,
            redis=store,
            vendor=f"http://127.0.0.1:{vendor_port}",
            prometheus=url,
        )


@contextlib.contextmanager
def _scraping(directory: Path, program: str, services: dict[str, list[RunningService]], interval: str) -> Iterator[str]:
    config = {
        "global": {"scrape_interval": interval},
        "scrape_configs": [
            {
                "job_name": name,
                "static_configs": [
                    {"targets": [one.url.removeprefix("http://") for one in ones], "labels": {"namespace": NAMESPACE}}
                ],
            }
            for name, ones in services.items()
        ],
    }
    path, port = directory / "prometheus.yml", free_port()
    path.write_text(yaml.safe_dump(config))
    process = subprocess.Popen(
        [
            *(program, f"--config.file={path}", f"--storage.tsdb.path={directory}/prometheus"),
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for_port(port, process)
        _wait_until_ready(url)
        yield url
    finally:
        stop(process)


def _wait_until_ready(prometheus: str) -> None:
    """It listens before it answers queries."""
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"{prometheus}/-/ready", timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
