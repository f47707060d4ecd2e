"""The part of OpenAI's chat completions that we speak (https://platform.openai.com/docs/api-reference/chat).

Requests are open, unlike our own: clients send whatever their version knows.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ContentPart(_Given):
    """A part of a message; only ``text`` is read."""

    type: Annotated[str, StringConstraints(max_length=64)]
    text: str | None = None


class ChatMessage(_Given):
    """One message. Those of ``user`` and ``assistant`` are the conversation, all others are passed over."""

    role: Annotated[str, StringConstraints(max_length=64)]
    content: str | tuple[ContentPart, ...] | None = None


class StreamOptions(_Given):
    include_usage: bool | None = None


class ChatRequest(_Given):
    """``metadata`` may hold ``namespace`` and ``cluster``. What only tunes a model (``temperature``, ``max_tokens``,
    ``tools``, ...) is ignored; what asks for another kind of answer is refused."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, Any] | None = None
    n: int | None = None
    tool_choice: Any = None
    function_call: Any = None
    response_format: Any = None
    logprobs: bool | None = None
    modalities: tuple[str, ...] | None = None


class ChatUsage(BaseModel):
    """Tokens of all model calls of the answer; zero with the built-in model."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """``length``: a limit ended the run, and the answer says what was found until then."""

    index: int = 0
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="seconds since 1970")
    model: str
    choices: tuple[Choice, ...]
    usage: ChatUsage


class ListedModel(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "kubetriage"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: tuple[ListedModel, ...]
