"""The OpenAPI document: the errors of each call, and what FastAPI leaves out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.problems import QUOTA_EXCEEDED, title_of
from kubetriage.contracts.problems import PROBLEM_JSON, Problem, problem_type

_WHAT = {
    401: ("token_invalid", "No access token, or one that is not valid any more. Log in or refresh."),
    403: ("namespace_forbidden", "The caller may not read this namespace or cluster."),
    404: ("session_not_found", "There is no such session of this user."),
    408: ("body_too_slow", "The request body took too long."),
    413: ("body_too_large", "The request body is too large."),
    415: ("encoding_unsupported", "The request body must come without Content-Encoding."),
    421: ("host_not_allowed", "The Host header names a host that is not served here."),
    422: ("request_invalid", "The request does not fit the call; `errors` lists each field."),
    429: ("quota_exceeded", "Too many requests; Retry-After says how long to wait, in seconds."),
    500: ("internal_error", "A fault of ours; the log has the reason under the request id."),
    502: ("agent_failed", "The agent answered garbage or broke off."),
    503: (
        "agent_unavailable",
        "The agent or the session store cannot be reached; Retry-After says when to retry.",
    ),
    504: ("agent_timeout", "The agent took too long."),
    400: ("bad_request", "The request could not be read, or the login failed."),
    409: ("session_busy", "The session is busy or waits for a decision."),
}
_ALWAYS = (421, 500)
WITH_BODY = (400, 408, 413, 415, 422)
AUTHENTICATED = (401, 429)
FORWARDED = (403, 404, 409, 502, 503, 504)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` for these statuses and those that every call has."""
    return {status: _described(status) for status in sorted({*statuses, *_ALWAYS})}


def _described(status: int) -> dict[str, Any]:
    code, description = _WHAT[status]
    example = {
        "type": QUOTA_EXCEEDED if status == 429 else problem_type(code),
        "title": title_of(status),
        "status": status,
        "detail": description,
        "code": code,
        "request_id": "b3Jx0n5QvTq3Zk8wA1cD2e",
    }
    return {
        "description": description,
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }


def install(app: FastAPI) -> None:
    """Replaces ``app.openapi``: every error is a problem document, and FastAPI's own 422 is gone."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    summary=app.summary,
                    description=app.description,
                    routes=app.routes,
                    tags=app.openapi_tags,
                )
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _complete(schema: dict[str, Any]) -> dict[str, Any]:
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for operations in schema["paths"].values():
        for operation in operations.values():
            responses: dict[str, Any] = operation["responses"]
            for status in [status for status in responses if status.startswith(("4", "5"))]:
                content = responses[status].get("content", {})
                if PROBLEM_JSON in content:
                    responses[status]["content"] = {PROBLEM_JSON: content[PROBLEM_JSON]}
                else:
                    del responses[status]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return schema
