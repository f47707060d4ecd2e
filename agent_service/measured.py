"""What stands around a model and around the runbooks to count their calls."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse

from agent_service.metrics import Metrics
from agent_service.models import model_name
from kubetriage.contracts.api import SearchRequest, SearchResponse
from kubetriage.retrieval.searcher import RunbookSearcher


class MeasuredModel(AgentMiddleware[Any, Any]):
    """Innermost: each call of whichever model it was."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> Any:
        began, outcome = time.perf_counter(), "error"
        try:
            response = await handler(request)
            outcome = "ok"
            return response
        finally:
            name = model_name(request.model)
            self._metrics.model_duration.labels(name, outcome).observe(time.perf_counter() - began)


class MeasuredSearcher:
    """A RunbookSearcher that counts; ``inner`` is the one without, for what nobody asked for."""

    def __init__(self, inner: RunbookSearcher, metrics: Metrics) -> None:
        self.inner = inner
        self._metrics = metrics

    async def search(self, request: SearchRequest, allowed_namespaces: Collection[str] | None = None) -> SearchResponse:
        began, outcome = time.perf_counter(), "error"
        try:
            response = await self.inner.search(request, allowed_namespaces)
            outcome = "found" if response.passages else "nothing"
            self._metrics.search_passages.observe(len(response.passages))
            return response
        finally:
            self._metrics.search_duration.labels(outcome).observe(time.perf_counter() - began)

    async def aclose(self) -> None:
        await self.inner.aclose()
