"""The tool that searches the runbooks. When retrieval is down the run goes on and says so."""

from __future__ import annotations

import structlog

from agent_service.run_context import RunContext
from agent_service.tools.result import ToolResult, failed
from kubetriage.contracts.api import SearchRequest, Source

_QUERY_LENGTH = 2000
_TEXT_LENGTH = 2500  # characters of one passage


async def search_runbooks(context: RunContext, query: str, k: int = 3, alert: str | None = None) -> ToolResult:
    """The best runbook passages for a query or an alert name."""
    query = query.strip()[:_QUERY_LENGTH]
    if not query:
        return failed("An empty query finds nothing.")
    if context.searcher is None:
        context.degraded.add("retrieval")
        return failed("Runbook search is not available now; answer without it.", degraded="retrieval")
    try:
        found = await context.searcher.search(
            SearchRequest(query=query, k=max(1, min(k, 10)), namespace=context.namespace, alert=alert),
            context.reader.namespaces,
        )
    except Exception as error:  # noqa: BLE001 - whatever retrieval raises, an answer without it is better than none
        structlog.get_logger("agent").warning("retrieval failed", error_type=type(error).__name__)
        context.degraded.add("retrieval")
        return failed("Runbook search does not work now; answer without it.", degraded="retrieval")
    passages = [one.model_dump(mode="json") for one in found.passages]
    text = "\n\n".join(f"# {one.path}: {one.title}, {one.heading}\n{one.text[:_TEXT_LENGTH]}" for one in found.passages)
    return ToolResult(
        summary=", ".join(dict.fromkeys(one.path for one in found.passages)) or "no runbook found",
        text=text or "No runbook fits.",
        data={"passages": [{**one, "text": str(one["text"])[:_TEXT_LENGTH]} for one in passages]},
        sources=tuple(
            Source(kind="runbook", title=one.title, where=f"{one.path}#{one.heading}") for one in found.passages
        ),
    )
