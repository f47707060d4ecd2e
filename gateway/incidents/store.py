"""Incidents in Redis: one hash for each, an index by id (ids begin with their time), and two streams of work."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from redis.asyncio import Redis

from gateway.documents import fitted
from gateway.incidents import scripts
from gateway.incidents.visibility import WITHHELD, may_read_diagnosis, may_see, reach_of
from gateway.users import User
from gateway.work.queue import GROUP, Job
from kubetriage.contracts.api import Passage
from kubetriage.contracts.diagnosis import Diagnosis
from kubetriage.contracts.incidents import (
    AlertAccepted,
    AlertedGroup,
    AlertIncident,
    IncidentStatus,
    NotificationState,
)

_PREFIX = "kt:{incidents}:"
WORK = f"{_PREFIX}work"
NOTIFICATIONS = f"{_PREFIX}notifications"
_INDEX = f"{_PREFIX}index"
_RECORD = f"{_PREFIX}record:"
_OPEN = f"{_PREFIX}open:"
_PAGE = 100
# Of one stored document: 500 incidents of this size are a sixth of the 384 MB that the chart gives to Redis.
_DOCUMENT_BYTES = 128 * 1024
_SUMMARY = (
    "group", "status", "state", "reason", "headline", "version",
    "opened", "updated", "resolved", "diagnosed", "cluster", "reach",
)  # fmt: skip
_passages: TypeAdapter[tuple[Passage, ...]] = TypeAdapter(tuple[Passage, ...])


class QueueFullError(Exception):
    """There are as many groups to be diagnosed as may wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``stored`` and ``queued`` count incidents; ``lifetime_seconds`` counts from the last news of one."""

    stored: int
    queued: int
    lifetime_seconds: int


@dataclass(frozen=True, slots=True)
class Record:
    """An incident as it is stored. ``cluster``: the one that was diagnosed. ``reach``: see ``visibility``."""

    incident: AlertIncident
    cluster: str | None
    reach: frozenset[str]

    def seen_by(self, user: User) -> AlertIncident | None:
        """The incident as far as it is the user's to read; None when it is not."""
        if not may_see(user, self.incident.alerts, self.cluster):
            return None
        if may_read_diagnosis(user, self.reach):
            return self.incident
        return self.incident.model_copy(update={"diagnosis": None, "headline": None, "withheld": WITHHELD})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a diagnosis ended: with ``diagnosis``, or with the ``reason`` why there is none."""

    diagnosis: Diagnosis | None = None
    runbooks: tuple[Passage, ...] = ()
    reason: str = ""


class IncidentStore:
    """Every change is one of ``scripts``. ``targets``: where results are posted on to."""

    def __init__(self, redis: Redis, limits: Limits, targets: Sequence[str]) -> None:
        self._redis: Any = redis
        self._limits = limits
        self._targets = tuple(targets)
        # Each incident is told of at most three times: diagnosed, failed, resolved.
        self._notifications = 3 * limits.queued * max(1, len(self._targets))

    async def fire(self, identity: str, group: AlertedGroup) -> AlertAccepted:
        """Opens an incident and queues its diagnosis, or brings the open one up to date.

        Raises QueueFullError.
        """
        now = time.time()
        limits = self._limits
        result, incident = await self._redis.eval(
            scripts.OPEN, 3, _OPEN + identity, _INDEX, WORK,
            _new_id(now), group.model_dump_json(), now, limits.lifetime_seconds, limits.stored, limits.queued, _RECORD,
        )  # fmt: skip
        if result == "full":
            raise QueueFullError
        return AlertAccepted(incident=incident, result=result)

    async def resolve(self, identity: str, group: AlertedGroup) -> AlertAccepted:
        """Closes the group's open incident, if there is one."""
        result, incident = await self._redis.eval(
            scripts.RESOLVE, 2, _OPEN + identity, NOTIFICATIONS,
            group.model_dump_json(), time.time(), self._notifications, _RECORD, *self._targets,
        )  # fmt: skip
        return AlertAccepted(incident=incident or None, result=result)

    async def begin(self, incident_id: str) -> bool:
        """Whether there still is something to diagnose; then it counts as running."""
        return bool(await self._redis.eval(scripts.BEGIN, 1, _record_key(incident_id)))

    async def finish(self, job: Job, outcome: Outcome) -> bool:
        """Stores the outcome, queues its notifications and acknowledges the job. False: somebody else had done it."""
        incident_id = job.fields["incident"]
        fields = _outcome_fields(outcome)
        state = "failed" if outcome.diagnosis is None else "done"
        changed = await self._redis.eval(
            scripts.FINISH, 3, _record_key(incident_id), WORK, NOTIFICATIONS,
            incident_id, job.id, GROUP, state, time.time(),
            2 * len(fields), *(part for pair in fields.items() for part in pair), self._notifications, *self._targets,
        )  # fmt: skip
        return bool(changed)

    async def note(self, job: Job, note: NotificationState) -> None:
        """Keeps how a notification stands; one that is sent or given up is acknowledged."""
        over = note.state != "waiting"
        value = note.model_dump_json(include={"state", "attempts", "reason"})
        await self._redis.eval(
            scripts.NOTE, 2, _record_key(job.fields["incident"]), NOTIFICATIONS,
            f"note:{note.target}:{note.version}", value, job.id if over else "", GROUP,
        )  # fmt: skip

    async def find(self, incident_id: str) -> Record | None:
        """The whole incident."""
        fields = await self._redis.hgetall(_record_key(incident_id))
        return _read(incident_id, fields) if fields else None

    async def page(
        self, user: User, *, status: IncidentStatus | None, namespace: str | None, cursor: str | None, limit: int
    ) -> tuple[tuple[AlertIncident, ...], str | None]:
        """The newest ``limit`` incidents of the user's after ``cursor``, and the next cursor if there are more."""
        found: list[AlertIncident] = []
        end = f"({cursor}" if cursor else "+"
        while ids := await self._redis.zrevrangebylex(_INDEX, end, "-", start=0, num=_PAGE):
            end = f"({ids[-1]}"
            for record in await self._summaries(ids):
                seen = record.seen_by(user)
                if seen is None or (status or seen.status) != seen.status:
                    continue
                if (namespace or seen.alerts.namespace) != seen.alerts.namespace:
                    continue
                if len(found) == limit:
                    return tuple(found), found[-1].id
                found.append(seen)
        return tuple(found), None

    async def _summaries(self, ids: Sequence[str]) -> list[Record]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for incident_id in ids:
                pipe.hmget(_record_key(incident_id), _SUMMARY)
            rows = await pipe.execute()
        # What has expired leaves the index when somebody looks.
        if gone := [incident_id for incident_id, row in zip(ids, rows, strict=True) if row[0] is None]:
            await self._redis.zrem(_INDEX, *gone)
        return [
            _read(incident_id, {name: value for name, value in zip(_SUMMARY, row, strict=True) if value is not None})
            for incident_id, row in zip(ids, rows, strict=True)
            if row[0] is not None
        ]


