"""One question from start to end, as the events of ``kubetriage.contracts.events``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from agent_service.agent import Agent
from agent_service.errors import RunTimeoutError
from agent_service.grounding import with_claims
from agent_service.links import LineByLine, find_urls
from agent_service.memory.transcript import finished_call, tool_calls_of
from agent_service.middleware import partial_answer
from agent_service.run_context import RunContext
from agent_service.spans import invoke_agent_span, outcome_of
from kubetriage.contracts.api import AskResponse, PastMessage, Source, ToolCall, Usage
from kubetriage.contracts.events import Answer, RunStarted, StreamEvent, Token, ToolFinished, ToolStarted
from kubetriage.safety.untrusted import clean_text

_SOURCES = 40
_MODEL_NODE = "model"
_log = structlog.get_logger("agent")


@dataclass(slots=True)
class _Progress:
    """What a run has brought so far."""

    lines: LineByLine
    calls: dict[str, ToolCall] = field(default_factory=dict)
    sources: dict[tuple[str, str, str], Source] = field(default_factory=dict)
    text: str = ""
    steps: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    streamed: str = ""  # of the message that is being written


async def run_question(
    agent: Agent,
    question: str,
    context: RunContext,
    *,
    thread: str | None,
    history: Sequence[PastMessage] = (),
    model: str,
    seconds: float,
) -> AsyncGenerator[StreamEvent]:
    """Ends with an Answer. ``seconds`` is the run's whole time.

    ``thread`` names the conversation; None, for an agent without a checkpointer: the caller keeps it, and it begins
    with ``history``.

    Raises RunTimeoutError when the time is over and there is nothing to say, and whatever memory
    raises. Closing the iterator ends the run and its tools.
    """
    began = time.perf_counter()
    # People paste what they have on their screens.
    question = context.redactor.text(clean_text(question))
    context.urls |= find_urls(question)
    progress = _Progress(LineByLine(context.presentable))
    yield RunStarted(session_id=context.session_id, request_id=context.request_id, model=model)
    config: RunnableConfig = {"configurable": {"thread_id": thread} if thread else {}, "recursion_limit": 200}
    with invoke_agent_span(model, context.session_id) as context.span:
        try:
            stream = agent.astream(
                {"messages": [*map(_message, history), HumanMessage(question)]},
                config,
                context=context,
                stream_mode=["updates", "messages"],
                durability="exit" if thread else None,
            )
            async with asyncio.timeout(seconds):
                async for mode, data in stream:
                    for event in _events(mode, data, progress):
                        yield event
        except TimeoutError as error:
            context.limit = "seconds"
            if context.diagnosis is None:
                raise RunTimeoutError(
                    f"The question took longer than {seconds:g} s; ask about one namespace or one object."
                ) from error
            progress.text = partial_answer(context, f"I ran out of time after {seconds:g} s.")
            yield Token(text=progress.text)
        answer = _answer(context, progress, model, time.perf_counter() - began)
        context.span.set(outcome_of(answer))
    yield Answer(answer=answer)


def _message(past: PastMessage) -> BaseMessage:
    return HumanMessage(past.content) if past.role == "user" else AIMessage(past.content)


def _events(mode: str, data: Any, progress: _Progress) -> list[StreamEvent]:
    if mode == "messages":
        chunk, about = data
        text = str(chunk.text) if isinstance(chunk, AIMessageChunk) else ""
        if not text or about.get("langgraph_node") != _MODEL_NODE:
            return []
        return _stream(progress, progress.lines.feed(text))
    events: list[StreamEvent] = []
    for node, update in data.items():
        # A node that changes nothing brings None; "after" hooks only rewrite old messages.
        if node in {_MODEL_NODE, "tools"} and isinstance(update, dict):
            for message in update.get("messages") or ():
                events.extend(_message_events(message, progress))
    return events


def _stream(progress: _Progress, text: str) -> list[StreamEvent]:
    progress.streamed += text
    return [Token(text=text)] if text else []


def _message_events(message: BaseMessage, progress: _Progress) -> list[StreamEvent]:
    if isinstance(message, AIMessage):
        return _model_events(message, progress)
    if isinstance(message, ToolMessage):
        begun = progress.calls.get(message.tool_call_id)
        call = finished_call(message, begun.arguments if begun else {})
        progress.calls[call.id] = call
        artifact = message.artifact if isinstance(message.artifact, dict) else {}
        for row in artifact.get("sources") or ():
            source = Source.model_validate(row)
            progress.sources.setdefault((source.title, source.where, source.quote), source)
        return [ToolFinished(call=call)]
    return []


def _model_events(message: AIMessage, progress: _Progress) -> list[StreamEvent]:
    progress.steps += 1
    usage = message.usage_metadata
    if usage:
        progress.input_tokens += usage["input_tokens"]
        progress.output_tokens += usage["output_tokens"]
    calls = tool_calls_of(message)
    progress.calls.update({call.id: call for call in calls})
    events = [*_stream(progress, progress.lines.rest()), *(ToolStarted(call=call) for call in calls)]
    if not calls:
        progress.text = str(message.text)
        if progress.text.startswith(progress.streamed):  # what a middleware wrote, or added to the model's words
            events += _stream(progress, progress.text[len(progress.streamed) :])
    progress.streamed = ""
    return events


def _answer(context: RunContext, progress: _Progress, model: str, seconds: float) -> AskResponse:
    status = "limit_exceeded" if context.limit else "degraded" if context.degraded else "completed"
    return AskResponse.model_validate(
        {
            "session_id": context.session_id,
            "answer": progress.text or "I have no answer to that.",
            "status": status,
            "diagnosis": context.diagnosis,
            "sources": tuple(with_claims([*progress.sources.values()][:_SOURCES], context.grounding)),
            "unverified": context.grounding.unverified,
            "tool_calls": tuple(progress.calls.values()),
            "degraded": tuple(sorted(context.degraded)),
            "usage": Usage(
                model=model,
                input_tokens=progress.input_tokens,
                output_tokens=progress.output_tokens,
                steps=progress.steps,
                seconds=round(seconds, 4),
            ),
        }
    )
