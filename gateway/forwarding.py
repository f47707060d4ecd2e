"""One call of the agent on behalf of a caller, as routes need it: ended when the caller hangs up,
its answer checked against the contract, its own problems passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from gateway.core import gateway_of
from gateway.identity import Caller
from gateway.problems import ApiError, ClientGoneError, problem_response
from gateway.streaming import wait_until_gone
from gateway.upstream import Call, UpstreamProblemError

_Result = TypeVar("_Result")
_Document = TypeVar("_Document", bound=BaseModel)


def call_for(
    request: Request,
    caller: Caller,
    name: str,
    *,
    method: str = "POST",
    path: str | None = None,
    body: BaseModel | None = None,
    session_id: str | None = None,
    accept: str = "application/json",
    repeatable: bool = True,
) -> Call:
    """The call ``name`` of the agent, signed for ``caller``; the path defaults to its name."""
    return Call(
        name=name,
        method=method,
        path=path or f"/internal/v1/{name}",
        claims=caller.claims(request.state.request_id, session_id),
        body=None if body is None else body.model_dump_json(exclude_none=True).encode(),
        accept=accept,
        repeatable=repeatable,
    )


async def fetch_json(request: Request, call: Call, contract: type[BaseModel]) -> Response:
    """The agent's answer, byte for byte, once it is known to be what ``contract`` says."""
    body, _ = await fetch_document(request, call, contract)
    return Response(body, media_type="application/json")


async def fetch_document(request: Request, call: Call, contract: type[_Document]) -> tuple[bytes, _Document]:
    """The agent's answer as it came, and what ``contract`` reads in it. Raises the 502 when it is something else."""
    body = await until_gone(request, gateway_of(request).agent.fetch(call))
    try:
        # During an upgrade the agent may know fields that this gateway does not: they are passed on.
        return body, contract.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        raise ApiError(
            502,
            "agent_answer_invalid",
            "The agent's answer is not what it should be; its log has the reason.",
        ) from error


async def until_gone(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of ``work``, which is cancelled when the caller hangs up (ClientGoneError)."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is a coroutine
    reason: Exception | None = None

    async def watch() -> None:
        nonlocal reason
        try:
            await wait_until_gone(request.receive)
            reason = ClientGoneError()
        except ApiError as error:  # the rest of a body that nobody wanted was too long or too slow
            reason = error
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        # As asyncio.timeout does it: somebody else may have cancelled us, too.
        if reason is not None and task.uncancel() == 0:
            raise reason from None
        raise
    finally:
        watcher.cancel()


async def pass_on_problem(request: Request, error: Exception) -> Response:
    """Exception handler: the agent's problem document under our request id."""
    assert isinstance(error, UpstreamProblemError)  # noqa: S101 - registered for this class
    problem = error.problem.model_copy(
        update={"request_id": request.state.request_id, "instance": request.scope["path"]}
    )
    return problem_response(problem, {"Retry-After": error.retry_after} if error.retry_after else None)
