"""The audit log: who asked for what, what was read for it, and what was refused."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from kubetriage.contracts.base import WireModel


class AuditEntry(WireModel):
    """One call, or one command of an operator. Text is redacted and capped."""

    sequence: int = Field(ge=1, description="without gaps")
    time: datetime = Field(description="when it was over, by the clock of the gateway that served it")
    actor: str = Field(description="user name; `cli:NAME` for a command on the host")
    action: str = Field(description="method and route, e.g. POST /v1/ask; or the command")
    path: str = ""
    status: int = Field(default=200, description="HTTP status of the answer")
    request_id: str = ""
    address: str = ""
    cluster: str | None = None
    namespace: str | None = None
    object: str | None = None
    session_id: str | None = None
    asked: str | None = Field(default=None, description="the question or the query")
    read: tuple[str, ...] = Field(default=(), description="tools, objects and runbooks that the answer names")


class ChainedEntry(WireModel):
    """``hash`` is SHA-256 over ``previous``, a line feed and the entry as canonical JSON."""

    entry: AuditEntry
    previous: str
    hash: str


class AuditPage(WireModel):
    """Newest first. ``next`` is the ``cursor`` of the following page; None: this was the last."""

    entries: tuple[ChainedEntry, ...]
    next: str | None = None
    head: str | None = Field(
        description="sequence:hash of the newest entry; kept elsewhere, it proves that none is gone"
    )
