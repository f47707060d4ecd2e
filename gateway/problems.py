"""Every error leaves as ``application/problem+json`` (RFC 9457): the one translator."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from gateway.store import StoreUnavailableError
from kubetriage.contracts.problems import PROBLEM_JSON, Problem, problem_type

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_DETAIL_LENGTH = 300  # characters of a validation message
_OPENAI_PATHS = ("/v1/chat/", "/v1/models")
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ApiError(HTTPException):
    """An answer that is an error. ``detail`` tells the caller what to do next.

    An HTTPException, because FastAPI turns any other exception during the reading of a body into a 400.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        type_: str | None = None,
        **members: Any,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code = code
        self.type = type_ or problem_type(code)
        self.members = members


class ClientGoneError(Exception):
    """The caller hung up. Without an exception handler: Starlette would log an error when an answer had begun."""


def title_of(status: int) -> str:
    """The standard phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def with_openai_error(problem: Problem) -> Problem:
    """The same document with the one member that OpenAI's clients look for."""
    error = {
        "message": problem.detail or problem.title,
        "type": _OPENAI_TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error"),
        "param": (problem.model_extra or {}).get("param"),
        "code": problem.code,
    }
    return problem.model_copy(update={"error": error})


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as a response."""
    if (problem.instance or "").startswith(_OPENAI_PATHS):
        problem = with_openai_error(problem)
    return Response(
        problem.model_dump_json(exclude_none=True, by_alias=True),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=dict(headers or {}),
    )


def unexpected(request_id: str, instance: str) -> Response:
    """What the caller sees of a bug of ours: nothing but the id to look up in the log."""
    return problem_response(
        Problem(
            type=problem_type("internal_error"),
            title=title_of(500),
            status=500,
            detail="Something is wrong on our side; the log has the reason under this request id.",
            instance=instance,
            code="internal_error",
            request_id=request_id,
        )
    )


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(StoreUnavailableError, _store_unavailable)


def from_error(error: ApiError, *, request_id: str, instance: str) -> Problem:
    """The document of an ApiError."""
    return Problem(
        type=error.type,
        title=title_of(error.status_code),
        status=error.status_code,
        detail=error.detail,
        instance=instance,
        code=error.code,
        request_id=request_id,
        **error.members,
    )


def _request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this class
    problem = from_error(error, request_id=_request_id(request), instance=request.scope["path"])
    return problem_response(problem, error.headers)


_CODES = {404: "not_found", 405: "method_not_allowed", 400: "bad_request"}
_DETAILS = {
    404: "There is nothing at this path; /openapi.json lists every call.",
    405: "This path does not take this method; the Allow header lists those it takes.",
    400: "The request could not be read; send what /openapi.json describes.",
}


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = error.status_code
    headers = {"Allow": ", ".join(_methods_of(request))} if status == 405 else error.headers
    wrapped = ApiError(
        status, _CODES.get(status, "http_error"), _DETAILS.get(status, title_of(status)), headers=headers
    )
    return await _api_error(request, wrapped)


def _methods_of(request: Request) -> list[str]:
    """What the path takes (RFC 9110, section 15.5.6). Starlette names only the methods of its first route."""
    routes = (route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL)
    return sorted({method for route in routes for method in route.methods})


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    # Where and what, never the input: it may be a password, and it may be hostile.
    errors = [
        {
            "loc": [str(part)[:64].encode("ascii", "backslashreplace").decode() for part in item["loc"]],
            "msg": str(item["msg"])[:_DETAIL_LENGTH].encode("ascii", "backslashreplace").decode(),
            "type": item["type"],
        }
        for item in error.errors()[:20]
    ]
    wrapped = ApiError(
        422, "request_invalid", "The request does not fit the call; `errors` lists each field.", errors=errors
    )
    return await _api_error(request, wrapped)


def store_unavailable() -> ApiError:
    """503 for calls that cannot do without Redis."""
    return ApiError(
        503,
        "store_unavailable",
        "The session store does not answer; repeat the call soon. Diagnose and search work without it.",
        headers={"Retry-After": "2"},
    )


async def _store_unavailable(request: Request, error: Exception) -> Response:
    del error
    return await _api_error(request, store_unavailable())
