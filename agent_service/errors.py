"""What a run may raise. Each has a stable ``code`` and the HTTP status that the service answers with."""

from __future__ import annotations


class AgentError(Exception):
    """Base. The message is for the caller: no credential, no internals."""

    code = "agent_error"
    status = 500


class ModelUnavailableError(AgentError):
    """The language model did not answer, or answered with an error."""

    code = "model_unavailable"
    status = 503


class RunTimeoutError(AgentError):
    """The run did not end within its time."""

    code = "run_timeout"
    status = 504


class SessionBusyError(AgentError):
    """Another question of this session is being answered."""

    code = "session_busy"
    status = 409


class SessionNotFoundError(AgentError):
    code = "session_not_found"
    status = 404


class MemoryUnavailableError(AgentError):
    """Redis, where conversations are kept, does not answer."""

    code = "memory_unavailable"
    status = 503


class NamespaceForbiddenError(AgentError):
    """The caller may not read this namespace."""

    code = "namespace_forbidden"
    status = 403


class ClusterForbiddenError(AgentError):
    """The caller may not read this cluster, or there is none of that name: the answer is the same."""

    code = "cluster_unknown"
    status = 404


class UnknownToolError(AgentError):
    """There is no tool of that name."""

    code = "tool_unknown"
    status = 404


class UnauthenticatedError(AgentError):
    """No valid internal token."""

    code = "internal_token_invalid"
    status = 401
