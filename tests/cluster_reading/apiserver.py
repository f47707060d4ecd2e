"""An API server that answers from a script, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from kubetriage.cluster.client import load_client
from kubetriage.cluster.live import LiveCluster

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(code: int, message: str, **headers: str) -> web.Response:
    body = json.dumps({"kind": "Status", "message": message, "code": code})
    return web.Response(status=code, text=body, content_type="application/json", headers=headers)


def page(names: list[str], token: str = "", namespace: str | None = "shop") -> web.Response:
    items = [{"metadata": {"name": name, "namespace": namespace}} for name in names]
    return web.json_response({"kind": "List", "metadata": {"continue": token}, "items": items})


async def hang(_request: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return page([])


@asynccontextmanager
async def serving(
    handler: Handler, *, deadline: float = 5.0, namespace: str | None = None
) -> AsyncIterator[LiveCluster]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client, _ = load_client()
    port = site._server.sockets[0].getsockname()[1]
    cluster = LiveCluster(
        "scripted",
        client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{port}")),
        deadline=deadline,
        namespace=namespace,
    )
    try:
        yield cluster
    finally:
        await cluster.aclose()
        await runner.cleanup()
