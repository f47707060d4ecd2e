"""The official client of OpenAI asks the real gateway before a real agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from tests.endtoend.conftest import Door
from tests.gateway.support import bearer
from tests.processes import send

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Why is checkout failing?"}]


@asynccontextmanager
async def client_of(door: Door, token: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{door.gateway.url}/v1", api_key=token, max_retries=0) as client:
        yield client


@pytest.fixture
async def client(door: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(door, door.everything) as client:
        yield client


def text_of(completion: ChatCompletion) -> str:
    (choice,) = completion.choices
    assert choice.finish_reason == "stop"
    assert choice.message.content
    return choice.message.content


async def test_a_completion_is_the_answer(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="kubetriage", messages=QUESTION)
    assert text_of(completion).startswith("**Root cause: checkout fails because payments is OOMKilled**")
    assert (completion.object, completion.model) == ("chat.completion", "kubetriage")
    assert completion.usage is not None
    assert completion.usage.total_tokens == 0, "the built-in model counts no tokens"


async def test_a_stream_says_what_the_tools_found_then_the_answer_then_the_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="kubetriage", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    *told, last = chunks
    assert last.choices == []
    assert last.usage is not None
    assert all(chunk.usage is None for chunk in told)
    deltas = [chunk.choices[0].delta for chunk in told]
    assert deltas[0].role == "assistant"
    tools = [delta.model_extra["reasoning_content"] for delta in deltas if delta.model_extra]
    assert [line.partition(":")[0] for line in tools] == ["list_resources", "diagnose", "search_runbooks"]
    first_word = next(number for number, delta in enumerate(deltas) if delta.content)
    assert not any(delta.model_extra for delta in deltas[first_word:])
    whole = text_of(await client.chat.completions.create(model="kubetriage", messages=QUESTION))
    assert "".join(delta.content or "" for delta in deltas) == whole
    assert [chunk.choices[0].finish_reason for chunk in told][-2:] == [None, "stop"]


async def test_without_being_asked_for_no_chunk_has_a_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="kubetriage", messages=QUESTION, stream=True)
    chunks = [chunk async for chunk in stream]
    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in chunks)


async def test_the_earlier_messages_are_the_conversation_and_nothing_is_stored(
    door: Door, client: openai.AsyncOpenAI, http: aiohttp.ClientSession
) -> None:
    """Two people behind one key, as behind a chat front end, begin with the same words and never meet."""
    first = await client.chat.completions.create(model="kubetriage", messages=QUESTION)
    begun: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "You are a helpful assistant."},
        *QUESTION,
        {"role": "assistant", "content": text_of(first)},
    ]
    for follow_up, words in (
        ("show me its logs", "risk model: 56 of 112 MiB loaded"),
        ("and in reports?", "cronjob/nightly"),
        ("show me its logs", "risk model: 56 of 112 MiB loaded"),
    ):
        completion = await client.chat.completions.create(
            model="kubetriage", messages=[*begun, {"role": "user", "content": follow_up}]
        )
        assert words in text_of(completion), follow_up
    alone = await client.chat.completions.create(
        model="kubetriage", messages=[{"role": "user", "content": "show me its logs"}]
    )
    assert "risk model" not in text_of(alone)
    listed = await send(http, "GET", f"{door.gateway.url}/v1/sessions", headers=bearer(door.everything))
    assert listed.json["sessions"] == []


async def test_a_model_is_listed_for_each_namespace_of_who_may_not_read_all(door: Door) -> None:
    async with client_of(door, door.everything) as grace, client_of(door, door.reports) as edsger:
        assert [one.id async for one in grace.models.list()] == ["kubetriage"]
        assert [one.id async for one in edsger.models.list()] == ["kubetriage", "kubetriage/reports"]
        about_reports = await edsger.chat.completions.create(
            model="kubetriage/reports", messages=[{"role": "user", "content": "what is wrong?"}]
        )
        assert "cronjob/nightly" in text_of(about_reports)
        answer = text_of(await edsger.chat.completions.create(model="kubetriage", messages=QUESTION))
        assert "payments" not in answer


@pytest.mark.parametrize(
    ("model", "metadata"), [("kubetriage/shop", {}), ("kubetriage", {"namespace": "shop"})], ids=["model", "metadata"]
)
async def test_a_namespace_of_others_is_refused(door: Door, model: str, metadata: dict[str, str]) -> None:
    async with client_of(door, door.reports) as edsger:
        with pytest.raises(openai.PermissionDeniedError, match="You may not read namespace 'shop'") as refused:
            await edsger.chat.completions.create(model=model, messages=QUESTION, metadata=metadata)
    assert refused.value.code == "namespace_forbidden"


async def test_what_only_tunes_a_model_is_ignored(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="kubetriage",
        messages=[{"role": "user", "content": [{"type": "text", "text": "Why is checkout failing?"}]}],
        temperature=0.7,
        max_tokens=5,
        top_p=0.1,
        n=1,
        seed=1,
        stop=["payments"],
        user="somebody",
        tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
        tool_choice="auto",
        response_format={"type": "text"},
        extra_body={"never_heard_of": True},
    )
    assert "payments is OOMKilled" in text_of(completion)
