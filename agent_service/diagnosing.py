"""A diagnosis as the service gives it: with a team's rules and mutes, and what is new since before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from agent_service.memory.baselines import Baselines
from agent_service.scoped_reader import ScopedReader
from kubetriage.cluster.reader import MetricsSource
from kubetriage.contracts.diagnosis import Diagnosis, Scope
from kubetriage.diagnosis.baseline import compare
from kubetriage.diagnosis.rule import Rule
from kubetriage.investigation import investigate
from kubetriage.redis_connection import REDIS_ERRORS
from kubetriage.safety.redaction import Redactor

if TYPE_CHECKING:
    from kubetriage.diagnosis.mutes import Mute

_log = structlog.get_logger("agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnoser:
    """``baselines`` None: nothing is marked new or resolved, as in a single conversation on a laptop."""

    rules: tuple[Rule, ...] = ()
    mutes: tuple[Mute, ...] = ()
    baselines: Baselines | None = None
    metrics: MetricsSource | None = None
    redactor: Redactor = field(default_factory=Redactor)
    on_memory_failure: Callable[[], None] = lambda: None

    async def diagnose(self, reader: ScopedReader, scope: Scope) -> Diagnosis:
        """What is wrong in ``scope``, as far as the reader's caller may see. Raises ClusterError."""
        # The reader holds back what the caller may not see; metrics do not come through it.
        seen = scope.namespace is None or reader.allows(scope.namespace)
        diagnosis = await investigate(
            reader,
            scope,
            namespaces=reader.namespaces,
            extra_rules=self.rules,
            metrics=self.metrics if seen else None,
            redactor=self.redactor,
        )
        if self.mutes:
            from kubetriage.diagnosis.mutes import apply_mutes  # noqa: PLC0415 - brings YAML, which few need

            diagnosis, ended = apply_mutes(diagnosis, self.mutes, today=datetime.now(UTC).date())
            for warning in ended:
                _log.warning("mute has ended", detail=warning)
        return await self._compared(diagnosis, reader)

    async def _compared(self, diagnosis: Diagnosis, reader: ScopedReader) -> Diagnosis:
        """Redis away costs the marks, not the diagnosis."""
        if self.baselines is None:
            return diagnosis
        now = time.time()
        try:
            before = await self.baselines.before(diagnosis.scope, reader.namespaces, now)
            compared = compare(diagnosis, before) if before is not None else diagnosis
            await self.baselines.keep(compared, reader.namespaces, now)
        except REDIS_ERRORS as error:
            self.on_memory_failure()
            _log.warning("memory unavailable", error_type=type(error).__name__, part="baseline")
            return diagnosis
        return compared
