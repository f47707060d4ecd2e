"""Every error leaves as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from agent_service.errors import AgentError, MemoryUnavailableError, SessionBusyError
from kubetriage.cluster.errors import ClusterError, ClusterUnreachableError, ObjectNotFoundError, UnknownClusterError
from kubetriage.contracts.problems import PROBLEM_JSON, Problem, problem_type
from kubetriage.retrieval.searcher import RetrievalUnavailableError
from kubetriage.safety.redaction import redact

# The caller may repeat these in a moment.
_PASSING = (SessionBusyError, MemoryUnavailableError, ClusterUnreachableError, RetrievalUnavailableError)
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


def problem_of(error: Exception, request_id: str) -> Problem:
    """The document that tells the caller about ``error``: a bug of ours shows nothing but the id."""
    status, code, detail = 500, "internal_error", "Something is wrong on our side; the log has the reason."
    if isinstance(error, AgentError):
        status, code, detail = error.status, error.code, str(error)
    elif isinstance(error, RetrievalUnavailableError):
        status, code, detail = 503, error.code, str(error)
    elif isinstance(error, ClusterError):
        missing = isinstance(error, UnknownClusterError | ObjectNotFoundError)
        status, code, detail = 404 if missing else 503, error.code, redact(str(error))
    return Problem(
        type=problem_type(code),
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail[:1000],
        code=code,
        request_id=request_id,
    )


def problem_response(problem: Problem, *, retry: bool = False) -> Response:
    """The problem as a response."""
    headers = {"Retry-After": "2"} if retry else {}
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status_code=problem.status, media_type=PROBLEM_JSON, headers=headers)


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    for kind in (AgentError, ClusterError, RetrievalUnavailableError):
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)


def _request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


async def _known(request: Request, error: Exception) -> Response:
    return problem_response(problem_of(error, _request_id(request)), retry=isinstance(error, _PASSING))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    code = _HTTP_CODES.get(error.status_code, "http_error")
    problem = Problem(
        type=problem_type(code),
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        code=code,
        request_id=_request_id(request),
    )
    return problem_response(problem)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    # Where and what, never the input.
    errors = [
        {"loc": [str(part)[:64] for part in item["loc"]], "msg": str(item["msg"])[:300], "type": item["type"]}
        for item in error.errors()[:20]
    ]
    problem = Problem(
        type=problem_type("request_invalid"),
        title=HTTPStatus(422).phrase,
        status=422,
        detail="The request does not fit the call; `errors` lists each field.",
        code="request_invalid",
        request_id=_request_id(request),
        errors=errors,
    )
    return problem_response(problem)
