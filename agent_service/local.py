"""Tier 1: the same agent, tools and built-in model in this process, with its memory in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

from langchain_core.language_models.chat_models import BaseChatModel
from langgraph.checkpoint.memory import InMemorySaver

from agent_service.agent import build_agent
from agent_service.diagnosing import Diagnoser
from agent_service.models import model_name
from agent_service.models.builtin.chat_model import BuiltinChatModel
from agent_service.run_context import RunContext
from agent_service.runs import run_question
from agent_service.scoped_reader import ScopedReader
from agent_service.tools.binding import call_tool
from kubetriage.cluster.reader import ClusterReader, MetricsSource
from kubetriage.contracts.events import StreamEvent
from kubetriage.retrieval.searcher import RunbookSearcher


class LocalTools:
    """The tools for one cluster, without conversations. The reader and the searcher stay the caller's to close."""

    def __init__(
        self,
        reader: ClusterReader,
        searcher: RunbookSearcher | None,
        *,
        namespace: str | None = None,
        metrics: MetricsSource | None = None,
    ) -> None:
        self._reader = reader
        self._searcher = searcher
        self._namespace = namespace
        self._diagnoser = Diagnoser(metrics=metrics)

    async def call(self, name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """See ``binding.call_tool``."""
        reader = ScopedReader(self._reader)
        context = RunContext(
            reader=reader, searcher=self._searcher, diagnoser=self._diagnoser, namespace=self._namespace
        )
        try:
            return await call_tool(name, context, arguments)
        finally:
            await reader.aclose()


class LocalAgent:
    """One conversation with one cluster. The reader and the searcher stay the caller's to close."""

    def __init__(
        self,
        reader: ClusterReader,
        searcher: RunbookSearcher | None,
        *,
        model: BaseChatModel | None = None,
        namespace: str | None = None,
        seconds: float = 120.0,
        metrics: MetricsSource | None = None,
    ) -> None:
        self._reader = reader
        self._searcher = searcher
        self._model = model or BuiltinChatModel()
        self._agent = build_agent(self._model, InMemorySaver())
        self._namespace = namespace
        self._seconds = seconds
        self._diagnoser = Diagnoser(metrics=metrics)
        self._session = f"local-{uuid4().hex[:12]}"

    async def ask(self, question: str) -> AsyncGenerator[StreamEvent]:
        """The events of the answer. Raises AgentError or ClusterError."""
        reader = ScopedReader(self._reader)
        context = RunContext(
            reader=reader,
            searcher=self._searcher,
            diagnoser=self._diagnoser,
            namespace=self._namespace,
            question=question,
            session_id=self._session,
            request_id=uuid4().hex,
        )
        try:
            async for event in run_question(
                self._agent,
                question,
                context,
                thread=self._session,
                model=model_name(self._model),
                seconds=self._seconds,
            ):
                yield event
        finally:
            await reader.aclose()
