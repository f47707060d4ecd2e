"""The one line that a question leaves in the log beside its request's. Names as in the spans; never any content."""

from __future__ import annotations

from typing import Any

import structlog

from agent_service.spans import outcome_of
from kubetriage.contracts.api import AskResponse
from kubetriage.contracts.events import Answer, StreamEvent

_log = structlog.get_logger("agent")
# Of ECS' three; what a limit or a missing part has left is an answer.
_OUTCOMES = {"cancelled": "unknown", "timeout": "failure", "error": "failure"}


class RunLog:
    """Sees a question's events, and tells in the end how it went."""

    def __init__(self, model: str, session_id: str, user: str) -> None:
        self._about = {"gen_ai.request.model": model, "gen_ai.conversation.id": session_id, "user.name": user}
        self._answer: AskResponse | None = None

    def saw(self, event: StreamEvent) -> None:
        """An event of the question."""
        if isinstance(event, Answer):
            self._answer = event.answer

    def write(self, outcome: str, seconds: float) -> None:
        """``outcome``: as it is counted, such as completed or timeout."""
        fields: dict[str, Any] = {
            "event.dataset": "question",
            "event.outcome": _OUTCOMES.get(outcome, "success"),
            "event.duration": int(seconds * 1e9),
            "kubetriage.run.status": outcome,
            **self._about,
        }
        if self._answer is not None:
            calls = self._answer.tool_calls
            fields |= outcome_of(self._answer)
            fields["kubetriage.run.tools"] = [call.name for call in calls]
            fields["kubetriage.run.tools_failed"] = [call.name for call in calls if call.status == "error"]
            fields["kubetriage.run.degraded"] = list(self._answer.degraded)
        _log.info("question", **fields)
