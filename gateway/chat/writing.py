"""An answer of ours as a chat completion, whole or in chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import orjson
from pydantic import ValidationError

from gateway.problems import with_openai_error
from kubetriage.contracts.api import AskResponse, Usage
from kubetriage.contracts.chat import AnswerMessage, ChatCompletion, ChatUsage, Choice
from kubetriage.contracts.events import Answer, RunError, RunStarted, Token, ToolFinished, stream_event_adapter
from kubetriage.contracts.problems import Problem

_DONE = b"data: [DONE]\n\n"


def completion_of(answer: AskResponse, *, id_: str, model: str, created: int) -> ChatCompletion:
    """The whole completion; ``created`` in seconds since 1970."""
    choice = Choice(message=AnswerMessage(content=answer.answer), finish_reason=_finish(answer))
    return ChatCompletion(id=id_, created=created, model=model, choices=(choice,), usage=_usage(answer.usage))


def _finish(answer: AskResponse) -> Literal["stop", "length"]:
    return "length" if answer.status == "limit_exceeded" else "stop"


def _usage(usage: Usage) -> ChatUsage:
    total = usage.input_tokens + usage.output_tokens
    return ChatUsage(prompt_tokens=usage.input_tokens, completion_tokens=usage.output_tokens, total_tokens=total)


class ChatChunks:
    """A ``Wire`` that turns the agent's events into chunks, and a finished tool into a line of ``reasoning_content``,
    which front ends show while there is no answer yet and everybody else passes over."""

    def __init__(self, *, id_: str, model: str, created: int, include_usage: bool) -> None:
        self.complete = False
        self._rest = b""
        self._include_usage = include_usage
        self._base = {"id": id_, "object": "chat.completion.chunk", "created": created, "model": model}
        self._said = False

    def pass_on(self, chunk: bytes) -> bytes:
        *events, self._rest = (self._rest + chunk).split(b"\n\n")
        return b"".join(part for event in events for part in self._of(event))

    def fail(self, problem: Problem) -> bytes:
        return b"data: " + with_openai_error(problem).model_dump_json(exclude_none=True).encode() + b"\n\n"

    def _of(self, event: bytes) -> Iterator[bytes]:
        if event.startswith(b":"):  # a heartbeat
            yield event + b"\n\n"
            return
        data = next((line[5:] for line in event.split(b"\n") if line.startswith(b"data:")), b"")
        try:
            found = stream_event_adapter.validate_json(data, extra="ignore")
        except ValidationError:  # of a newer agent; without its terminal event the stream has failed
            return
        match found:
            case RunStarted():
                yield self._delta({"role": "assistant", "content": ""})
            case ToolFinished(call=call):
                yield self._delta({"reasoning_content": f"{call.name}: {call.summary}\n"})
            case Token(text=text):
                self._said = True
                yield self._delta({"content": text})
            case Answer(answer=answer):
                yield from self._end(answer)
            case RunError(problem=problem):
                self.complete = True
                yield self.fail(problem)

    def _end(self, answer: AskResponse) -> Iterator[bytes]:
        self.complete = True
        if not self._said:
            yield self._delta({"content": answer.answer})
        yield self._delta({}, _finish(answer))
        if self._include_usage:
            yield self._chunk(choices=[], usage=_usage(answer.usage).model_dump())
        yield _DONE

    def _delta(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        return self._chunk(choices=[{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}])

    def _chunk(self, **parts: Any) -> bytes:
        # Whoever wants the usage finds the field in every chunk, null until the last.
        usage = {"usage": None} if self._include_usage else {}
        return b"data: " + orjson.dumps({**self._base, **usage, **parts}) + b"\n\n"
