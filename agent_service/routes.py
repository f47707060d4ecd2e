"""The internal API, for the gateway alone, and the operations endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator, AsyncIterator
from types import ModuleType
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agent_service.authentication import Claims
from agent_service.own_task import in_own_task
from agent_service.problems import problem_of
from agent_service.service import Service
from kubetriage import __version__
from kubetriage.contracts.api import (
    AskResponse,
    DiagnoseRequest,
    Health,
    InternalAsk,
    MessageList,
    SearchRequest,
    SearchResponse,
    SessionId,
)
from kubetriage.contracts.diagnosis import Diagnosis
from kubetriage.contracts.events import RunError, StreamEvent, to_sse

internal = APIRouter(prefix="", tags=["internal"])
operations = APIRouter(tags=["operations"])
_EVENT_STREAM = "text/event-stream"
_log = structlog.get_logger("agent")


def service_of(request: Request) -> Service:
    """The Service that the application was started with."""
    service: Service = request.app.state.service
    return service


@internal.post(
    "/internal/v1/ask", summary="Answer a question, streamed when the caller accepts it", response_model=AskResponse
)
async def ask(request: Request, claims: Claims, question: InternalAsk) -> Response:
    service, request_id = service_of(request), request.state.request_id
    if _EVENT_STREAM not in request.headers.get("accept", ""):
        answer = await service.answer(question, claims, request_id)
        return Response(answer.model_dump_json(), media_type="application/json")
    events = in_own_task(service.ask(question, claims, request_id))
    # The first event is taken here: what is refused before it is a status, not an event.
    first = await anext(events)
    return StreamingResponse(
        _stream(first, events, request_id), media_type=_EVENT_STREAM, headers={"Cache-Control": "no-store"}
    )


async def _stream(first: StreamEvent, events: AsyncGenerator[StreamEvent], request_id: str) -> AsyncIterator[bytes]:
    """Always one terminal event; closing it (the caller hung up) ends the run."""
    async with contextlib.aclosing(events):
        yield to_sse(first)
        try:
            async for event in events:
                yield to_sse(event)
        # The status is sent already, so the error has to be an event.
        except Exception as error:  # noqa: BLE001
            problem = problem_of(error, request_id)
            log = _log.exception if problem.status == 500 else _log.warning
            log("run failed", code=problem.code)
            yield to_sse(RunError(problem=problem))


@internal.post("/internal/v1/diagnose", summary="Diagnose an object, a namespace or a cluster")
async def diagnose(request: Request, claims: Claims, scope: DiagnoseRequest) -> Diagnosis:
    return await service_of(request).diagnose(scope, claims)


@internal.post("/internal/v1/search", summary="Search the runbooks")
async def search(request: Request, claims: Claims, query: SearchRequest) -> SearchResponse:
    return await service_of(request).search(query, claims)


@internal.post("/internal/v1/mcp", summary="One message of the Model Context Protocol")
async def mcp(request: Request, claims: Claims) -> Response:
    service, request_id = service_of(request), request.state.request_id
    protocol = await load_mcp()

    async def call(name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return await service.call_tool(name, arguments, claims, request_id)

    server = protocol.build_server(call, several_clusters=len(service.settings.contexts) > 1)
    answer: Response = protocol.McpResponse(server)
    return answer


async def load_mcp() -> ModuleType:
    """The protocol, imported with its first message: it costs half a second and 15 MB that most agents never need."""
    return await asyncio.to_thread(importlib.import_module, "agent_service.mcp_server")


@internal.get("/internal/v1/sessions/{session_id}/messages", summary="A conversation's messages")
async def messages(request: Request, claims: Claims, session_id: Annotated[SessionId, Path()]) -> MessageList:
    return MessageList(session_id=session_id, messages=await service_of(request).messages(claims, session_id))


@internal.delete("/internal/v1/sessions/{session_id}", summary="Forget a conversation", status_code=204)
async def forget(request: Request, claims: Claims, session_id: Annotated[SessionId, Path()]) -> None:
    await service_of(request).forget(claims, session_id)


@operations.get("/healthz", summary="Liveness: the process answers")
async def healthz() -> Health:
    return Health(status="ok", version=__version__)


@operations.get("/readyz", summary="Readiness: 503 while draining, degraded without Redis")
async def readyz(request: Request) -> Response:
    """Without Redis no session can be continued, but diagnoses, searches and tools go on: an agent stays in service."""
    checks = await service_of(request).ready()
    draining = request.app.state.draining
    fine = all(value == "ok" for value in checks.values())
    status: Literal["ok", "degraded", "draining"] = "draining" if draining else "ok" if fine else "degraded"
    health = Health(status=status, version=__version__, checks=checks)
    return JSONResponse(health.model_dump(mode="json"), status_code=503 if draining else 200)


@operations.get("/metrics", summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    return Response(generate_latest(service_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)
