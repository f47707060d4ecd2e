"""The built-in model as a LangChain chat model: it takes messages and answers with tool calls or text."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from agent_service.models.builtin.answers import render_answer
from agent_service.models.builtin.conversation import Outcome, Turn
from agent_service.models.builtin.planning import plan

_PIECES = re.compile(r"\S+\s*|\s+")
_WORDS_PER_CHUNK = 4


def read_turns(messages: Sequence[BaseMessage]) -> list[Turn]:
    """The conversation as turns. What tools brought is read from their artifacts, never from their text."""
    turns: list[Turn] = []
    outcomes: list[Outcome] = []
    arguments: dict[str, Any] = {}
    question: str | None = None
    answer = ""
    for message in messages:
        if isinstance(message, HumanMessage):
            if question is not None:
                turns.append(Turn(question, tuple(outcomes), answer))
            question, outcomes, answer = str(message.text), [], ""
        elif isinstance(message, AIMessage):
            arguments.update({str(call["id"]): call["args"] for call in message.tool_calls})
            answer = str(message.text)
        elif isinstance(message, ToolMessage):
            artifact = message.artifact if isinstance(message.artifact, dict) else {}
            data = artifact.get("data") or {"message": str(message.text)}
            ok = message.status != "error" and artifact.get("status") == "ok"
            outcomes.append(Outcome(message.name or "", arguments.get(message.tool_call_id, {}), data, ok))
    return [*turns, Turn(question or "help", tuple(outcomes), answer)]


def answer_turns(turns: Sequence[Turn]) -> AIMessage:
    """The next message of a conversation: tool calls, or the answer."""
    calls = plan(turns)
    if calls:
        return AIMessage(
            "",
            tool_calls=[
                {"name": one.tool, "args": dict(one.arguments), "id": f"call_{uuid4().hex[:12]}", "type": "tool_call"}
                for one in calls
            ],
        )
    return AIMessage(render_answer(turns))


class BuiltinChatModel(BaseChatModel):
    """Needs no network and no key. Same messages, same answer."""

    model_name: str = "builtin"

    @property
    def _llm_type(self) -> str:
        return "kubetriage-builtin"

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        """It knows the tools by name, so there is nothing to bind."""
        del tools, kwargs
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        return ChatResult(generations=[ChatGeneration(message=answer_turns(read_turns(messages)))])

    def _chunks(self, messages: list[BaseMessage]) -> Iterator[ChatGenerationChunk]:
        message = answer_turns(read_turns(messages))
        if message.tool_calls:
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_calls=message.tool_calls))
            return
        pieces = _PIECES.findall(str(message.text))
        for start in range(0, len(pieces), _WORDS_PER_CHUNK):
            yield ChatGenerationChunk(message=AIMessageChunk(content="".join(pieces[start : start + _WORDS_PER_CHUNK])))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        del stop, kwargs
        for chunk in self._chunks(messages):
            if run_manager:
                run_manager.on_llm_new_token(str(chunk.text), chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        del stop, kwargs
        for chunk in self._chunks(messages):
            if run_manager:
                await run_manager.on_llm_new_token(str(chunk.text), chunk=chunk)
            yield chunk
