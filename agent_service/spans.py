"""The spans of a run, as OpenTelemetry's conventions for generative AI name them. Never any content.

https://github.com/open-telemetry/semantic-conventions-genai/tree/main/docs/gen-ai (status: development)
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from agent_service.models import model_name
from agent_service.models.builtin.chat_model import BuiltinChatModel
from kubetriage import __version__
from kubetriage.contracts.api import AskResponse
from kubetriage.telemetry.spans import Attributes, Span, span

_AGENT = "kubetriage"


def invoke_agent_span(model: str, session_id: str) -> AbstractContextManager[Span]:
    """One question. Not the current span: a run is a generator, which another task may close."""
    about = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": _AGENT,
        "gen_ai.agent.name": _AGENT,
        "gen_ai.agent.version": __version__,
        "gen_ai.conversation.id": session_id,
        "gen_ai.request.model": model,
    }
    return span(f"invoke_agent {_AGENT}", about, current=False)


def outcome_of(answer: AskResponse) -> Attributes:
    """What a question cost and how it ended."""
    return {
        "gen_ai.usage.input_tokens": answer.usage.input_tokens,
        "gen_ai.usage.output_tokens": answer.usage.output_tokens,
        "kubetriage.run.status": answer.status,
        "kubetriage.run.steps": answer.usage.steps,
    }


def execute_tool_span(name: str, run: Span | None) -> AbstractContextManager[Span]:
    """One call of a tool."""
    about = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.type": "function"}
    return span(f"execute_tool {name}", about, parent=run)


def chat_span(model: BaseChatModel, run: Span | None) -> AbstractContextManager[Span]:
    """One call of a model, with what its client repeats. Every vendor is spoken to as to OpenAI."""
    name, own = model_name(model), isinstance(model, BuiltinChatModel)
    about = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _AGENT if own else "openai",
        "gen_ai.request.model": name,
    }
    return span(f"chat {name}", about, kind="internal" if own else "client", parent=run)


def usage_of(messages: Iterable[BaseMessage]) -> Attributes:
    """What a vendor says about its reply; the built-in model counts nothing."""
    found: dict[str, str | int] = {}
    for message in messages:
        if isinstance(message, AIMessage) and message.usage_metadata:
            found["gen_ai.usage.input_tokens"] = message.usage_metadata["input_tokens"]
            found["gen_ai.usage.output_tokens"] = message.usage_metadata["output_tokens"]
    return found