def _record_key(incident_id: str) -> str:
    return _RECORD + incident_id


def _new_id(now: float) -> str:
    return f"i_{int(now * 1000):012x}{secrets.token_hex(6)}"


def _outcome_fields(outcome: Outcome) -> dict[str, str]:
    if outcome.diagnosis is None:
        return {"reason": outcome.reason}
    return {
        "diagnosis": fitted(outcome.diagnosis, _DOCUMENT_BYTES).model_dump_json(),
        "headline": outcome.diagnosis.summary,
        "runbooks": _passages.dump_json(outcome.runbooks).decode(),
        "cluster": outcome.diagnosis.scope.cluster or "",
        "reach": json.dumps(sorted(reach_of(outcome.diagnosis))),
    }


def _read(incident_id: str, fields: dict[str, str]) -> Record:
    incident = AlertIncident(
        id=incident_id,
        status=fields["status"],
        alerts=AlertedGroup.model_validate_json(fields["group"], extra="ignore"),
        diagnosis_state=fields["state"],
        reason=fields.get("reason"),
        headline=fields.get("headline"),
        version=int(fields["version"]),
        opened_at=_time(fields["opened"]),
        updated_at=_time(fields["updated"]),
        resolved_at=_time(fields["resolved"]) if "resolved" in fields else None,
        diagnosed_at=_time(fields["diagnosed"]) if "diagnosed" in fields else None,
        # An older gateway reads what a newer one wrote during an upgrade.
        diagnosis=Diagnosis.model_validate_json(fields["diagnosis"], extra="ignore") if "diagnosis" in fields else None,
        runbooks=_passages.validate_json(fields.get("runbooks", "[]"), extra="ignore"),
        notifications=tuple(_notes(fields)),
    )
    return Record(incident, fields.get("cluster") or None, frozenset(json.loads(fields.get("reach", "[]"))))


def _notes(fields: dict[str, str]) -> Iterator[NotificationState]:
    for name in sorted(fields):
        kind, _, rest = name.partition(":")
        if kind == "note":
            target, _, version = rest.partition(":")
            yield NotificationState(target=target, version=version, **json.loads(fields[name]))


def _time(seconds: str) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
