"""Puts the service together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from agent_service import problems
from agent_service.metrics import Metrics
from agent_service.observation import Observation
from agent_service.routes import internal, operations
from agent_service.service import build_service
from agent_service.settings import Settings
from kubetriage import __version__
from kubetriage.telemetry.exporting import exported_spans


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application; its state's ``service`` is there while it runs."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with exported_spans("kubetriage-agent"):
            service = app.state.service = build_service(settings, metrics)
            warming = asyncio.create_task(service.warm_up())
            try:
                yield
            finally:
                warming.cancel()
                await asyncio.gather(warming, return_exceptions=True)
                await service.aclose()

    app = FastAPI(
        title="Kubetriage agent",
        version=__version__,
        summary="Answers the gateway's questions",
        description="Internal: every call carries the gateway's signed token.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        # See gateway/app.py.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.draining = False
    app.state.internal_keys = settings.internal_keys
    app.include_router(internal)
    app.include_router(operations)
    problems.install(app)
    app.add_middleware(Observation, metrics=metrics)
    return app
