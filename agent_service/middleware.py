"""What surrounds the agent's model calls and its runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import structlog
from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.runtime import Runtime

from agent_service.conversation_state import (
    WINDOW_TURNS,
    last_turns,
    steps_of_turn,
    without_indexes,
    without_open_calls,
)
from agent_service.errors import ModelUnavailableError
from agent_service.grounding import ground, note_of, told_by
from agent_service.links import LineByLine
from agent_service.models.builtin.diagnosis_text import render_diagnosis
from agent_service.models.builtin.entities import find_entities
from agent_service.models.builtin.intent import Kind, recognize
from agent_service.run_context import RunContext
from agent_service.spans import chat_span, usage_of
from agent_service.tools.directory import NAMED, read_directory

_ABOUT_FAULTS = frozenset({Kind.WHY, Kind.HEALTH, Kind.FIX})
Handler = Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
_log = structlog.get_logger("agent")


class TurnWindow(AgentMiddleware[Any, Any]):
    """The model sees the last human turns; the store keeps them all until its TTL, but no index of names."""

    def __init__(self, turns: int = WINDOW_TURNS) -> None:
        super().__init__()
        self._turns = turns

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Handler) -> Any:
        messages = without_open_calls(last_turns(request.messages, self._turns))
        return await handler(request.override(messages=messages))

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        del runtime
        lighter = without_indexes(state["messages"])
        return {"messages": lighter} if lighter else None


class CheckedAnswer(AgentMiddleware[Any, Any]):
    """What a model writes is stored and returned without secrets and foreign links, and with what it made up named.

    ``runs`` makes safe what is streamed; the names of what is made up come at its end.
    """

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Handler) -> Any:
        response = await handler(request)
        context: RunContext = request.runtime.context
        if isinstance(response, AIMessage):
            return _checked(response, request.messages, context)
        result = [_checked(message, request.messages, context) for message in response.result]
        return replace(response, result=result)


def _checked(message: Any, before: Sequence[AnyMessage], context: RunContext) -> Any:
    text = str(message.text)
    lines = LineByLine(context.presentable)
    safe = lines.feed(text) + lines.rest()
    if safe and not message.tool_calls:
        told = [told_by(one.name or "", str(one.text), _data_of(one)) for one in before if isinstance(one, ToolMessage)]
        asked = "\n".join(str(one.text) for one in before if isinstance(one, HumanMessage))
        context.grounding = ground(safe, told, asked)
        safe += note_of(context.grounding.unverified)
    return message if safe == text else message.model_copy(update={"content": safe})


def _data_of(message: ToolMessage) -> Any:
    return message.artifact.get("data") if isinstance(message.artifact, dict) else None


class StepLimit(AgentMiddleware[Any, Any]):
    """Ends a run that calls the model too often, with what was found so far."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Handler) -> Any:
        if steps_of_turn(request.messages) < self._steps:
            return await handler(request)
        context: RunContext = request.runtime.context
        context.limit = "steps"
        return AIMessage(partial_answer(context, f"I stopped after {self._steps} steps without coming to an end."))


def partial_answer(context: RunContext, why: str) -> str:
    """What a run that was ended can still say: the diagnosis, if there was one."""
    if context.diagnosis is None:
        return f"{why} Ask again about one namespace or one object."
    return f"{why} This is what the diagnosis found:\n\n{render_diagnosis(context.diagnosis.model_dump(mode='json'))}"


class BuiltinFallback(AgentMiddleware[Any, Any]):
    """When the vendor's model fails, the built-in one answers, and the answer says so.

    It reads the tools' results from their artifacts, so it can take over in the middle of a run.
    """

    def __init__(self, builtin: BaseChatModel) -> None:
        super().__init__()
        self._builtin = builtin

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Handler) -> Any:
        context: RunContext = request.runtime.context
        if "model" in context.degraded:
            return await handler(request.override(model=self._builtin))
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - vendors' clients raise anything
            # The message may quote the prompt or the key; its type is enough to look further.
            _log.warning("model failed", error_type=type(error).__name__)
            context.degraded.add("model")
            try:
                return await handler(request.override(model=self._builtin))
            except Exception as second:
                raise ModelUnavailableError("The language model does not answer, and no other could.") from second


class TracedModel(AgentMiddleware[Any, Any]):
    """A span for each call of a model; innermost, so that a fallback's call has one of its own."""

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Handler) -> Any:
        context: RunContext = request.runtime.context
        with chat_span(request.model, context.span) as call:
            response = await handler(request)
            call.set(usage_of(response.result))
        return response


class DiagnosisFirst(AgentMiddleware[Any, Any]):
    """For language models: the first step of a question about a fault is the diagnosis, not a guess.

    Costs no model call, and a weak model has the right answer before it in every case.
    """

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Handler) -> Any:
        last = request.messages[-1] if request.messages else None
        if not isinstance(last, HumanMessage):
            return await handler(request)
        arguments = await _diagnosis_arguments(
            str(last.text), request.runtime.context, follow_up=len(request.messages) > 1
        )
        if arguments is None:
            return await handler(request)
        call = {"name": "diagnose", "args": arguments, "id": f"call_{uuid4().hex[:12]}", "type": "tool_call"}
        return AIMessage("", tool_calls=[call])


async def _diagnosis_arguments(question: str, context: RunContext, *, follow_up: bool) -> dict[str, str] | None:
    """What to diagnose for ``question``; None when it asks for something else, or about what was said before."""
    intent = recognize(question)
    if intent.kind not in _ABOUT_FAULTS or (intent.kind is Kind.FIX and follow_up):
        return None
    directory = await read_directory(context, None, (*NAMED, "namespaces"))
    rows = [
        {"plural": one.resource.plural, "kind": one.resource.kind, "namespace": one.namespace, "name": one.name}
        for one in directory.entries
    ]
    named = find_entities(question, rows, intent.plural)
    if named.objects:
        target = named.objects[0]
        found = {"kind": target.kind, "name": target.name, "namespace": target.namespace}
        return {key: value for key, value in found.items() if value}
    if named.namespace:
        return {"namespace": named.namespace}
    return None if follow_up else {}
