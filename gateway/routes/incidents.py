"""Incidents, as far as they are the caller's to read; others do not exist for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from gateway.core import gateway_of
from gateway.identity import AnyCaller
from gateway.openapi import AUTHENTICATED, errors
from gateway.problems import ApiError
from kubetriage.contracts.api import NamespaceName
from kubetriage.contracts.incidents import AlertIncident, AlertIncidentList, IncidentId, IncidentStatus

router = APIRouter(tags=["incidents"])


@router.get(
    "/v1/incidents",
    summary="List incidents",
    description="Newest first. `next` of one page is `cursor` of the following one.",
    responses=errors(*AUTHENTICATED, 403, 422, 503),
)
async def list_incidents(
    request: Request,
    caller: AnyCaller,
    status: IncidentStatus | None = None,
    namespace: NamespaceName | None = None,
    cursor: IncidentId | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> AlertIncidentList:
    caller.require(namespace=namespace, cluster=None)
    gateway = gateway_of(request)
    async with gateway.store.guard():
        found, following = await gateway.incidents.page(
            caller.user, status=status, namespace=namespace, cursor=cursor, limit=limit
        )
    return AlertIncidentList(incidents=found, next=following)


@router.get(
    "/v1/incidents/{incident_id}",
    summary="One incident",
    description="With its diagnosis, runbooks and notifications.",
    responses=errors(*AUTHENTICATED, 404, 422, 503),
)
async def read_incident(
    request: Request,
    caller: AnyCaller,
    incident_id: Annotated[IncidentId, Path(examples=["i_019ab1c2d3e4f5a6b7c8d9e0"])],
) -> AlertIncident:
    gateway = gateway_of(request)
    async with gateway.store.guard():
        record = await gateway.incidents.find(incident_id)
    incident = record.seen_by(caller.user) if record else None
    if incident is None:
        raise ApiError(404, "incident_not_found", "You have no such incident; GET /v1/incidents lists yours.")
    return incident
