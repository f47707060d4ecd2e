"""The public REST API as the CLI uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

import aiohttp
from pydantic import ValidationError

from kubetriage.contracts.api import AskRequest, TokenPair
from kubetriage.contracts.events import StreamEvent, stream_event_adapter
from kubetriage.contracts.problems import Problem

_CONNECT_SECONDS = 5.0
_SILENCE_SECONDS = 130.0  # the gateway ends a silent answer before
_LINE = 4 * 2**20  # bytes of the largest event


class ServerError(Exception):
    """The server refused or did not answer; the message tells what to do."""


class ServerClient:
    """One server. Use as an asynchronous context. Every method raises ServerError."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> ServerClient:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
        self._http = aiohttp.ClientSession(timeout=timeout, read_bufsize=_LINE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def log_in(self, username: str, password: str) -> TokenPair:
        """Keeps and returns the tokens."""
        form = {"grant_type": "password", "username": username, "password": password}
        async with await self._send("/v1/auth/token", data=form) as answer:
            pair = TokenPair.model_validate(await answer.json(), extra="ignore")
        self._token = pair.access_token
        return pair

    async def ask(self, request: AskRequest) -> AsyncIterator[StreamEvent]:
        """The events of an answer."""
        headers = {"Accept": "text/event-stream"}
        body = request.model_dump(mode="json", exclude_none=True)
        async with await self._send("/v1/ask", json=body, headers=headers) as answer:
            try:
                async for line in answer.content:
                    if line.startswith(b"data:"):
                        yield stream_event_adapter.validate_json(line.removeprefix(b"data:").strip(), extra="ignore")
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise ServerError(f"{self._url} broke off the answer ({type(error).__name__}); ask again") from error

    async def _send(self, path: str, *, headers: dict[str, str] | None = None, **body: Any) -> aiohttp.ClientResponse:
        assert self._http is not None, "use it as an asynchronous context"  # noqa: S101 - a bug of the caller
        given = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            answer = await self._http.post(self._url + path, headers={**given, **(headers or {})}, **body)
            if answer.status >= 400:
                raise ServerError(_explained(answer.status, await answer.read()))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServerError(f"{self._url} does not answer ({type(error).__name__}); is it running?") from error
        return answer


def _explained(status: int, body: bytes) -> str:
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        return f"the server answered {status}"
    if problem.code == "invalid_grant":
        return "user name or password is wrong"
    hint = "; log in with --user, or give a fresh KUBETRIAGE_TOKEN" if status == 401 else ""
    request = f" (request {problem.request_id})" if problem.request_id else ""
    return f"{problem.detail or problem.title}{hint}{request}"
