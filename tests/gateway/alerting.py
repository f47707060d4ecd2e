"""What stands around alerts: notifications as Alertmanager writes them, and a target that remembers its posts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.gateway.support import bearer
from tests.processes import Reply, eventually, send

ALERT_KEY = "a" * 48
WEBHOOK_KEY = "w" * 48
# Pauses and leases as short as a busy machine of two cores allows.
FAST = {
    "alert_key": ALERT_KEY,
    "work_retry_seconds": 0.2,
    "work_lease_seconds": 2,
    "limit_user": "100000/minute",
}


def notification(
    alert: str = "KubePodCrashLooping", *, namespace: str | None = "shop", status: str = "firing", **labels: str
) -> dict[str, Any]:
    """The body of a webhook_config of one alert, grouped by alertname and namespace."""
    common = {"alertname": alert, **({"namespace": namespace} if namespace else {}), **labels}
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{alert}", namespace="{namespace}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "kubetriage",
        "groupLabels": {"alertname": alert},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": [
            {
                "status": status,
                "labels": common,
                "annotations": {},
                "startsAt": "2026-11-23T10:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus:9090/graph?g0.expr=up&g0.tab=1",
                "fingerprint": "c0ffee",
            }
        ],
    }


async def tell(http: aiohttp.ClientSession, url: str, body: dict[str, Any], key: str = ALERT_KEY) -> Reply:
    return await send(http, "POST", f"{url}/v1/alerts/alertmanager", headers=bearer(key), json=body)


async def incident_when(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], incident: str, seconds: float = 20, **wanted: Any
) -> dict[str, Any]:
    """The incident, once these members are so."""
    found: dict[str, Any] = {}

    async def is_so() -> bool:
        reply = await send(http, "GET", f"{url}/v1/incidents/{incident}", headers=headers)
        found.update(reply.json)
        return reply.status == 200 and all(found[name] == value for name, value in wanted.items())

    await eventually(is_so, seconds)
    return found


async def notes_when(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], incident: str, states: list[str]
) -> list[dict[str, Any]]:
    """The incident's notifications, once they stand so."""
    found: list[dict[str, Any]] = []

    async def stand_so() -> bool:
        reply = await send(http, "GET", f"{url}/v1/incidents/{incident}", headers=headers)
        found[:] = reply.json["notifications"] if reply.status == 200 else []
        return [note["state"] for note in found] == states

    await eventually(stand_so, 20)
    return found


@dataclass
class Target:
    """A webhook on loopback. ``script``: what it answers to Slack's messages, one status for each, then 200."""

    url: str = ""
    script: list[int] = field(default_factory=list)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append((dict(request.headers), await request.read()))
        slack = request.headers["Idempotency-Key"].endswith("slack")
        status = self.script.pop(0) if self.script and slack else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    @property
    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _ in self.posts]

    def keys_of(self, incident: str) -> list[str]:
        return sorted(key for key in self.keys if key.startswith(incident))

    def documents_of(self, incident: str, kind: str) -> list[dict[str, Any]]:
        wanted = [body for _, body in self.posts if incident in body.decode()]
        return [json.loads(body) for body in wanted if ("blocks" in json.loads(body)) == (kind == "slack")]


async def serve(target: Target, port: int = 0) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", target.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    assert runner.addresses
    target.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    return runner


async def quiet(target: Target, seconds: float = 1.0) -> None:
    """Returns when nothing was posted for so long: what should come once had its chance to come twice."""
    while True:
        before = len(target.posts)
        await asyncio.sleep(seconds)
        if len(target.posts) == before:
            return
