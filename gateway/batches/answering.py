"""One item of a batch: asked with its owner's rights of now, the result kept once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from gateway.batches.store import BatchStore, Task
from gateway.documents import fitted
from gateway.metrics import Metrics
from gateway.users import User, UserError, Users
from gateway.work.calls import AgentRefusedError, BackgroundCalls
from gateway.work.queue import Job
from kubetriage.contracts.api import AskRequest, AskResponse, DiagnoseRequest
from kubetriage.contracts.batches import BatchItem, BatchResult
from kubetriage.contracts.diagnosis import Diagnosis
from kubetriage.contracts.identity import InternalClaims
from kubetriage.telemetry.tracing import new_request_id

# Of one result: three open batches of 50 items stay below 10 MB.
_DIAGNOSIS_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answering:
    """Handles the jobs of the queue of batches."""

    store: BatchStore
    users: Users
    calls: BackgroundCalls
    metrics: Metrics

    async def __call__(self, job: Job) -> None:
        """Raises RetryLaterError while the agent cannot answer and there are attempts left."""
        task = await self.store.task(job)
        result = await self._answered(job, task) if task else None
        if await self.store.finish(job, result) and result:
            self.metrics.batch_items.labels(result.state).inc()

    async def _answered(self, job: Job, task: Task) -> BatchResult:
        number = int(job.fields["item"])
        if given_up := self.calls.given_up(job):
            return BatchResult(item=number, state="failed", reason=given_up)
        try:
            user = await self.users.get(task.owner)
        except UserError:
            user = None
        if user is None or user.disabled or user.epoch != task.epoch:
            return BatchResult(item=number, state="failed", reason="The batch's owner was shut out since it was made.")
        try:
            return await self._ask(job, number, task.item, user)
        except AgentRefusedError as error:
            return BatchResult(item=number, state="failed", reason=str(error))

    async def _ask(self, job: Job, number: int, item: BatchItem, user: User) -> BatchResult:
        claims = InternalClaims(
            subject=user.username,
            role=user.role,
            request_id=new_request_id(),
            namespaces=user.namespaces,
            clusters=user.clusters,
        )
        if not item.ask or item.question is None:
            wanted = DiagnoseRequest(**item.model_dump(exclude={"ask"}))
            found = await self.calls.ask(job, claims, "diagnose", wanted, Diagnosis)
            return BatchResult(item=number, state="done", diagnosis=_small(found))
        # A conversation of its own for each attempt: nothing of one that broke off is in the next.
        session = f"s_{hashlib.sha256(f'{job.id}/{job.attempts}'.encode()).hexdigest()[:32]}"
        question = AskRequest(
            question=item.question, session_id=session, cluster=item.cluster, namespace=item.namespace
        )
        claims = claims.model_copy(update={"session_id": session})
        answer = await self.calls.ask(job, claims, "ask", question, AskResponse)
        diagnosis = _small(answer.diagnosis) if answer.diagnosis else None
        return BatchResult(item=number, state="done", answer=answer.model_copy(update={"diagnosis": diagnosis}))


def _small(diagnosis: Diagnosis) -> Diagnosis:
    return fitted(diagnosis, _DIAGNOSIS_BYTES)
