"""OpenAI's chat API, for front ends and scripts that speak nothing else (docs/openai-and-mcp.md)."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from gateway.chat.reading import MODEL, read_request
from gateway.chat.writing import ChatChunks, completion_of
from gateway.core import gateway_of
from gateway.forwarding import call_for, fetch_document, until_gone
from gateway.identity import AnyCaller, CostlyCaller
from gateway.openapi import AUTHENTICATED, FORWARDED, WITH_BODY, errors
from gateway.streaming import StreamedAnswer
from kubetriage.contracts.api import AskResponse
from kubetriage.contracts.chat import ChatCompletion, ChatRequest, ListedModel, ModelList

router = APIRouter(tags=["openai"])

_EVENT_STREAM = "text/event-stream"
_STREAM_EXAMPLE = (
    'data: {"id":"chatcmpl-...","object":"chat.completion.chunk","created":1763900000,"model":"kubetriage",'
    '"choices":[{"index":0,"delta":{"content":"checkout fails because "},"finish_reason":null}]}\n\n'
    "data: [DONE]\n\n"
)


@router.post(
    "/v1/chat/completions",
    summary="Ask as OpenAI's clients do",
    description=(
        "The last message is the question, the `user` and `assistant` messages before it are the conversation: "
        "nothing is stored. `kubetriage/NAMESPACE` as the model, or `metadata.namespace`, says where to look, "
        "`metadata.cluster` in which cluster. Errors are problem documents with an `error` member beside them."
    ),
    response_model=ChatCompletion,
    responses={
        **errors(*AUTHENTICATED, *WITH_BODY, *FORWARDED),
        200: {
            "description": "The completion, or with `stream` its chunks.",
            "content": {_EVENT_STREAM: {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE}},
        },
    },
)
async def complete(
    request: Request,
    caller: CostlyCaller,
    chat: Annotated[
        ChatRequest,
        Body(
            openapi_examples={
                "question": {
                    "value": {
                        "model": "kubetriage/shop",
                        "messages": [{"role": "user", "content": "Why is checkout failing?"}],
                    }
                }
            }
        ),
    ],
) -> Response:
    question = read_request(chat)
    caller.require(namespace=question.namespace, cluster=question.cluster)
    accept = _EVENT_STREAM if chat.stream else "application/json"
    call = call_for(request, caller, "ask", body=question, accept=accept, repeatable=False)
    request_id: str = request.state.request_id
    id_, created = f"chatcmpl-{request_id}", int(time.time())
    if not chat.stream:
        _, answer = await fetch_document(request, call, AskResponse)
        completion = completion_of(answer, id_=id_, model=chat.model, created=created)
        return Response(completion.model_dump_json(), media_type="application/json")
    gateway = gateway_of(request)
    upstream = await until_gone(request, gateway.agent.stream(call))
    with_usage = bool(chat.stream_options and chat.stream_options.include_usage)
    chunks = ChatChunks(id_=id_, model=chat.model, created=created, include_usage=with_usage)
    return StreamedAnswer(gateway, upstream, request_id=request_id, wire=chunks)


@router.get(
    "/v1/models",
    summary="The models that may be asked",
    description="`kubetriage`, and one for each namespace of a caller who may not read all of them.",
    responses=errors(*AUTHENTICATED),
)
async def list_models(caller: AnyCaller) -> ModelList:
    names = (MODEL, *(f"{MODEL}/{namespace}" for namespace in caller.user.namespaces or ()))
    return ModelList(data=tuple(ListedModel(id=name) for name in names))
