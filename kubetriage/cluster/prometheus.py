"""Metrics and alerts of a Prometheus, or of what speaks its API (Thanos, Mimir, VictoriaMetrics). Reads only.

Whatever goes wrong is an ``Unreadable``: a diagnosis without metrics is one that says so.
"""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlencode, urlsplit

import aiohttp
import orjson

from kubetriage.cluster.errors import ClusterError
from kubetriage.cluster.prometheus_answers import STEP, Window, read_alerts, read_series, without_rare_requests
from kubetriage.cluster.prometheus_queries import Query, build_queries
from kubetriage.cluster.reader import Observations
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.safety.redaction import redact
from kubetriage.state.snapshot import MetricSeries

DEADLINE = 5.0  # seconds for one query; Prometheus answers these in well under one
CONCURRENT = 8  # queries at once, of all diagnoses together; Prometheus itself runs 20
# Bytes of one answer: about 2,000 workloads of 121 samples. More would be the memory of the caller, nine times.
LARGEST = 8 * 2**20
# Characters. Some proxies allow GET alone (the API server's, to those who may get services/proxy); none takes
# more than 8 KiB of it.
LONGEST_GET = 6_000
_ADVICE = {
    401: "the credentials are not accepted; give a token file, or user and password in the URL",
    403: "these credentials may not query",
    404: "there is no Prometheus API below this URL",
    503: "it is not ready",
}
Value = TypeVar("Value")


class PrometheusUrlError(ClusterError):
    """A URL or token file that cannot be meant. The message never quotes what was given."""

    code = "prometheus_url"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``url`` is without user info: it is shown. What authorizes is not."""

    url: str
    basic: str = field(default="", repr=False)
    token_file: Path | None = None

    def headers(self) -> dict[str, str]:
        """Read anew each time: a service account's token changes every hour. Raises PrometheusUrlError."""
        if self.basic:
            return {"Authorization": f"Basic {self.basic}"}
        if self.token_file is None:
            return {}
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            why = (isinstance(error, OSError) and error.strerror) or "it is no text"
            raise PrometheusUrlError(f"the token file {self.token_file} cannot be read: {why}") from None
        if not token or not token.isprintable() or " " in token:
            raise PrometheusUrlError(f"the token file {self.token_file} must hold one token and nothing else")
        return {"Authorization": f"Bearer {token}"}


