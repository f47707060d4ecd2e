"""Puts the LangChain agent together: model, tools, middleware, memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models.chat_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

from agent_service.middleware import BuiltinFallback, CheckedAnswer, DiagnosisFirst, StepLimit, TracedModel, TurnWindow
from agent_service.models.builtin.chat_model import BuiltinChatModel
from agent_service.prompts import system_prompt
from agent_service.run_context import RunContext
from agent_service.tools.binding import build_tools

MAX_STEPS = 12  # model calls of one question; the longest plan of the built-in model takes four
Agent = CompiledStateGraph[Any, RunContext, Any, Any]


def build_agent(
    model: BaseChatModel,
    checkpointer: BaseCheckpointSaver[Any] | None,
    *,
    max_steps: int = MAX_STEPS,
    innermost: Sequence[AgentMiddleware[Any, Any]] = (),
) -> Agent:
    """One agent serves every session and caller; what differs is in the RunContext and the thread.

    ``innermost``: around each call of the model, whichever it is.
    """
    middleware: list[Any] = [CheckedAnswer(), StepLimit(max_steps), TurnWindow()]
    if not isinstance(model, BuiltinChatModel):
        # Outermost first: the diagnosis needs no model, the fallback stands around the model alone.
        middleware += [DiagnosisFirst(), BuiltinFallback(BuiltinChatModel())]
    middleware.append(TracedModel())
    return create_agent(
        model,
        build_tools(),
        system_prompt=system_prompt(),
        middleware=[*middleware, *innermost],
        context_schema=RunContext,
        checkpointer=checkpointer,
        name="kubetriage",
    )
