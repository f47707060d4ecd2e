"""Who asks: users as the gateway knows them, and the claims it passes inwards."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from kubetriage.contracts.base import WireModel


class Role(StrEnum):
    """What a user may do. Each includes the one before it."""

    VIEWER = "viewer"  # ask, diagnose, search
    OPERATOR = "operator"  # approve actions
    ADMIN = "admin"  # users, runbooks, audit


class InternalClaims(WireModel):
    """The gateway's word for one request, carried to a service in a short-lived signed token.

    ``namespaces`` and ``clusters``: what the caller may read; None means all, an empty tuple none.
    """

    subject: str
    role: Role = Role.VIEWER
    session_id: str | None = None
    request_id: str
    namespaces: tuple[str, ...] | None = None
    clusters: tuple[str, ...] | None = None
    expires_in: int = Field(default=60, ge=1, le=300, description="seconds from signing")