def parse_endpoint(url: str, token_file: Path | None = None) -> Endpoint:
    """``http(s)://[user:password@]host[:port][/path]``. Raises PrometheusUrlError."""
    try:
        parts = urlsplit(url.strip())
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise PrometheusUrlError("the Prometheus URL is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PrometheusUrlError("the Prometheus URL must begin with http:// or https:// and name a host")
    if parts.query or parts.fragment:
        raise PrometheusUrlError("the Prometheus URL must end with the host, its port or a path")
    basic = ""
    if parts.username is not None:
        if token_file is not None:
            raise PrometheusUrlError("a token file and a user in the Prometheus URL exclude each other")
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        basic = base64.b64encode(pair.encode()).decode()
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Endpoint(f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}", basic, token_file)


@dataclass(frozen=True, slots=True)
class _Failure:
    """``status`` None: nobody answered."""

    reason: str
    status: int | None = None


class PrometheusSource:
    """Implements MetricsSource; safe to use concurrently. Holds nothing open between two readings."""

    def __init__(self, endpoint: Endpoint, *, deadline: float = DEADLINE, largest: int = LARGEST) -> None:
        self._endpoint = endpoint
        self._deadline = deadline
        self._largest = largest
        self._slots = asyncio.Semaphore(CONCURRENT)

    async def read_observations(self, namespaces: tuple[str, ...] | None, until: datetime) -> Observations:
        """The hour before ``until`` of all workloads in these namespaces (None: everywhere), and firing alerts."""
        queries, window = build_queries(namespaces), Window(until)
        if not queries:
            return Observations()
        try:
            headers = await asyncio.to_thread(self._endpoint.headers)
        except PrometheusUrlError as error:
            return Observations(unreadable=(self._gap(_Failure(str(error)), ()),))
        span = {
            "start": f"{window.start.timestamp():.3f}",
            "end": f"{window.end.timestamp():.3f}",
            "step": f"{STEP.total_seconds():g}",
            "timeout": f"{self._deadline:g}s",
        }
        patience = aiohttp.ClientTimeout(total=self._deadline)
        async with aiohttp.ClientSession(headers=headers, timeout=patience) as session:
            reading = _Reading(session, self._endpoint.url, self._slots, self._deadline, self._largest)
            alerts, answers = await asyncio.gather(
                reading.ask("/api/v1/alerts", {}, lambda document: read_alerts(document, window, namespaces)),
                asyncio.gather(*(reading.ask_series(query, span, window, namespaces) for query in queries)),
            )
        named = [("alerts", alerts), *((query.name, answer) for query, answer in zip(queries, answers, strict=True))]
        failed = [(name, answer) for name, answer in named if isinstance(answer, _Failure)]
        series = [one for answer in answers if not isinstance(answer, _Failure) for one in answer]
        return Observations(
            alerts=() if isinstance(alerts, _Failure) else alerts,
            metrics=without_rare_requests(series),
            unreadable=self._gaps(failed, len(named)),
        )

    def _gaps(self, failed: Sequence[tuple[str, _Failure]], asked: int) -> tuple[Unreadable, ...]:
        """One for each reason: ten refusals for one are one fact."""
        names: dict[_Failure, list[str]] = defaultdict(list)
        for name, failure in failed:
            names[failure].append(name)
        return tuple(self._gap(failure, () if len(of) == asked else of) for failure, of in names.items())

    def _gap(self, failure: _Failure, names: Iterable[str]) -> Unreadable:
        what = ", ".join(names)
        reason = f"{self._endpoint.url}: {f'{what}: ' if what else ''}{failure.reason}"
        return Unreadable(resource="prometheus", verb="query", status=failure.status, reason=reason)


@dataclass(slots=True)
class _Reading:
    """The queries of one diagnosis."""

    session: aiohttp.ClientSession
    url: str
    slots: asyncio.Semaphore
    deadline: float
    largest: int
    absent: _Failure | None = None

    async def ask_series(
        self, query: Query, span: Mapping[str, str], window: Window, namespaces: tuple[str, ...] | None
    ) -> tuple[MetricSeries, ...] | _Failure:
        return await self.ask(
            "/api/v1/query_range",
            {"query": query.expression, **span},
            lambda document: read_series(query.name, document, window, namespaces),
        )

    async def ask(self, path: str, query: Mapping[str, str], read: Callable[[Any], Value]) -> Value | _Failure:
        """What ``read`` makes of the answer."""
        late = _Failure(f"no answer within {self.deadline:g} s")
        try:
            # The wait for a slot is bounded too: others' slow queries must not use up this diagnosis' time.
            async with asyncio.timeout(2 * self.deadline), self.slots:
                if self.absent is not None:  # nobody listens there: the others need not find out by themselves
                    return self.absent
                body = await self._body(path, query)
        except TimeoutError:
            return late
        except aiohttp.ClientConnectorCertificateError:
            return _Failure("its certificate is not trusted; SSL_CERT_FILE names the authorities that are")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _Failure(f"not reachable ({_cut(str(error) or type(error).__name__)})")
            if isinstance(error, aiohttp.ClientConnectorError):
                self.absent = failure
            return failure
        if isinstance(body, _Failure):
            return body
        try:
            # In a thread: thousands of series are a second that other callers would wait for.
            return await asyncio.to_thread(lambda: read(orjson.loads(body)))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
            return _Failure("what it says is no answer of Prometheus' API", 200)

    async def _body(self, path: str, query: Mapping[str, str]) -> bytes | _Failure:
        """Redirects are not followed: they lead to login pages, and would take the credentials along."""
        long = len(urlencode(query)) > LONGEST_GET
        given: dict[str, Any] = {"data": query} if long else {"params": query}
        method = "POST" if long else "GET"
        async with self.session.request(method, self.url + path, allow_redirects=False, **given) as answer:
            chunks, size = [], 0
            async for chunk in answer.content.iter_chunked(65_536):
                chunks.append(chunk)
                size += len(chunk)
                if size > self.largest:
                    told = f"more than {self.largest / 2**20:g} MiB in one answer; ask about one namespace"
                    return _Failure(told, answer.status)
            body = b"".join(chunks)
            if answer.status == 200:
                return body
            return _Failure(_refusal(answer.status, answer.reason, body), answer.status)


def _refusal(status: int, phrase: str | None, body: bytes) -> str:
    """Why: in Prometheus' words when they are there. Other bodies are pages of proxies."""
    try:
        told = orjson.loads(body).get("error")
    except (ValueError, AttributeError):
        told = None
    if 300 <= status < 400:
        told = "a redirect, perhaps to a login; give the URL of the API itself"
    return f"{status} {_cut(str(told or _ADVICE.get(status) or phrase or 'no reason given'))}"


def _cut(text: str) -> str:
    """For people, in one line, without what a message may have picked up."""
    return redact(" ".join(text.split()))[:200]
