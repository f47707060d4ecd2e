"""A scripted agent as a process of its own: `python upstream_agent.py PORT KEY`.

The question (or the search query) is the script: it says how to behave. What was seen is at /seen.
"""

import asyncio
import json
import sys

from aiohttp import web

from kubetriage.contracts.api import AskResponse, Message, MessageList, Passage, SearchResponse
from kubetriage.contracts.diagnosis import Diagnosis, Outcome, Scope, Unreadable
from kubetriage.contracts.events import Answer, RunStarted, Token, to_sse
from kubetriage.safety.internal_tokens import verify_internal

SEEN: dict[str, list] = {"calls": [], "cancelled": []}
CUT: set[str] = set()
KEY = sys.argv[2]


def note(request: web.Request) -> str:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    claims = verify_internal(token, [KEY])
    SEEN["calls"].append(
        {"path": request.path, "headers": dict(request.headers), "claims": claims.model_dump(mode="json")}
    )
    return request.headers.get("X-Session-ID", "")


def problem(status: int, code: str) -> web.Response:
    body = {"type": f"urn:kubetriage:problem:{code}", "title": "T", "status": status, "code": code}
    return web.Response(
        body=json.dumps(body), status=status, content_type="application/problem+json", headers={"Retry-After": "7"}
    )


async def behave(script: str, request: web.Request) -> web.StreamResponse | None:
    match script:
        case "slow":
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                SEEN["cancelled"].append(request.path)
                raise
        case "garbage":
            return web.Response(body=b"<html>oops", content_type="text/html")
        case "wrong shape":
            return web.json_response({"unexpected": True})
        case "newer version":
            answer = AskResponse(session_id="s_12345678", answer="x", sources=()).model_dump(mode="json")
            return web.json_response({**answer, "later": 1, "usage": {**(answer["usage"] or {}), "later": 2}})
        case "plain 500":
            return web.Response(status=500, text="Traceback (most recent call last) secret")
        case "problem 409":
            return problem(409, "approval_pending")
        case "refused key":
            return problem(401, "internal_token_invalid")
        case "cut":
            request.transport.close()
        case "cut once" if SEEN["calls"][-1]["claims"]["request_id"] not in CUT:
            CUT.add(SEEN["calls"][-1]["claims"]["request_id"])
            request.transport.close()
    return None


async def ask(request: web.Request) -> web.StreamResponse:
    session = note(request)
    SEEN["calls"][-1]["body"] = await request.json()
    question = SEEN["calls"][-1]["body"]["question"]
    if question != "slow" or "event-stream" not in request.headers["Accept"]:
        special = await behave(question, request)
        if special is not None:
            return special
    answer = AskResponse(session_id=session, answer=f"about {question}")
    if "event-stream" not in request.headers["Accept"]:
        return web.Response(text=answer.model_dump_json(), content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(to_sse(RunStarted(session_id=session, request_id="r", model="scripted")))
    try:
        for n in range(3):
            await asyncio.sleep(30 if question == "slow" else 0.3)
            await response.write(to_sse(Token(text=str(n))))
            if question == "break off":
                request.transport.close()
                return response
    except (asyncio.CancelledError, ConnectionError):
        SEEN["cancelled"].append("stream")
        raise
    await response.write(to_sse(Answer(answer=answer)))
    return response


async def diagnose(request: web.Request) -> web.StreamResponse:
    note(request)
    body = await request.json()
    SEEN["calls"][-1]["question"] = body.get("question")
    special = await behave(body.get("question", ""), request)
    scope = Scope(cluster=body.get("cluster"), namespace=body.get("namespace"), name=body.get("name"))
    elsewhere = Unreadable(resource="pods", namespace="vault", reason="forbidden")
    gaps = (elsewhere,) if body.get("question") == "speak of vault" else ()
    found = Diagnosis(outcome=Outcome.NO_FAULT_FOUND, summary="fine", scope=scope, unreadable=gaps)
    return special or web.Response(text=found.model_dump_json(), content_type="application/json")


async def search(request: web.Request) -> web.StreamResponse:
    note(request)
    query = (await request.json())["query"]
    passage = Passage(path="oom.md", title="OOM", heading="Fix", text="raise it", score=0.9)
    found = SearchResponse(query=query, passages=(passage,), embedder="test")
    return web.Response(text=found.model_dump_json(), content_type="application/json")


async def messages(request: web.Request) -> web.StreamResponse:
    session = note(request)
    found = MessageList(session_id=session, messages=(Message(role="user", content="hi"),))
    return web.Response(text=found.model_dump_json(), content_type="application/json")


async def delete(request: web.Request) -> web.StreamResponse:
    note(request)
    return web.Response(status=204)


async def seen(_request: web.Request) -> web.StreamResponse:
    return web.json_response(SEEN)


async def healthz(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "ok"})


def main() -> None:
    app = web.Application()
    app.add_routes(
        [
            web.post("/internal/v1/ask", ask),
            web.post("/internal/v1/diagnose", diagnose),
            web.post("/internal/v1/search", search),
            web.get("/internal/v1/sessions/{id}/messages", messages),
            web.delete("/internal/v1/sessions/{id}", delete),
            web.get("/seen", seen),
            web.get("/healthz", healthz),
        ]
    )
    # The cancelling of handlers is how a hung-up gateway is noticed.
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
