"""What one run knows: the cluster as the caller may see it, the runbooks, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent_service.diagnosing import Diagnoser
from agent_service.grounding import Grounding
from agent_service.links import neutralize_links
from agent_service.scoped_reader import ScopedReader
from kubetriage.contracts.diagnosis import Diagnosis
from kubetriage.retrieval.searcher import RunbookSearcher
from kubetriage.safety.redaction import Redactor
from kubetriage.safety.untrusted import clean_text
from kubetriage.telemetry.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """Seconds and characters of one tool call."""

    seconds: float = 20.0
    characters: int = 12_000
    log_lines: int = 200
    rows: int = 200


@dataclass(slots=True, kw_only=True)
class RunContext:
    """Lives for one question. ``namespace`` is where to look when the question names none; ``degraded``
    parts did not work; ``limit`` is the ceiling that ended the run; ``span`` is the run's own."""

    reader: ScopedReader
    searcher: RunbookSearcher | None = None
    diagnoser: Diagnoser = field(default_factory=Diagnoser)
    namespace: str | None = None
    limits: ToolLimits = field(default_factory=ToolLimits)
    redactor: Redactor = field(default_factory=Redactor)
    question: str = ""
    session_id: str = ""
    request_id: str = ""
    degraded: set[str] = field(default_factory=set)
    limit: str | None = None
    diagnosis: Diagnosis | None = None
    urls: set[str] = field(default_factory=set)
    runbook_urls: set[str] = field(default_factory=set)
    grounding: Grounding = field(default_factory=Grounding)
    span: Span | None = None

    def presentable(self, line: str, in_code: bool) -> str:
        """A line of an answer without secrets, invisible characters and links that nobody vouches for."""
        clean = self.redactor.text(clean_text(line))
        return neutralize_links(clean, self.runbook_urls, self.urls, code=in_code)
