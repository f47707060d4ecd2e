"""The events of a streamed answer (``text/event-stream``): ``event: <type>``, ``data: <json>``.

Order: ``run.started``, then any number of ``tool.started``/``tool.finished`` and ``token``, and
always exactly one terminal event: ``answer`` or ``error``. Comments (``: ...``) are heartbeats.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from kubetriage.contracts.api import AskResponse, ToolCall
from kubetriage.contracts.base import WireModel
from kubetriage.contracts.problems import Problem


class RunStarted(WireModel):
    type: Literal["run.started"] = "run.started"
    session_id: str
    request_id: str
    model: str


class ToolStarted(WireModel):
    type: Literal["tool.started"] = "tool.started"
    call: ToolCall


class ToolFinished(WireModel):
    type: Literal["tool.finished"] = "tool.finished"
    call: ToolCall


class Token(WireModel):
    type: Literal["token"] = "token"
    text: str


class Answer(WireModel):
    """Terminal: the whole answer, also for those who ignored the tokens."""

    type: Literal["answer"] = "answer"
    answer: AskResponse


class RunError(WireModel):
    """Terminal: the run failed after the stream had begun (the status was already 200)."""

    type: Literal["error"] = "error"
    problem: Problem


StreamEvent = Annotated[
    RunStarted | ToolStarted | ToolFinished | Token | Answer | RunError, Field(discriminator="type")
]
stream_event_adapter: TypeAdapter[StreamEvent] = TypeAdapter(StreamEvent)


def to_sse(event: StreamEvent, *, event_id: str | None = None) -> bytes:
    """One event as bytes of an event stream (WHATWG HTML, section 9.2)."""
    identity = f"id: {event_id}\n" if event_id else ""
    return f"{identity}event: {event.type}\ndata: {event.model_dump_json()}\n\n".encode()
