"""The one way to an API server: GET only, no secrets, bounded in time, tries and concurrency."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

from kubetriage.cluster.errors import ForbiddenError

DEADLINE = 10.0  # seconds for one HTTP call
CONCURRENT = 8  # calls at once: below the default fairness share of one user
ATTEMPTS = 3
LONGEST_PAUSE = 5.0  # seconds; a server that asks for more is not waited for
_RETRIED = frozenset({429, 500, 502, 503, 504})
_RUNS_OR_FORWARDS = frozenset({"exec", "attach", "portforward", "proxy", "ephemeralcontainers", "token"})


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` 0: nobody answered, ``reason`` says why. ``reason`` is empty for 200."""

    status: int
    body: bytes = b""
    reason: str = ""


class ApiGate:
    """Everything that leaves for the API server goes through ``get``; there is no other verb here."""

    def __init__(self, api: Any, *, deadline: float = DEADLINE, concurrent: int = CONCURRENT) -> None:
        self._api = api
        self._deadline = deadline
        self._slots = asyncio.Semaphore(concurrent)
        self.requests = 0

    async def get(self, path: str, query: Mapping[str, str] | None = None, *, urgent: bool = False) -> Answer:
        """The answer to a GET of ``path`` (percent-encoded); empty query values are left out.

        ``urgent`` does not wait for a slot. Retries 429, 5xx and broken connections, not timeouts.
        Raises ForbiddenError for Secrets and whatever runs or forwards, whoever asks.
        """
        refuse_unsafe(path)
        wanted = {name: value for name, value in (query or {}).items() if value}
        target = f"{path}?{urlencode(wanted)}" if wanted else path
        for attempt in range(ATTEMPTS):
            if urgent:
                answer, pause = await self._once(target, attempt)
            else:
                async with self._slots:
                    answer, pause = await self._once(target, attempt)
            if pause is None or attempt == ATTEMPTS - 1:
                break
            await asyncio.sleep(pause)
        return answer

    async def aclose(self) -> None:
        await self._api.close()

    async def _once(self, target: str, attempt: int) -> tuple[Answer, float | None]:
        """One try: the answer, and the pause before another try is worth while (None: it is not)."""
        jitter = random.uniform(0.5, 1.0) * 0.2 * 2**attempt  # noqa: S311 - spreads retries, no secret
        self.requests += 1
        try:
            serialized = await self._api.param_serialize("GET", target, auth_settings=["BearerToken"])
            response = await self._api.call_api(*serialized, _request_timeout=self._deadline)
            body = await response.read()
        except TimeoutError:
            return Answer(0, reason=f"no answer within {self._deadline:g} s"), None
        except aiohttp.ClientConnectorCertificateError as error:
            return Answer(0, reason=f"the server's certificate is not trusted: {error}"), None
        except (aiohttp.ClientError, OSError) as error:
            return Answer(0, reason=f"{type(error).__name__}: {error}"), jitter
        if response.status == 200:
            return Answer(200, body), None
        answer = Answer(response.status, body, _reason(body, response.reason))
        if response.status not in _RETRIED:
            return answer, None
        told = response.headers.get("Retry-After", "")
        pause = max(float(told), jitter) if told.isdigit() else jitter
        return answer, pause if pause <= LONGEST_PAUSE else None


def refuse_unsafe(path: str) -> None:
    """Raises ForbiddenError unless ``path`` is one that a reader may ask for.

    Judged by its parts, so that a namespace or pod that happens to be called ``secrets`` is fine.
    """
    bare, _, query = path.partition("?")
    parts = bare.strip("/").split("/")
    # Dots and encoded slashes would be resolved after this check, by the client or the server.
    if query or any(part in ("", ".", "..") or "%2f" in part.lower() or "\\" in part for part in parts):
        raise ForbiddenError(f"kubetriage does not ask for {path!r}: no such name")
    after_version = parts[2:] if parts[0] == "api" else parts[3:] if parts[0] == "apis" else []
    if after_version[:1] == ["watch"]:
        raise ForbiddenError("kubetriage does not watch")
    inside = after_version[2:] if after_version[:1] == ["namespaces"] and len(after_version) > 2 else after_version
    if inside[:1] == ["secrets"]:
        raise ForbiddenError("kubetriage never reads Secrets")
    if len(inside) > 2 and inside[2] in _RUNS_OR_FORWARDS:
        raise ForbiddenError(f"kubetriage never uses {inside[0]}/{inside[2]}")


def _reason(body: bytes, fallback: str | None) -> str:
    """The message of a Status object, cut: bodies of proxies can be long."""
    try:
        message = orjson.loads(body).get("message")
    except (ValueError, AttributeError):
        message = None
    return str(message or fallback or "no reason given")[:300]
