"""Which messages a model sees, and which are kept: pure functions over message lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage

WINDOW_TURNS = 10


def last_turns(messages: Sequence[AnyMessage], turns: int = WINDOW_TURNS) -> list[AnyMessage]:
    """The messages from the ``turns``-th last question on; a long turn is never cut in half."""
    starts = [position for position, message in enumerate(messages) if message.type == "human"]
    return list(messages) if len(starts) <= turns else list(messages[starts[-turns] :])


def without_open_calls(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Without the tool calls of a run that was broken off: vendors refuse a call that has no result."""
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    kept: list[AnyMessage] = []
    for message in messages:
        if isinstance(message, AIMessage) and message.tool_calls:
            calls = [call for call in message.tool_calls if call["id"] in answered]
            if len(calls) != len(message.tool_calls):
                if not calls and not message.text:
                    continue
                kept.append(message.model_copy(update={"tool_calls": calls, "additional_kwargs": {}}))
                continue
        kept.append(message)
    return kept


def steps_of_turn(messages: Sequence[BaseMessage]) -> int:
    """How many model messages the current turn has so far."""
    count = 0
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        count += isinstance(message, AIMessage)
    return count


def without_indexes(messages: Sequence[AnyMessage]) -> list[ToolMessage]:
    """Replacements (same id) of tool results that hold the cluster's index of names.

    The index serves the turn that read it. Kept, it would be most of what a session weighs.
    """
    lighter: list[ToolMessage] = []
    for message in messages:
        artifact: Any = message.artifact if isinstance(message, ToolMessage) else None
        if not isinstance(message, ToolMessage) or not isinstance(artifact, dict):
            continue
        if artifact.get("data", {}).get("index"):
            data = artifact["data"] | {"index": []}
            lighter.append(
                message.model_copy(update={"artifact": artifact | {"data": data}, "content": artifact["summary"]})
            )
    return lighter
