"""``python -m gateway``: one process, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import socket
import sys
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from gateway.app import create_app
from gateway.core import Lifecycle
from gateway.memory import return_large_blocks, settle
from gateway.setting_types import PREFIX
from gateway.settings import Settings
from kubetriage.telemetry.logging import configure_logging

# Left of the drain time for open streams to send their last event.
_LAST_EVENT_SECONDS = 2.0


class DrainingServer(uvicorn.Server):
    """Says "not ready" first, stops accepting a moment later, then lets what runs finish."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, *, delay: float, drain: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._delay = delay
        self._drain = drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not now: a signal comes at any line, also within a log's, whose lock the next line would wait for.
        asyncio.get_running_loop().call_soon_threadsafe(self._begin_to_leave, sig, frame)

    def _begin_to_leave(self, sig: int, frame: FrameType | None) -> None:
        if self._lifecycle.draining:  # the second signal: somebody is in a hurry
            super().handle_exit(sig, frame)
            return
        self._lifecycle.draining = True
        structlog.get_logger("gateway").info("draining", seconds=self._drain)
        loop = asyncio.get_running_loop()
        loop.call_later(self._delay, super().handle_exit, sig, frame)
        last = max(0.0, self._delay + self._drain - _LAST_EVENT_SECONDS)
        loop.call_later(last, self._lifecycle.stop_streams.set)


def build_server(app: FastAPI, settings: Settings) -> DrainingServer:
    """The server that runs ``app`` as ``settings`` say."""
    proxied = bool(settings.trusted_proxies)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=proxied,
        forwarded_allow_ips=list(settings.trusted_proxies) if proxied else None,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=int(settings.drain_seconds),
        h11_max_incomplete_event_size=16 * 1024,
    )
    return DrainingServer(
        config,
        app.state.lifecycle,
        delay=settings.drain_delay_seconds,
        drain=settings.drain_seconds,
    )


def main() -> int:
    """The exit status: 0 after an orderly end, 2 when the configuration is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        for item in error.errors():
            name = PREFIX + "_".join(str(part) for part in item["loc"]).upper() if item["loc"] else ""
            sys.stderr.write(f"gateway: {name + ': ' if name else ''}{item['msg'].removeprefix('Value error, ')}\n")
        return 2
    configure_logging("kubetriage-gateway", settings.log_level, json=settings.log_json)
    return_large_blocks()
    build_server(create_app(settings), settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
