"""A stored conversation as people see it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from kubetriage.contracts.api import Message, ToolCall


def tool_calls_of(message: AIMessage) -> tuple[ToolCall, ...]:
    """The calls that a model's message asks for."""
    return tuple(
        ToolCall(id=str(call["id"]), name=call["name"], arguments=dict(call["args"])) for call in message.tool_calls
    )


def finished_call(message: ToolMessage, arguments: dict[str, Any]) -> ToolCall:
    """A call with what became of it."""
    artifact: dict[str, Any] = message.artifact if isinstance(message.artifact, dict) else {}
    failed = message.status == "error" or artifact.get("status") == "error"
    return ToolCall(
        id=message.tool_call_id,
        name=message.name or "",
        arguments=arguments,
        status="error" if failed else "ok",
        summary=str(artifact.get("summary") or str(message.text)[:200]),
        seconds=float(artifact.get("seconds") or 0.0),
    )


def render_transcript(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """Questions, tool calls with their one-line results, and answers, oldest first."""
    rows: list[Message] = []
    arguments: dict[str, dict[str, Any]] = {}
    for message in messages:
        if isinstance(message, HumanMessage):
            rows.append(Message(role="user", content=str(message.text)))
        elif isinstance(message, AIMessage):
            arguments.update({str(call["id"]): dict(call["args"]) for call in message.tool_calls})
            if message.text or message.tool_calls:
                rows.append(Message(role="assistant", content=str(message.text), tool_calls=tool_calls_of(message)))
        elif isinstance(message, ToolMessage):
            call = finished_call(message, arguments.get(message.tool_call_id, {}))
            rows.append(Message(role="tool", name=call.name, content=call.summary, tool_calls=(call,)))
    return tuple(rows)
