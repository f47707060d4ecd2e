"""RFC 9457 problem documents: the one shape of every error."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

PROBLEM_JSON = "application/problem+json"


class Problem(BaseModel):
    """``type`` is a stable URN (``urn:kubetriage:problem:<code>``); ``detail`` says what to do next."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    instance: str | None = None
    code: str = Field(description="stable machine-readable code, e.g. session_not_found")
    request_id: str | None = None
    errors: list[dict[str, Any]] | None = Field(default=None, description="fields, for a 422")


def problem_type(code: str) -> str:
    """The URN of a problem code."""
    return f"urn:kubetriage:problem:{code}"
