"""Requests and answers of the public API; the internal API of the agent carries the same."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from kubetriage.contracts.base import WireModel
from kubetriage.contracts.diagnosis import Diagnosis

# RFC 1123 label, as Kubernetes validates namespaces.
NamespaceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
# RFC 1123 subdomain: object names. Some kinds (RBAC) allow ":" too.
ObjectName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9.:_]{0,251}[A-Za-z0-9])?$")]
ClusterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,127}$")]
SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


class AskRequest(WireModel):
    """A question in plain words. Without ``session_id`` a new session is begun."""

    question: Question
    session_id: SessionId | None = None
    cluster: ClusterName | None = None
    namespace: NamespaceName | None = None


HISTORY_MESSAGES = 20  # ten turns, which is what a model sees of a session


class PastMessage(WireModel):
    """What was said before, by the caller or to the caller."""

    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(max_length=20_000)]


class InternalAsk(AskRequest):
    """What the gateway asks the agent. With a ``history`` (oldest first) the caller keeps the conversation: it stands
    for the session, and nothing is stored."""

    history: Annotated[tuple[PastMessage, ...], Field(max_length=HISTORY_MESSAGES)] | None = None


class ToolCall(WireModel):
    """One tool call of a run: what was asked and a one-line result."""

    id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    status: Literal["ok", "error"] = "ok"
    summary: str = ""
    seconds: float = 0.0


class Source(WireModel):
    """Where a claim of the answer comes from."""

    kind: Literal["object", "event", "log", "metric", "check", "runbook", "tool"]
    title: str
    where: str = ""
    quote: str = ""
    claims: tuple[str, ...] = Field(default=(), description="what the answer says that this source holds")


class Usage(WireModel):
    """What the run cost. Tokens are zero for the built-in model."""

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    steps: int = 0
    seconds: float = 0.0


class AskResponse(WireModel):
    """The answer, with everything a reader needs to check it."""

    session_id: str
    answer: str
    status: Literal["completed", "limit_exceeded", "degraded"] = "completed"
    diagnosis: Diagnosis | None = None
    sources: tuple[Source, ...] = ()
    unverified: tuple[str, ...] = Field(
        default=(), description="names, numbers, quotes and commands of the answer that no tool's result shows"
    )
    tool_calls: tuple[ToolCall, ...] = ()
    degraded: tuple[str, ...] = Field(default=(), description="parts that did not work, e.g. retrieval")
    usage: Usage = Usage()


class DiagnoseRequest(WireModel):
    """What to diagnose. Everything is optional: nothing at all means the whole cluster."""

    namespace: NamespaceName | None = None
    kind: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9.]{0,62}$")] | None = None
    name: ObjectName | None = None
    cluster: ClusterName | None = None
    question: Question | None = None


class SearchRequest(WireModel):
    """A runbook search. ``alert`` pins the runbook that serves exactly that alert."""

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
    k: int = Field(default=5, ge=1, le=50)
    namespace: NamespaceName | None = None
    alert: Annotated[str, StringConstraints(max_length=200)] | None = None


class Passage(WireModel):
    """A piece of a runbook. ``score`` is in 0..1, comparable within one answer only."""

    path: str
    title: str
    heading: str
    text: str
    score: float
    alerts: tuple[str, ...] = ()


class SearchResponse(WireModel):
    """The best passage of each of the best documents, best first."""

    query: str
    passages: tuple[Passage, ...]
    embedder: str


class SessionCreate(WireModel):
    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] | None = None


class Session(WireModel):
    """A conversation, owned by one user."""

    id: str
    title: str
    created_at: datetime
    updated_at: datetime
    turns: int = 0


class SessionList(WireModel):
    sessions: tuple[Session, ...]


class Message(WireModel):
    """One message of a conversation as people see it."""

    role: Literal["user", "assistant", "tool"]
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()


class MessageList(WireModel):
    session_id: str
    messages: tuple[Message, ...]


class TokenPair(WireModel):
    """OAuth2 token response (RFC 6749 section 5.1). ``expires_in`` in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the scheme name
    expires_in: int
    scope: str = ""


class Me(WireModel):
    username: str
    role: str
    namespaces: tuple[str, ...] | None = Field(default=None, description="None: all")
    clusters: tuple[str, ...] | None = Field(default=None, description="None: all")


class Health(WireModel):
    """``checks`` maps a dependency to "ok" or what is wrong with it."""

    status: Literal["ok", "degraded", "unavailable", "draining"]
    version: str
    checks: dict[str, str] = Field(default_factory=dict)
