"""An upstream that answers at once: the agent's internal API and OpenAI's chat completions.

`python -m bench.instant_upstream PORT DIAGNOSIS.json`. It checks nothing: what is measured is what stands before it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import cast

import httptools
import uvloop

from kubetriage.contracts.api import AskResponse, Passage, SearchResponse, Source, Usage

_TEXT = "checkout fails because its container is killed for memory at 64 MiB; raise the limit. " * 10


def answers(diagnosis: bytes) -> dict[bytes, bytes]:
    """The body by path. A search, an answer and a chat completion are of about the same size, 1 kB."""
    passage = Passage(path="oom.md", title="OOMKilled", heading="Fix", text=_TEXT, score=0.9)
    source = Source(kind="object", title="deployment/checkout", where="spec.template", quote="memory: 64Mi")
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "instant",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 180, "total_tokens": 189},
    }
    found = SearchResponse(query="OOMKilled", passages=(passage,), embedder="instant")
    asked = AskResponse(session_id="s_12345678", answer=_TEXT, sources=(source,), usage=Usage(model="instant"))
    return {
        b"/internal/v1/search": found.model_dump_json().encode(),
        b"/internal/v1/ask": asked.model_dump_json().encode(),
        b"/internal/v1/diagnose": diagnosis,
        b"/v1/chat/completions": json.dumps(completion).encode(),
        b"/healthz": b'{"status":"ok"}',
    }


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive. ``answers`` by path; anything else is a 404."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_message_complete(self) -> None:
        body = self._answers.get(self._url)
        status = b"404 Not Found" if body is None else b"200 OK"
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % (status, len(body or b"")) + (body or b""))


async def serve(port: int, diagnosis: bytes) -> None:
    """Until the process is ended."""
    prepared = answers(diagnosis)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(prepared), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
