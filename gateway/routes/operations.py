"""What operators and their tools ask: alive, ready, metrics, public keys."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.core import Gateway, gateway_of
from gateway.openapi import errors
from gateway.store import StoreUnavailableError
from kubetriage import __version__
from kubetriage.contracts.api import Health

router = APIRouter(tags=["operations"])

_EPHEMERAL = "not persistent: users and sessions are lost when Redis restarts; set appendonly yes"


@router.get("/healthz", summary="Alive", description="Asks no dependency.", responses=errors())
async def healthz() -> Health:
    return Health(status="ok", version=__version__)


@router.get(
    "/readyz",
    summary="Ready",
    description=(
        "503 while draining. A missing dependency is `degraded` with status 200: taking every gateway "
        "out of service because the Redis they share is down would help nobody."
    ),
    responses={503: {"model": Health, "description": "Draining."}, **errors()},
)
async def readyz(request: Request, response: Response) -> Health:
    gateway = gateway_of(request)
    if gateway.lifecycle.draining:
        response.status_code = 503
        return Health(status="draining", version=__version__)
    checks = {"redis": await _redis(gateway), "agent": await gateway.agent.alive()}
    if gateway.store_state.persistent is False:
        checks["redis_persistence"] = _EPHEMERAL
    fine = checks["redis"] == checks["agent"] == "ok"
    return Health(status="ok" if fine else "degraded", version=__version__, checks=checks)


async def _redis(gateway: Gateway) -> str:
    client: Any = gateway.redis
    try:
        async with gateway.store.guard():
            await client.ping()
    except StoreUnavailableError as error:
        return str(error)
    return "ok"


@router.get("/metrics", summary="Prometheus metrics", response_class=Response, responses=errors())
async def metrics(request: Request) -> Response:
    return Response(generate_latest(gateway_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/.well-known/jwks.json",
    summary="Public keys of the access tokens",
    description="RFC 7517. During a rotation the old and the new key are both listed.",
    responses=errors(),
)
async def jwks(request: Request, response: Response) -> dict[str, list[dict[str, str]]]:
    response.headers["Cache-Control"] = "public, max-age=300"
    return gateway_of(request).keys.jwks()
