"""Watch mode: the folders are read again and again, health and metrics are served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kubetriage import __version__
from kubetriage.contracts.api import Health
from kubetriage.retrieval.chroma_store import ChromaStore
from kubetriage.retrieval.searcher import RetrievalUnavailableError
from kubetriage.telemetry.exporting import exported_spans
from rag_ingest.ingest import SERVICE, ingest
from rag_ingest.metrics import Metrics
from rag_ingest.settings import Settings

_RETRY_SECONDS = 5.0
_log = structlog.get_logger("ingest")


class Watch:
    """``state`` is "ok" after an ingest that worked, else what is wrong."""

    def __init__(self, settings: Settings, store: ChromaStore, metrics: Metrics) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self.state = "the first ingest is under way"
        self._told: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """For ever."""
        while True:
            worked = await self.once()
            await asyncio.sleep(self._settings.interval_seconds if worked else _RETRY_SECONDS)

    async def once(self) -> bool:
        """One ingest; whatever happens, the next one gets its chance."""
        try:
            done = await ingest(self._store, self._settings.paths, source=self._settings.source)
        except (OSError, ValueError, RetrievalUnavailableError) as error:
            return self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - a watch that ended in silence would stay "ready" for ever
            _log.exception("ingest broke")
            return self._failed(f"a fault of ours: {type(error).__name__}")
        self.state = "ok"
        self._metrics.succeeded(done.summary, len(done.skipped))
        if done.summary.added or done.summary.removed:
            _log.info("ingested", summary=str(done.summary), skipped=len(done.skipped))
        for path, why in set(done.skipped) - self._told:
            _log.warning("left out", path=path, reason=why)
        self._told = set(done.skipped)
        return True

    def _failed(self, reason: str) -> bool:
        if reason != self.state:  # once, not every few seconds
            _log.warning("ingest failed", reason=reason)
        self.state = reason
        self._metrics.runs.labels("error").inc()
        return False


def create_app(settings: Settings, store: ChromaStore) -> FastAPI:
    """The ASGI application; the watch runs while it does."""
    metrics = Metrics()
    watch = Watch(settings, store, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with exported_spans(SERVICE):
            task = asyncio.create_task(watch.run())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await store.aclose()

    app = FastAPI(
        title="Kubetriage ingest",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # See gateway/app.py.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )

    @app.get("/healthz", summary="Liveness: the process answers")
    async def healthz() -> Health:
        return Health(status="ok", version=__version__)

    @app.get("/readyz", summary="Readiness: the last ingest worked")
    async def readyz() -> Response:
        fine = watch.state == "ok"
        health = Health(status="ok" if fine else "unavailable", version=__version__, checks={"ingest": watch.state})
        return JSONResponse(health.model_dump(mode="json"), status_code=200 if fine else 503)

    @app.get("/metrics", summary="Prometheus metrics")
    async def read_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app
