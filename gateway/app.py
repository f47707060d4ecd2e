"""Puts a gateway together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from redis.asyncio import Redis
from starlette.middleware.cors import CORSMiddleware

from gateway import openapi, problems
from gateway.access_tokens import AccessTokens
from gateway.admission import Admission
from gateway.audit.log import AuditLog
from gateway.audit.middleware import Auditing
from gateway.audit.recorder import Recorder
from gateway.background import working
from gateway.batches.store import batch_store
from gateway.core import Gateway, Lifecycle
from gateway.forwarding import pass_on_problem
from gateway.incidents.service import incident_store
from gateway.limits import Limits
from gateway.login_throttle import LoginThrottle
from gateway.metrics import Metrics
from gateway.observation import Observation
from gateway.refresh_tokens import RefreshTokens
from gateway.routes import alerts, audit, auth, batches, chat, docs, incidents, mcp, operations, questions, sessions
from gateway.sessions import Sessions
from gateway.settings import Settings
from gateway.signing_keys import KeySet, read_keys, stored_keys
from gateway.store import Breaker, StoreUnavailableError
from gateway.store_state import StoreState, watch_state
from gateway.upstream import Agent, UpstreamProblemError
from gateway.users import Users
from kubetriage import __version__
from kubetriage.redis_connection import connect_redis
from kubetriage.telemetry.exporting import exported_spans

# Tier 1 keeps its keys in Redis; in `kubetriage serve` both start at the same time.
_WAIT_FOR_REDIS_SECONDS = 10.0

_DESCRIPTION = (
    "Finds the root cause of a Kubernetes fault, with its evidence and its fix. Log in with "
    "`POST /v1/auth/token`, send the access token as `Authorization: Bearer ...`. Every error is "
    "`application/problem+json` with a stable `code` and the `request_id` of the log."
)


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application. The store and the agent are connected when it starts."""
    metrics, lifecycle = Metrics(), Lifecycle()
    recorder = Recorder(metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with exported_spans("kubetriage-gateway"):
            gateway = await _assemble(settings, metrics, lifecycle)
            app.state.gateway = gateway
            try:
                async with watch_state(gateway.store_state), recorder.writing(settings), working(gateway):
                    yield
            finally:
                await gateway.agent.close()
                await gateway.redis.aclose()

    app = FastAPI(
        title="Kubetriage",
        version=__version__,
        summary="Kubernetes troubleshooting",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        # What FastAPI would record by itself has messages of exceptions in it; kubetriage.telemetry.spans has none.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.lifecycle = lifecycle
    for module in (auth, questions, sessions, chat, mcp, batches, alerts, incidents, audit, operations, docs):
        # Not include_router, which looks for the route twice in every request.
        app.router.routes.extend(module.router.routes)
    problems.install(app)
    app.add_exception_handler(UpstreamProblemError, pass_on_problem)
    openapi.install(app)
    # The last one added is the outermost.
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID", "traceparent"],
            expose_headers=["X-Request-ID", "X-Session-ID", "RateLimit", "RateLimit-Policy", "Retry-After"],
        )
    app.add_middleware(Auditing, recorder=recorder)
    app.add_middleware(
        Admission,
        hosts=settings.hosts,
        body_bytes=settings.body_bytes,
        body_seconds=settings.body_seconds,
        larger={"/v1/chat/completions": settings.chat_body_bytes},
    )
    app.add_middleware(Observation, metrics=metrics, lifecycle=lifecycle)
    return app


async def _assemble(settings: Settings, metrics: Metrics, lifecycle: Lifecycle) -> Gateway:
    redis = connect_redis(
        settings.redis_url.get_secret_value(),
        timeout_seconds=settings.redis_timeout_seconds,
        decode=True,
        observe=metrics.redis.observe,
    )
    store = Breaker(settings.redis_retry_seconds, metrics.store_failures.inc)
    if settings.signing_keys is not None:
        keys = read_keys(settings.signing_keys.get_secret_value())
    else:
        keys = await _shared_keys(redis)
    limits = Limits(user=settings.limit_user, ask=settings.limit_ask, address=settings.limit_address, metrics=metrics)
    return Gateway(
        settings=settings,
        metrics=metrics,
        redis=redis,
        store=store,
        store_state=StoreState(redis, metrics),
        keys=keys,
        access=AccessTokens(
            keys,
            issuer=settings.issuer,
            audience=settings.audience,
            lifetime_seconds=settings.access_token_seconds,
        ),
        refresh=RefreshTokens(
            redis,
            lifetime_seconds=settings.refresh_token_seconds,
            access_seconds=settings.access_token_seconds,
        ),
        users=Users(redis),
        limits=limits,
        throttle=LoginThrottle(
            redis,
            limits,
            account=settings.login_failures_account,
            address=settings.login_failures_address,
        ),
        sessions=Sessions(redis, lifetime_seconds=settings.session_seconds),
        agent=Agent(settings, metrics),
        incidents=incident_store(settings, redis),
        batches=batch_store(settings, redis),
        audit=AuditLog(redis, entries=settings.audit_entries),
        lifecycle=lifecycle,
    )


async def _shared_keys(redis: Redis) -> KeySet:
    breaker = Breaker(0.0)
    deadline = time.monotonic() + _WAIT_FOR_REDIS_SECONDS
    while True:
        try:
            async with breaker.guard():
                return await stored_keys(redis)
        except StoreUnavailableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
