"""An OpenAI-compatible server that plays a script: the one stand-in, for what cannot be had here.

`python scripted_vendor.py PORT`. Replies are set with POST /script (a list; each is used once, the last
one for ever): {"text": ...}, {"calls": [[name, {...}], ...]}, {"status": 500}, {"delay": seconds},
{"garbage": true}, {"obey": true}. Requests seen are at GET /seen.

With "obey" it is the most gullible of models: it does what any text in front of it says, whoever wrote it. It
takes orders as `<<call TOOL {ARGUMENTS}>>` and `<<say TEXT>>`, also in characters that only a model reads (Unicode
tags, spaced out by zero-width ones), each once, calls first; `{everything}` in a text is all that it was ever told,
`{first}` the first word of it.
"""

import asyncio
import json
import re
import sys
from typing import Any

from aiohttp import web

STATE: dict[str, list[Any]] = {"script": [], "seen": []}
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


ORDER = re.compile(r"<<(call|say) (.*?)>>", re.DOTALL)
INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\u00ad\ufeff]")


def obey(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The reply of one who does as he is told."""
    told = "\n".join(str(one.get("content") or "") for one in messages if one["role"] in {"tool", "user"})
    read = INVISIBLE.sub("", "".join(chr(ord(c) - 0xE0000) if 0xE0020 <= ord(c) < 0xE007F else c for c in told))
    orders = list(dict.fromkeys(ORDER.findall(read)))
    done = sum(call["id"].startswith("obeyed") for one in messages for call in one.get("tool_calls") or ())
    calls = [what.partition(" ") for kind, what in orders if kind == "call"]
    if calls[done:]:
        return {"calls": [[name, json.loads(arguments or "{}")] for name, _, arguments in calls[done:]], "id": "obeyed"}
    words = {"{everything}": read.replace("<<", "").replace(">>", "")}
    words["{first}"] = (re.findall(r"\w{6,}", read) or [""])[0]
    said = [re.sub(r"\{\w+\}", lambda at: words.get(at[0], at[0]), what) for kind, what in orders if kind == "say"]
    return {"text": "\n\n".join(said) or "nothing to obey"}


def delta_of(reply: dict[str, Any], number: int) -> dict[str, Any]:
    if "calls" not in reply:
        return {"role": "assistant", "content": reply.get("text", "")}
    calls = [
        {
            "index": index,
            "id": f"{reply.get('id', 'call')}_{number}_{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for index, (name, arguments) in enumerate(reply["calls"])
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


async def completions(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    STATE["seen"].append({"body": body, "authorization": request.headers.get("Authorization")})
    script = STATE["script"]
    reply = script.pop(0) if len(script) > 1 else script[0]
    await asyncio.sleep(reply.get("delay", 0))
    if reply.get("obey"):
        reply = obey(body["messages"])
    if "status" in reply:
        return web.json_response({"error": {"message": "the vendor is unwell", "type": "x"}}, status=reply["status"])
    if reply.get("garbage"):
        return web.Response(text="<html>not json", content_type="text/html")
    number = len(STATE["seen"])
    delta = delta_of(reply, number)
    finish = "tool_calls" if "calls" in reply else "stop"
    base = {"id": f"chatcmpl-{number}", "created": 1, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "message": delta, "finish_reason": finish}
        return web.json_response({**base, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    base["object"] = "chat.completion.chunk"
    words = (
        [delta]
        if "calls" in reply
        else [{"role": "assistant", "content": word} for word in re.findall(r"\s*\S+\s*", delta["content"])]
    )
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in words]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({"choices": [], "usage": USAGE})
    for chunk in chunks:
        await response.write(f"data: {json.dumps({**base, **chunk})}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


async def script(request: web.Request) -> web.Response:
    STATE["script"], STATE["seen"] = await request.json(), []
    return web.json_response({})


async def seen(_request: web.Request) -> web.Response:
    return web.json_response(STATE["seen"])


async def hook(_request: web.Request) -> web.Response:
    """Somebody who is told of incidents."""
    return web.json_response({})


def main() -> None:
    app = web.Application(client_max_size=2**24)
    app.add_routes([web.post("/v1/chat/completions", completions), web.post("/script", script), web.get("/seen", seen)])
    app.add_routes([web.post("/hook", hook)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
