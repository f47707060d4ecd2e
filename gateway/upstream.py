"""The way to the agent: signed, tagged, bounded in time and size, its faults put into words.

A call is made once more when it ended before anything of an answer came and nothing can have happened twice: it never
reached the agent, or it only reads. A question may cost money and change a conversation.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic import ValidationError
from yarl import URL

from gateway.metrics import Metrics
from gateway.problems import ApiError
from gateway.settings import Settings
from gateway.sockets import watched_socket
from kubetriage.contracts.identity import InternalClaims
from kubetriage.contracts.problems import Problem
from kubetriage.safety.internal_tokens import sign_internal
from kubetriage.telemetry.spans import Attributes, Span, span

_CONNECTIONS = 512
# Below uvicorn's 5 s, so that we never write into a connection the agent is just closing.
_KEEPALIVE_SECONDS = 3.0
_PROBLEM_BYTES = 64 * 1024
_KEY_MISMATCH = frozenset({"internal_token_invalid", "internal_token_missing"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the agent. ``name`` is the label of metrics; ``repeatable``: twice does what once does."""

    name: str
    method: str
    path: str
    claims: InternalClaims
    body: bytes | None = None
    accept: str = "application/json"
    repeatable: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)  # beyond our own


class UpstreamProblemError(Exception):
    """The agent answered with a problem document of its own; it is passed on."""

    def __init__(self, problem: Problem, retry_after: str | None) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.retry_after = retry_after


class Agent:
    """The agent at one URL. Raises ApiError (502, 503, 504) or UpstreamProblemError."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._base = settings.agent_url.rstrip("/")
        address = URL(self._base)
        self._address: Attributes = {"server.address": address.host or "", "server.port": address.port or 0}
        self._key = settings.internal_keys[0]
        self._answer_bytes = settings.answer_bytes
        self._metrics = metrics
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=_CONNECTIONS, keepalive_timeout=_KEEPALIVE_SECONDS, socket_factory=watched_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.agent_connect_seconds, sock_read=settings.agent_read_seconds
            ),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    async def close(self) -> None:
        await self._http.close()

    async def alive(self) -> str:
        """ "ok" or what is wrong, for people."""
        try:
            timeout = aiohttp.ClientTimeout(total=1)
            async with self._http.get(f"{self._base}/healthz", timeout=timeout) as answer:
                return "ok" if answer.status == 200 else f"answers {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"unreachable ({type(error).__name__})"

    async def fetch(self, call: Call) -> bytes:
        """The whole JSON answer. An empty answer (204) is empty bytes."""
        with self._judged(call) as begun:
            answer = await self._begin(call, begun)
            try:
                return await _read_capped(answer, self._answer_bytes)
            finally:
                answer.release()

    async def relay(self, call: Call) -> tuple[int, bytes]:
        """Status and JSON of an answer whose protocol has errors of its own; problem documents are raised as ever."""
        with self._judged(call) as begun:
            answer = await self._begin(call, begun, own_errors=True)
            try:
                return answer.status, await _read_capped(answer, self._answer_bytes)
            finally:
                answer.release()

    async def stream(self, call: Call) -> aiohttp.ClientResponse:
        """An open event stream; the caller closes it."""
        with self._judged(call) as begun:
            answer = await self._begin(call, begun)
            if answer.content_type == "text/event-stream":
                return answer
            answer.close()
        raise _garbage("the agent did not answer with an event stream")

    @contextmanager
    def _judged(self, call: Call) -> Iterator[Span]:
        began, outcome = time.perf_counter(), "error"
        try:
            with span(call.method, {"http.request.method": call.method, **self._address}, kind="client") as begun:
                yield begun
            outcome = "ok"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            problem = _unavailable(error)
            outcome = problem.code
            raise problem from error
        except ApiError as error:
            outcome = error.code
            raise
        except UpstreamProblemError:
            outcome = "refused"
            raise
        finally:
            self._metrics.upstream.labels(call.name, outcome).observe(time.perf_counter() - began)

    async def _begin(self, call: Call, begun: Span, *, own_errors: bool = False) -> aiohttp.ClientResponse:
        # Built from nothing, so no header of the caller, hop-by-hop or other, is ever passed on.
        headers = {
            "Authorization": f"Bearer {sign_internal(call.claims, self._key)}",
            "X-Request-ID": call.claims.request_id,
            "traceparent": begun.trace.header,
            "Accept": call.accept,
            **call.headers,
        }
        if call.claims.session_id:
            headers["X-Session-ID"] = call.claims.session_id
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = await self._send(call, headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not call.repeatable and not isinstance(error, aiohttp.ClientConnectorError):
                raise
            answer = await self._send(call, headers)
        begun.set({"http.response.status_code": answer.status})
        if 200 <= answer.status < 300 or (own_errors and answer.content_type == "application/json"):
            return answer
        begun.fail(str(answer.status))
        try:
            raise await _refusal(answer)
        finally:
            answer.close()

    async def _send(self, call: Call, headers: dict[str, str]) -> aiohttp.ClientResponse:
        return await self._http.request(
            call.method, self._base + call.path, data=call.body, headers=headers, allow_redirects=False
        )


async def _read_capped(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > limit:
            answer.close()
            raise _garbage(f"the agent's answer is larger than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


async def _refusal(answer: aiohttp.ClientResponse) -> Exception:
    if answer.content_type == "application/problem+json" and answer.status >= 400:
        try:
            body: Any = await _read_capped(answer, _PROBLEM_BYTES)
            problem = Problem.model_validate_json(body)
        except (ValidationError, ValueError):
            return _garbage("the agent's error is not a problem document")
        if problem.code in _KEY_MISMATCH or answer.status == 401:
            return ApiError(
                502,
                "agent_refused_gateway",
                "The agent does not accept the gateway's token: give both the same internal key and time.",
            )
        return UpstreamProblemError(
            problem.model_copy(update={"status": answer.status}), answer.headers.get("Retry-After")
        )
    return _garbage(f"the agent answered {answer.status}")


def _garbage(what: str) -> ApiError:
    return ApiError(502, "agent_answer_invalid", f"{what[0].upper()}{what[1:]}; its log has the reason.")


def _unavailable(error: Exception) -> ApiError:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return ApiError(
            503,
            "agent_unavailable",
            "The agent cannot be reached; repeat the call in a few seconds.",
            headers={"Retry-After": "2"},
        )
    if isinstance(error, TimeoutError):
        return ApiError(
            504, "agent_timeout", "The agent took too long; narrow the question to a namespace or an object."
        )
    return ApiError(502, "agent_failed", "The agent broke off the call; repeat it, its log has the reason.")
