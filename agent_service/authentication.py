"""Only the gateway gets in: every internal call carries its short-lived signed token."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from agent_service.errors import NamespaceForbiddenError, SessionNotFoundError, UnauthenticatedError
from kubetriage.contracts.identity import InternalClaims
from kubetriage.safety.internal_tokens import InternalTokenError, verify_internal

_SCHEME = "bearer "


async def _claims(request: Request) -> InternalClaims:
    header = request.headers.get("authorization", "")
    if not header.lower().startswith(_SCHEME):
        raise UnauthenticatedError("Calls come through the gateway, with its internal token.")
    try:
        claims = verify_internal(header[len(_SCHEME) :].strip(), request.app.state.internal_keys)
    except InternalTokenError as error:
        raise UnauthenticatedError(str(error)) from error
    request.state.subject = claims.subject
    return claims


Claims = Annotated[InternalClaims, Depends(_claims)]


def thread_of(claims: InternalClaims, session_id: str | None) -> str:
    """The conversation's key: two users never share one, whatever ids they name."""
    session = session_id or claims.session_id
    if session is None or (claims.session_id is not None and session != claims.session_id):
        raise SessionNotFoundError("The session of the call and that of its token differ.")
    return f"{claims.subject}:{session}"


def check_namespace(claims: InternalClaims, namespace: str | None) -> None:
    """Raises NamespaceForbiddenError; the gateway has checked before, this is the second lock."""
    if namespace is not None and claims.namespaces is not None and namespace not in claims.namespaces:
        raise NamespaceForbiddenError(f"Namespace {namespace} is not among the namespaces that you may read.")
