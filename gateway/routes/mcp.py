"""The Model Context Protocol over HTTP, for editors and other agents: who asks is checked here, the agent speaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.core import gateway_of
from gateway.forwarding import call_for, until_gone
from gateway.identity import CostlyCaller
from gateway.openapi import AUTHENTICATED, WITH_BODY, errors

router = APIRouter(tags=["mcp"])

# All that the protocol says in headers; no session, because there is none.
_HEADERS = ("mcp-protocol-version", "mcp-method", "mcp-name")
_EXAMPLE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "diagnose", "arguments": {"namespace": "shop"}},
}
_MESSAGE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": _EXAMPLE}},
    }
}


@router.post(
    "/mcp",
    summary="The tools, by the Model Context Protocol",
    description=(
        "Streamable HTTP without sessions, answered with JSON: `diagnose`, `search_runbooks` and the tools that read. "
        "Errors of the protocol are JSON-RPC errors, all others problem documents."
    ),
    response_class=Response,
    responses={
        **errors(*AUTHENTICATED, *WITH_BODY, 502, 503, 504),
        200: {
            "description": "The JSON-RPC response.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        202: {"description": "A notification was taken."},
    },
    openapi_extra=_MESSAGE,
)
async def mcp(request: Request, caller: CostlyCaller) -> Response:
    headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
    call = replace(
        call_for(request, caller, "mcp"),
        # Bytes as they came: the agent reads them.
        body=await request.body(),
        headers=headers,
    )
    status, body = await until_gone(request, gateway_of(request).agent.relay(call))
    return Response(body, status_code=status, media_type="application/json" if body else None)
