"""The server that the agent makes for one message, asked by the official client in this process."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent

from agent_service.errors import ClusterForbiddenError
from agent_service.mcp_server import build_server
from kubetriage.cluster.errors import ClusterUnreachableError

CALLS: list[tuple[str, dict[str, Any]]] = []


async def answer(name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    CALLS.append((name, arguments))
    return "fine", {"status": "ok"}


@pytest.mark.parametrize("several", [True, False], ids=["several clusters", "one cluster"])
async def test_tools_take_a_cluster_where_there_are_several(several: bool) -> None:
    async with Client(build_server(answer, several_clusters=several)) as client:
        for tool in (await client.list_tools()).tools:
            assert ("cluster" in tool.input_schema["properties"]) is several
            assert "cluster" not in tool.input_schema.get("required", ())
        arguments = {"namespace": "shop", "cluster": "prod"}
        await client.call_tool("diagnose", arguments)
    assert CALLS[-1] == ("diagnose", arguments)


FAULTS = [
    (ClusterForbiddenError("There is no cluster x that you may read."), "There is no cluster x that you may read."),
    (
        ClusterUnreachableError("https://ada:hunter2@10.0.0.1"),
        "https://ada:[redacted password]@10.0.0.1",
    ),
]


@pytest.mark.parametrize(("fault", "told"), FAULTS, ids=["not the caller's", "unreachable"])
async def test_a_cluster_that_cannot_be_read_is_a_result_that_says_so(fault: Exception, told: str) -> None:
    async def fail(_name: str, _arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        raise fault

    async with Client(build_server(fail)) as client:
        result = await client.call_tool("diagnose", {})
    assert isinstance(result, CallToolResult)
    assert result.is_error
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert content.text == told
