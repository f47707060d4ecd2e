"""One job of the second kind: posts one version of an incident on to one target.

A target is told once, by whichever gateway claimed the job. Only when a gateway dies, or an answer is
lost, between the target's taking it and our noting that, it is told again, with the same
``Idempotency-Key``: at least once, and as good as exactly once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import aiohttp
import structlog

from gateway.incidents.messages import document, signature_headers, slack_message
from gateway.incidents.store import IncidentStore
from gateway.metrics import Metrics
from gateway.work.queue import Job
from gateway.work.worker import RetryLaterError
from kubetriage import __version__
from kubetriage.contracts.incidents import AlertIncident, IncidentEvent, NotificationState

_CONNECTIONS = 4
_log = structlog.get_logger("gateway.incidents")


@dataclass(frozen=True, slots=True)
class Target:
    """Where results go. ``key`` signs, for the generic webhook. The URL may hold a secret and is never shown."""

    name: Literal["slack", "webhook"]
    url: str
    key: str = ""

    def message(self, event: IncidentEvent, incident: AlertIncident) -> tuple[bytes, Mapping[str, str]]:
        """(body, headers of this kind of target)."""
        if self.name == "slack":
            return slack_message(event, incident), {}
        body = document(event, incident)
        return body, signature_headers(body, self.key, int(time.time()))


def open_http(seconds: float) -> aiohttp.ClientSession:
    """The way out. ``HTTPS_PROXY`` and ``NO_PROXY`` of the environment count; certificates are verified."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=seconds),
        headers={"User-Agent": f"kubetriage/{__version__}"},
        trust_env=True,
    )


class Delivery:
    """Handles the jobs of the queue of notifications."""

    def __init__(
        self,
        store: IncidentStore,
        http: aiohttp.ClientSession,
        targets: tuple[Target, ...],
        metrics: Metrics,
        *,
        attempts: int,
    ) -> None:
        self._store = store
        self._http = http
        self._targets: dict[str, Target] = {target.name: target for target in targets}
        self._metrics = metrics
        self._attempts = attempts

    async def __call__(self, job: Job) -> None:
        """Raises RetryLaterError when the target may take it later."""
        before = NotificationState(
            target=job.fields["target"],
            version=int(job.fields["version"]),
            state="waiting",
            attempts=job.attempts,
        )
        record = await self._store.find(job.fields["incident"])
        known = {(note.target, note.version): note for note in record.incident.notifications} if record else {}
        noted = known.get((before.target, before.version))
        if record is None or noted is None or noted.state != "waiting":
            await self._store.note(job, noted or before.model_copy(update={"state": "failed"}))
            return
        verdict = await self._judged(job, record.incident)
        after = before.model_copy(update=verdict)
        await self._store.note(job, after)
        outcome = "retried" if after.state == "waiting" else after.state
        self._metrics.notifications.labels(after.target, outcome).inc()
        if after.state == "waiting":
            raise RetryLaterError(after.reason)
        _log.info("notification", incident=record.incident.id, target=after.target, state=after.state)

    async def _judged(self, job: Job, incident: AlertIncident) -> dict[str, str | None]:
        target = self._targets.get(job.fields["target"])
        if target is None:
            return {"state": "failed", "reason": "the target is not configured any more"}
        if job.attempts > self._attempts:
            return {"state": "failed", "reason": f"given up after {self._attempts} attempts"}
        reason, lasting = await self._post(target, job, incident)
        if reason is None:
            return {"state": "sent"}
        return {"state": "failed" if lasting or job.attempts == self._attempts else "waiting", "reason": reason}

    async def _post(self, target: Target, job: Job, incident: AlertIncident) -> tuple[str | None, bool]:
        """(what went wrong, whether it would again)."""
        body, headers = target.message(job.fields["event"], incident)  # type: ignore[arg-type]
        headers = {
            **headers,
            "Content-Type": "application/json",
            "Idempotency-Key": f"{incident.id}-{job.fields['version']}-{target.name}",
        }
        try:
            async with self._http.post(target.url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        # Never the exception's own text: it may hold the URL.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return f"the target cannot be reached ({type(error).__name__})", False
        if 200 <= status < 300:
            return None, False
        return f"the target answered {status}", status not in {408, 425, 429} and status < 500
