"""The tools for other agents, by the Model Context Protocol (https://modelcontextprotocol.io).

The SDK speaks the protocol, in all its versions; here are the tools. Stateless: each HTTP message has a server of its
own, which knows whose call it is. Import it late.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agent_service.errors import AgentError, UnknownToolError
from agent_service.prompts import mcp_instructions
from agent_service.tools.binding import describe_tools
from kubetriage import __version__
from kubetriage.cluster.errors import ClusterError
from kubetriage.safety.redaction import redact
from kubetriage.safety.untrusted import clean_text

# What a server was made for: (tool, arguments) to (text, artifact), see ``binding.call_tool``.
Call = Callable[[str, dict[str, Any]], Awaitable[tuple[str, dict[str, Any]]]]
_CLUSTER = {"type": "string", "maxLength": 128, "description": "cluster by name; leave out for the default one"}

# It tells of each connection, which here is each message, and our log has a line of it already.
logging.getLogger("mcp").setLevel(logging.WARNING)


def build_server(call: Call, *, several_clusters: bool = False) -> Server[Any]:
    """A server whose tools are ``call``; ``several_clusters``: they take a ``cluster`` too."""

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=list(_tools(several_clusters=several_clusters)))

    async def call_tool(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            text, artifact = await call(params.name, params.arguments or {})
        except UnknownToolError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error
        except ValidationError as error:
            # Where and what, never the input.
            wrong = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:10])
            return _said("The arguments do not fit: " + "; ".join(wrong), failed=True)
        except (AgentError, ClusterError) as error:
            return _said(redact(clean_text(str(error))), failed=True)
        return _said(text, failed=artifact["status"] == "error")

    server: Server[Any] = Server(
        "kubetriage",
        version=__version__,
        instructions=mcp_instructions(),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    server.middleware.clear()  # spans with the messages of exceptions; ours have none
    return server


def _said(text: str, *, failed: bool) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=failed)


@cache
def _tools(*, several_clusters: bool) -> tuple[Tool, ...]:
    tools = []
    for name, description, schema in describe_tools():
        properties = {**schema["properties"], **({"cluster": _CLUSTER} if several_clusters else {})}
        tools.append(
            Tool(
                name=name,
                description=description,
                input_schema={**schema, "properties": properties},
                annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
            )
        )
    return tuple(tools)


class McpResponse(Response):
    """The answer of ``server`` to one HTTP message, as JSON."""

    def __init__(self, server: Server[Any]) -> None:
        super().__init__()
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        manager = StreamableHTTPSessionManager(self._server, json_response=True, stateless=True)
        async with manager.run():
            await manager.handle_request(scope, receive, send)


async def serve_stdio(server: Server[Any]) -> None:
    """Until standard input ends."""
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
