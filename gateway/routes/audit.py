"""The audit log, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, StringConstraints

from gateway.core import gateway_of
from gateway.identity import AnyCaller, Caller
from gateway.openapi import AUTHENTICATED, errors
from gateway.problems import ApiError
from kubetriage.contracts.audit import AuditPage
from kubetriage.contracts.identity import Role

router = APIRouter(tags=["audit"])

Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}-[0-9]{1,10}$")]


def _admin(caller: AnyCaller) -> Caller:
    if caller.user.role is not Role.ADMIN:
        raise ApiError(403, "role_required", "The audit log is for admins: ask one, or have your role changed.")
    return caller


@router.get(
    "/v1/audit",
    summary="Who asked for what",
    description=(
        "Newest first. `since` and `until` are times with a zone. Each entry carries the hash of the one before it; "
        "`kubetriage audit verify` checks the whole chain."
    ),
    dependencies=[Depends(_admin)],
    responses=errors(*AUTHENTICATED, 403, 422, 503),
)
async def read_audit(
    request: Request,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    actor: Annotated[str | None, Query(max_length=128)] = None,
    cursor: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AuditPage:
    gateway = gateway_of(request)
    async with gateway.store.guard():
        entries, following = await gateway.audit.page(since=since, until=until, actor=actor, cursor=cursor, limit=limit)
        head = await gateway.audit.head()
    return AuditPage(entries=entries, next=following, head=str(head) if head.sequence else None)
