"""Ask, diagnose, search: what is forwarded to the agent."""

from __future__ import annotations

import contextlib
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from gateway.core import gateway_of
from gateway.forwarding import call_for, fetch_json, until_gone
from gateway.identity import Caller, CostlyCaller
from gateway.openapi import AUTHENTICATED, FORWARDED, WITH_BODY, errors
from gateway.problems import ApiError
from gateway.sessions import title_from
from gateway.store import StoreUnavailableError
from gateway.streaming import StreamedAnswer
from kubetriage.contracts.api import AskRequest, AskResponse, DiagnoseRequest, SearchRequest, SearchResponse
from kubetriage.contracts.diagnosis import Diagnosis

router = APIRouter(tags=["questions"])

_EVENT_STREAM = "text/event-stream"
_ERRORS = errors(*AUTHENTICATED, *WITH_BODY, *FORWARDED)
_STREAM_EXAMPLE = (
    "event: run.started\n"
    'data: {"type":"run.started","session_id":"s_...","request_id":"...","model":"builtin"}\n\n'
    'event: token\ndata: {"type":"token","text":"checkout fails because "}\n\n'
    'event: answer\ndata: {"type":"answer","answer":{}}\n\n'
)


@router.post(
    "/v1/ask",
    summary="Ask a question in plain words",
    description=(
        "Without `session_id` a new session begins; its id is in the answer and in `X-Session-ID`. "
        "With `Accept: text/event-stream` the answer is streamed: `run.started`, `tool.started`, "
        "`tool.finished`, `token`, and one terminal `answer` or `error`."
    ),
    response_model=AskResponse,
    responses={
        **_ERRORS,
        200: {
            "description": "The answer with its sources and tool calls, or the stream of it.",
            "content": {_EVENT_STREAM: {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE}},
        },
    },
)
async def ask(
    request: Request,
    caller: CostlyCaller,
    question: Annotated[
        AskRequest,
        Body(
            openapi_examples={
                "first": {"value": {"question": "Why is checkout failing?", "namespace": "shop"}},
                "follow-up": {"value": {"question": "Show me its logs", "session_id": "s_1b2c3d4e5f"}},
            }
        ),
    ],
) -> Response:
    caller.require(namespace=question.namespace, cluster=question.cluster)
    gateway = gateway_of(request)
    owner = caller.user.username
    async with gateway.store.guard():
        if question.session_id is None:
            session_id, begun = (await gateway.sessions.create(owner, title_from(question.question))).id, True
        else:
            session_id, begun = await own_session(request, caller, question.session_id), False
    try:
        response = await _forward(request, caller, question, session_id)
    except Exception:
        if begun:  # nothing was said in it
            with contextlib.suppress(StoreUnavailableError):
                async with gateway.store.guard():
                    await gateway.sessions.delete(owner, session_id)
        raise
    # An answer that cost something is worth more than an exact count of turns.
    with contextlib.suppress(StoreUnavailableError):
        async with gateway.store.guard():
            await gateway.sessions.count_turn(owner, session_id)
    response.headers["X-Session-ID"] = session_id
    return response


async def _forward(request: Request, caller: Caller, question: AskRequest, session_id: str) -> Response:
    stream = _EVENT_STREAM in request.headers.get("accept", "")
    call = call_for(
        request,
        caller,
        "ask",
        body=question.model_copy(update={"session_id": session_id}),
        session_id=session_id,
        accept=_EVENT_STREAM if stream else "application/json",
        repeatable=False,
    )
    if not stream:
        return await fetch_json(request, call, AskResponse)
    gateway = gateway_of(request)
    upstream = await until_gone(request, gateway.agent.stream(call))
    return StreamedAnswer(gateway, upstream, request_id=request.state.request_id)


async def own_session(request: Request, caller: Caller, session_id: str) -> str:
    """The id again when the session is the caller's. Raises the 404 otherwise."""
    if await gateway_of(request).sessions.find(caller.user.username, session_id) is None:
        raise ApiError(404, "session_not_found", "You have no such session; GET /v1/sessions lists yours.")
    return session_id


@router.post(
    "/v1/diagnose",
    summary="Diagnose an object, a namespace or a cluster",
    description="Incidents by rank, each with cause, evidence and fix, and what could not be read.",
    response_model=Diagnosis,
    responses=_ERRORS,
)
async def diagnose(
    request: Request,
    caller: CostlyCaller,
    scope: Annotated[
        DiagnoseRequest,
        Body(
            openapi_examples={
                "one object": {"value": {"namespace": "shop", "kind": "Deployment", "name": "checkout"}},
                "a whole cluster": {"value": {}},
            }
        ),
    ],
) -> Response:
    caller.require(namespace=scope.namespace, cluster=scope.cluster)
    return await fetch_json(request, call_for(request, caller, "diagnose", body=scope), Diagnosis)


@router.post(
    "/v1/search",
    summary="Search the runbooks",
    response_model=SearchResponse,
    responses=_ERRORS,
)
async def search(
    request: Request,
    caller: CostlyCaller,
    query: Annotated[SearchRequest, Body(openapi_examples={"by words": {"value": {"query": "pod OOMKilled", "k": 3}}})],
) -> Response:
    caller.require(namespace=query.namespace, cluster=None)
    return await fetch_json(request, call_for(request, caller, "search", body=query), SearchResponse)
