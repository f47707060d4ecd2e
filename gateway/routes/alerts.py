"""Alerts from Alertmanager. Its key opens this call and nothing else."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gateway.core import gateway_of
from gateway.identity import admit_address
from gateway.incidents.diagnosing import SUBJECT
from gateway.incidents.groups import identity_of, read_group
from gateway.incidents.store import QueueFullError
from gateway.openapi import AUTHENTICATED, WITH_BODY, errors
from gateway.problems import ApiError
from kubetriage.contracts.incidents import AlertAccepted, AlertmanagerNotification

router = APIRouter(tags=["incidents"])

_scheme = HTTPBearer(scheme_name="AlertmanagerKey", auto_error=False, description="The key of Alertmanager.")


async def _alertmanager(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)]
) -> None:
    gateway = gateway_of(request)
    keys = gateway.settings.alert_keys
    if not keys:
        raise ApiError(404, "alerts_not_configured", "Alerts are not taken here: set KUBETRIAGE_GATEWAY_ALERT_KEY.")
    token = given.credentials.encode() if given else b""
    # All of them, so that time does not tell which one was nearly right.
    if not sum(hmac.compare_digest(token, key.encode()) for key in keys):
        gateway.metrics.auth_failures.labels("alert_key").inc()
        await admit_address(request)
        raise ApiError(
            401,
            "alert_key_invalid",
            "Send the key of alerts as `Authorization: Bearer ...`; tokens of users do not open this call.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    request.state.user = SUBJECT


@router.post(
    "/v1/alerts/alertmanager",
    summary="Take a notification of Alertmanager",
    description=(
        "The body of its `webhook_config` (version 4). A group that fires becomes one incident and is diagnosed once; "
        "when it is resolved, so is the incident. Answered as soon as the work is kept safe."
    ),
    status_code=202,
    dependencies=[Depends(_alertmanager)],
    responses=errors(*AUTHENTICATED, *WITH_BODY, 404, 503),
)
async def take_alerts(request: Request, notification: AlertmanagerNotification) -> AlertAccepted:
    gateway = gateway_of(request)
    group = read_group(notification, cluster_label=gateway.settings.alert_cluster_label)
    identity = identity_of(notification, group)
    tell = gateway.incidents.fire if notification.status == "firing" else gateway.incidents.resolve
    try:
        async with gateway.store.guard():
            accepted = await tell(identity, group)
    except QueueFullError:
        gateway.metrics.alert_groups.labels("refused").inc()
        # Alertmanager repeats what ends with a 5xx.
        raise ApiError(
            503,
            "alert_queue_full",
            "Too many groups wait for a diagnosis; send this one again later.",
            headers={"Retry-After": "30"},
        ) from None
    gateway.metrics.alert_groups.labels(accepted.result).inc()
    return accepted
