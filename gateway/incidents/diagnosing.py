"""One job of the first kind: has the agent diagnose an incident, and keeps what it found."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from gateway.incidents.groups import request_for, runbooks_for
from gateway.incidents.store import IncidentStore, Outcome
from gateway.metrics import Metrics
from gateway.work.calls import AgentRefusedError, BackgroundCalls
from gateway.work.queue import Job
from gateway.work.worker import RetryLaterError
from kubetriage.contracts.api import DiagnoseRequest, Passage, SearchResponse
from kubetriage.contracts.diagnosis import Diagnosis
from kubetriage.contracts.diagnosis import Outcome as Verdict
from kubetriage.contracts.identity import InternalClaims
from kubetriage.contracts.incidents import AlertedGroup
from kubetriage.telemetry.tracing import new_request_id

SUBJECT = "service:alertmanager"  # no user can be called so
_log = structlog.get_logger("gateway.incidents")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosing:
    """``namespaces`` and ``clusters``: what diagnoses of alerts may read; None means all."""

    store: IncidentStore
    calls: BackgroundCalls
    metrics: Metrics
    namespaces: tuple[str, ...] | None
    clusters: tuple[str, ...] | None

    async def __call__(self, job: Job) -> None:
        """Raises RetryLaterError while the agent cannot answer and there are attempts left."""
        incident_id = job.fields["incident"]
        record = await self.store.find(incident_id) if await self.store.begin(incident_id) else None
        if record is None:  # done by somebody who died before saying so, or too old
            await self.store.finish(job, Outcome())
            return
        given_up = self.calls.given_up(job)
        outcome = Outcome(reason=given_up) if given_up else await self._diagnose(record.incident.alerts, job)
        result = "failed" if outcome.diagnosis is None else "done"
        if await self.store.finish(job, outcome):
            self.metrics.incident_diagnoses.labels(result).inc()
            _log.info("incident diagnosed", incident=incident_id, result=result, reason=outcome.reason or None)

    async def _diagnose(self, group: AlertedGroup, job: Job) -> Outcome:
        claims = InternalClaims(
            subject=SUBJECT, request_id=new_request_id(), namespaces=self.namespaces, clusters=self.clusters
        )
        wanted = request_for(group)
        try:
            found = await self.calls.ask(job, claims, "diagnose", wanted, Diagnosis)
            if found.outcome is Verdict.INCONCLUSIVE and wanted.name is not None and wanted.namespace is not None:
                # A pod may be replaced since it raised the alert; what ails its successor is the same.
                around = DiagnoseRequest(cluster=wanted.cluster, namespace=wanted.namespace, question=wanted.question)
                found = await self.calls.ask(job, claims, "diagnose", around, Diagnosis)
        except AgentRefusedError as error:
            return Outcome(reason=str(error))
        except RetryLaterError:
            self.metrics.incident_diagnoses.labels("retried").inc()
            raise
        return Outcome(diagnosis=found, runbooks=await self._runbooks(group, job, claims))

    async def _runbooks(self, group: AlertedGroup, job: Job, claims: InternalClaims) -> tuple[Passage, ...]:
        try:
            return (await self.calls.ask(job, claims, "search", runbooks_for(group), SearchResponse)).passages
        except (AgentRefusedError, RetryLaterError):  # a diagnosis without a runbook is a diagnosis
            return ()
