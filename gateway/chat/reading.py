"""What a chat request asks: the last message is the question, those before it are the conversation. Pure."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from gateway.problems import ApiError
from kubetriage.contracts.api import HISTORY_MESSAGES, InternalAsk, PastMessage
from kubetriage.contracts.chat import ChatMessage, ChatRequest

MODEL = "kubetriage"
_PAST_LENGTH = 20_000  # characters kept of an earlier message; the beginning, where answers name the root cause
_SPOKEN = ("user", "assistant")
_UNDEMANDING = (None, "auto", "none")  # of a choice of tools; anything else, also an object, demands a call


def read_request(chat: ChatRequest) -> InternalAsk:
    """The question with its history. Raises ApiError (400, 404) and RequestValidationError."""
    base, _, namespace = chat.model.partition("/")
    if base != MODEL:
        raise ApiError(
            404,
            "model_not_found",
            f"There is no such model; it is {MODEL!r}, or {MODEL}/NAMESPACE for the questions about one namespace.",
            param="model",
        )
    _refuse_unsupported(chat)
    *before, last = chat.messages
    if last.role != "user":
        raise ApiError(400, "question_missing", "The last message must be the user's: it is the question.")
    about = chat.metadata or {}
    try:
        return InternalAsk(
            question=_question(last),
            namespace=about.get("namespace") or namespace or None,
            cluster=about.get("cluster") or None,
            history=_history(before),
        )
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error


def _refuse_unsupported(chat: ChatRequest) -> None:
    """Answers that would not be what the caller waits for: better none."""
    wanted = chat.response_format.get("type") if isinstance(chat.response_format, dict) else None
    refused = {
        "n": chat.n is not None and chat.n != 1,
        "tool_choice": chat.tool_choice not in _UNDEMANDING,
        "function_call": chat.function_call not in _UNDEMANDING,
        "response_format": wanted not in (None, "text"),
        "logprobs": bool(chat.logprobs),
        "modalities": chat.modalities is not None and set(chat.modalities) != {"text"},
    }
    for name, is_refused in refused.items():
        if is_refused:
            raise ApiError(
                400, "parameter_unsupported", f"There is one answer, as text: leave {name!r} out.", param=name
            )


def _question(message: ChatMessage) -> str:
    if not isinstance(message.content, str) and any(part.type != "text" for part in message.content or ()):
        raise ApiError(400, "content_unsupported", "Only text can be read: leave images, sounds and files out.")
    return _text(message)


def _text(message: ChatMessage) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return "\n".join(part.text for part in message.content if part.text)


def _history(messages: list[ChatMessage]) -> tuple[PastMessage, ...]:
    """What was said, without instructions and tools: those are the agent's own."""
    said = [
        PastMessage.model_validate({"role": one.role, "content": _text(one)[:_PAST_LENGTH]})
        for one in messages[-4 * HISTORY_MESSAGES :]
        if one.role in _SPOKEN and _text(one).strip()
    ]
    return tuple(said[-HISTORY_MESSAGES:])
