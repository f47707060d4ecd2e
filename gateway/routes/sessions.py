"""A user's own conversations; anybody else's do not exist."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from gateway.core import gateway_of
from gateway.forwarding import call_for, fetch_json, until_gone
from gateway.identity import AnyCaller
from gateway.openapi import AUTHENTICATED, FORWARDED, WITH_BODY, errors
from gateway.problems import ApiError
from gateway.routes.questions import own_session
from gateway.upstream import UpstreamProblemError
from kubetriage.contracts.api import MessageList, Session, SessionCreate, SessionId, SessionList

router = APIRouter(tags=["sessions"])

OwnSessionId = Annotated[SessionId, Path(examples=["s_1b2c3d4e5f"])]


@router.get(
    "/v1/sessions",
    summary="List my sessions",
    description="The 200 newest, last used first.",
    responses=errors(*AUTHENTICATED, 503),
)
async def list_sessions(request: Request, caller: AnyCaller) -> SessionList:
    gateway = gateway_of(request)
    async with gateway.store.guard():
        return SessionList(sessions=await gateway.sessions.list(caller.user.username))


@router.post(
    "/v1/sessions",
    summary="Begin a session",
    status_code=201,
    responses=errors(*AUTHENTICATED, *WITH_BODY, 503),
)
async def create_session(
    request: Request, response: Response, caller: AnyCaller, wanted: SessionCreate | None = None
) -> Session:
    gateway = gateway_of(request)
    title = (wanted.title if wanted else None) or "New session"
    async with gateway.store.guard():
        session = await gateway.sessions.create(caller.user.username, title)
    response.headers["Location"] = f"/v1/sessions/{session.id}"
    return session


@router.get(
    "/v1/sessions/{session_id}",
    summary="One of my sessions",
    responses=errors(*AUTHENTICATED, 404, 422, 503),
)
async def read_session(request: Request, caller: AnyCaller, session_id: OwnSessionId) -> Session:
    gateway = gateway_of(request)
    async with gateway.store.guard():
        session = await gateway.sessions.find(caller.user.username, session_id)
    if session is None:
        raise ApiError(404, "session_not_found", "You have no such session; GET /v1/sessions lists yours.")
    return session


@router.delete(
    "/v1/sessions/{session_id}",
    summary="Forget one of my sessions",
    description="With its messages and memory. Nothing is deleted when the agent cannot be reached.",
    status_code=204,
    responses=errors(*AUTHENTICATED, *FORWARDED, 422),
)
async def delete_session(request: Request, caller: AnyCaller, session_id: OwnSessionId) -> Response:
    gateway = gateway_of(request)
    async with gateway.store.guard():
        await own_session(request, caller, session_id)
    call = call_for(
        request,
        caller,
        "delete_session",
        method="DELETE",
        path=f"/internal/v1/sessions/{session_id}",
        session_id=session_id,
    )
    try:
        await until_gone(request, gateway.agent.fetch(call))
    except UpstreamProblemError as error:
        if error.problem.status != 404:  # the agent never heard of it: a session without a question
            raise
    async with gateway.store.guard():
        await gateway.sessions.delete(caller.user.username, session_id)
    return Response(status_code=204)


@router.get(
    "/v1/sessions/{session_id}/messages",
    summary="The messages of one of my sessions",
    response_model=MessageList,
    responses=errors(*AUTHENTICATED, *FORWARDED, 422),
)
async def read_messages(request: Request, caller: AnyCaller, session_id: OwnSessionId) -> Response:
    async with gateway_of(request).store.guard():
        await own_session(request, caller, session_id)
    call = call_for(
        request,
        caller,
        "messages",
        method="GET",
        path=f"/internal/v1/sessions/{session_id}/messages",
        session_id=session_id,
    )
    return await fetch_json(request, call, MessageList)
