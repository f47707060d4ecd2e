"""Calls of the agent that no caller waits for."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gateway.problems import ApiError
from gateway.upstream import Agent, Call, UpstreamProblemError
from gateway.work.queue import Job
from gateway.work.worker import RetryLaterError
from kubetriage.contracts.identity import InternalClaims

_Answer = TypeVar("_Answer", bound=BaseModel)


class AgentRefusedError(Exception):
    """The agent gave no answer and would not give one later; the message is for people."""


class BackgroundCalls:
    """``attempts``: how often a job may try."""

    def __init__(self, agent: Agent, *, attempts: int) -> None:
        self._agent = agent
        self._attempts = attempts

    async def ask(
        self,
        job: Job,
        claims: InternalClaims,
        name: str,
        body: BaseModel,
        contract: type[_Answer],
    ) -> _Answer:
        """Raises RetryLaterError while it may go better later and there are attempts left, AgentRefusedError."""
        call = Call(
            name=name,
            method="POST",
            path=f"/internal/v1/{name}",
            claims=claims,
            body=body.model_dump_json(exclude_none=True).encode(),
            repeatable=name != "ask",
        )
        try:
            return contract.model_validate_json(await self._agent.fetch(call), extra="ignore")
        except ApiError as error:
            status, reason = error.status_code, str(error.detail)
        except UpstreamProblemError as error:
            status, reason = error.problem.status, error.problem.detail or error.problem.title
        except ValidationError:
            status, reason = 502, "The agent's answer is not what it should be; its log has the reason."
        if (status >= 500 or status == 429) and job.attempts < self._attempts:
            raise RetryLaterError(reason)
        raise AgentRefusedError(reason)

    def given_up(self, job: Job) -> str | None:
        """Why the job is not to be tried any more: whoever tried last died of it."""
        if job.attempts <= self._attempts:
            return None
        return f"Given up after {self._attempts} attempts; the gateway's log has the reasons."
