"""``python -m agent_service``: one process, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from types import FrameType

# LangSmith would send conversations to its vendor when a stray key is in the environment.
os.environ["LANGSMITH_TRACING"] = "false"

import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from agent_service.app import create_app
from agent_service.settings import PREFIX, Settings
from kubetriage.telemetry.logging import configure_logging

# A little more than the gateway keeps an idle connection (gateway/upstream.py).
_LEAVING_SECONDS = 4.0


class DrainingServer(uvicorn.Server):
    """Says "not ready" and ends each connection with its next answer; then lets what runs finish.

    A connection closed while it is idle may carry a question just then, which nobody would answer.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._leaving: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not now: a signal comes at any line, also within a log's, whose lock the next line would wait for.
        asyncio.get_running_loop().call_soon_threadsafe(self._begin_to_leave, sig, frame)

    def _begin_to_leave(self, sig: int, frame: FrameType | None) -> None:
        if self._app.state.draining:  # the second signal: somebody is in a hurry
            super().handle_exit(sig, frame)
            return
        self._app.state.draining = True
        structlog.get_logger("agent").info("draining")
        self._leaving = asyncio.get_running_loop().create_task(self._leave(sig, frame))

    async def _leave(self, sig: int, frame: FrameType | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS):
                while self.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
                    await asyncio.sleep(0.05)
        super().handle_exit(sig, frame)


def build_server(app: FastAPI, settings: Settings) -> DrainingServer:
    """The server that runs ``app`` as ``settings`` say."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=int(settings.drain_seconds),
    )
    return DrainingServer(config, app)


def main() -> int:
    """The exit status: 0 after an orderly end, 2 when the configuration is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        for item in error.errors():
            name = PREFIX + "_".join(str(part) for part in item["loc"]).upper() if item["loc"] else ""
            sys.stderr.write(f"agent: {name + ': ' if name else ''}{item['msg'].removeprefix('Value error, ')}\n")
        return 2
    configure_logging("kubetriage-agent", settings.log_level, json=settings.log_json)
    build_server(create_app(settings), settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
