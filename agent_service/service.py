"""What the routes work with: the agent, the clusters, the runbooks and the memory, made from settings."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from redis.asyncio import Redis

from agent_service.agent import Agent, build_agent
from agent_service.authentication import check_namespace, thread_of
from agent_service.clusters import Clusters
from agent_service.diagnosing import Diagnoser
from agent_service.errors import AgentError, MemoryUnavailableError, RunTimeoutError
from agent_service.measured import MeasuredModel, MeasuredSearcher
from agent_service.memory.baselines import RedisBaselines
from agent_service.memory.checkpointer import RedisCheckpointer
from agent_service.memory.locks import RedisLocks, SessionLocks
from agent_service.memory.transcript import render_transcript
from agent_service.metrics import Metrics
from agent_service.models import build_model, model_name
from agent_service.run_context import RunContext, ToolLimits
from agent_service.run_log import RunLog
from agent_service.runs import run_question
from agent_service.scoped_reader import ScopedReader
from agent_service.settings import Settings
from agent_service.tools.binding import call_tool
from kubetriage.contracts.api import AskResponse, DiagnoseRequest, InternalAsk, Message, SearchRequest, SearchResponse
from kubetriage.contracts.diagnosis import Diagnosis, Scope
from kubetriage.contracts.events import Answer, StreamEvent, ToolFinished
from kubetriage.contracts.identity import InternalClaims
from kubetriage.redis_connection import REDIS_ERRORS, connect_redis
from kubetriage.retrieval.searcher import RetrievalUnavailableError, RunbookSearcher, open_bundled

_log = structlog.get_logger("agent")


@dataclass(slots=True)
class Service:
    """One per process."""

    settings: Settings
    metrics: Metrics
    redis: Redis
    agent: Agent
    forgetful: Agent  # for conversations that the caller keeps
    checkpointer: RedisCheckpointer
    locks: SessionLocks
    clusters: Clusters
    searcher: MeasuredSearcher
    diagnoser: Diagnoser
    model: str
    runs: asyncio.Semaphore
    _limits: ToolLimits = field(default_factory=ToolLimits)

    async def ask(self, request: InternalAsk, claims: InternalClaims, request_id: str) -> AsyncGenerator[StreamEvent]:
        """The events of one answer; the last one is the Answer. Raises AgentError, ClusterError."""
        thread = thread_of(claims, request.session_id) if request.history is None else None
        check_namespace(claims, request.namespace)
        reader = ScopedReader(await self.clusters.reader(request.cluster, claims.clusters), claims.namespaces)
        context = RunContext(
            reader=reader,
            searcher=self.searcher,
            diagnoser=self.diagnoser,
            namespace=request.namespace,
            limits=self._limits,
            redactor=self.settings.redactor,
            question=request.question,
            session_id=request_id if thread is None else request.session_id or str(claims.session_id),
            request_id=request_id,
        )
        began, outcome = time.perf_counter(), "cancelled"
        told = RunLog(self.model, context.session_id, claims.subject)
        self.metrics.runs_active.inc()
        try:
            async with self.runs, self._conversation(thread):
                run = run_question(
                    self.forgetful if thread is None else self.agent,
                    request.question,
                    context,
                    thread=thread,
                    history=request.history or (),
                    model=self.model,
                    seconds=self.settings.run_seconds,
                )
                async with contextlib.aclosing(run) as events:
                    async for event in events:
                        outcome = self._count(event) or outcome
                        told.saw(event)
                        yield event
        except RunTimeoutError:
            outcome = "timeout"
            raise
        except Exception:
            outcome = "error"
            raise
        finally:
            await reader.aclose()
            self.metrics.runs_active.dec()
            seconds = time.perf_counter() - began
            self.metrics.runs.labels(outcome).inc()
            self.metrics.run_duration.observe(seconds)
            told.write(outcome, seconds)

    async def answer(self, request: InternalAsk, claims: InternalClaims, request_id: str) -> AskResponse:
        """The answer alone."""
        answer: AskResponse | None = None
        async with contextlib.aclosing(self.ask(request, claims, request_id)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    answer = event.answer
        if answer is None:
            raise AgentError("The run ended without an answer; the log has the reason.")
        return answer

    async def diagnose(self, request: DiagnoseRequest, claims: InternalClaims) -> Diagnosis:
        """The Diagnosis document. Raises AgentError, ClusterError."""
        check_namespace(claims, request.namespace)
        reader = ScopedReader(await self.clusters.reader(request.cluster, claims.clusters), claims.namespaces)
        scope = Scope(
            cluster=reader.name,
            namespace=request.namespace,
            kind=request.kind,
            name=request.name,
            question=request.question,
        )
        try:
            async with self.runs, asyncio.timeout(self.settings.run_seconds):
                diagnosis = await self.diagnoser.diagnose(reader, scope)
        except TimeoutError as error:
            raise RunTimeoutError("Reading the cluster took too long; diagnose one namespace.") from error
        finally:
            await reader.aclose()
        self.metrics.diagnosed(diagnosis)
        return diagnosis

    async def call_tool(
        self, name: str, arguments: dict[str, Any], claims: InternalClaims, request_id: str
    ) -> tuple[str, dict[str, Any]]:
        """One tool without a run, with the same rights and bounds: (text, artifact).

        ``arguments`` may name a ``cluster``. Raises AgentError, ClusterError, ValidationError.
        """
        cluster = arguments.get("cluster")
        allowed = await self.clusters.reader(None if cluster is None else str(cluster), claims.clusters)
        reader = ScopedReader(allowed, claims.namespaces)
        context = RunContext(
            reader=reader,
            searcher=self.searcher,
            diagnoser=self.diagnoser,
            limits=self._limits,
            request_id=request_id,
        )
        try:
            async with self.runs:
                text, artifact = await call_tool(name, context, arguments)
        finally:
            await reader.aclose()
        self.metrics.tool_called(name, artifact["status"], artifact["seconds"])
        if context.diagnosis is not None:
            self.metrics.diagnosed(context.diagnosis)
        return text, artifact

    async def search(self, request: SearchRequest, claims: InternalClaims) -> SearchResponse:
        """Runbook passages. Raises RetrievalUnavailableError."""
        check_namespace(claims, request.namespace)
        return await self.searcher.search(request, claims.namespaces)

    async def messages(self, claims: InternalClaims, session_id: str) -> tuple[Message, ...]:
        """The conversation so far; empty when nothing was said in it."""
        async with self._memory():
            found = await self.checkpointer.aget_tuple(
                {"configurable": {"thread_id": thread_of(claims, session_id), "checkpoint_ns": ""}}
            )
        return render_transcript(found.checkpoint["channel_values"].get("messages", ())) if found else ()

    async def forget(self, claims: InternalClaims, session_id: str) -> None:
        """Deletes the conversation."""
        async with self._memory():
            await self.checkpointer.adelete_thread(thread_of(claims, session_id))

    async def ready(self) -> dict[str, str]:
        """Each dependency with "ok" or what is wrong with it, for people."""
        checks = {"redis": "ok"}
        try:
            await self.redis.ping()
        except (*REDIS_ERRORS, OSError) as error:
            checks["redis"] = f"does not answer ({type(error).__name__})"
        return checks

    async def warm_up(self) -> None:
        """Does now what the first question would wait for: Chroma's client, the index, the embedder."""
        try:
            await self.searcher.inner.search(SearchRequest(query="pod does not start", k=1))
        except RetrievalUnavailableError as error:
            _log.info("runbooks are not there yet", reason=str(error))

    async def aclose(self) -> None:
        await self.clusters.aclose()
        await self.searcher.aclose()
        await self.redis.aclose()

    @contextlib.asynccontextmanager
    async def _conversation(self, thread: str | None) -> AsyncIterator[None]:
        """One question of a thread at a time; without one nothing is shared, and Redis is not needed."""
        if thread is None:
            yield
            return
        async with self._memory(), self.locks.hold(thread):
            yield

    @contextlib.asynccontextmanager
    async def _memory(self) -> AsyncIterator[None]:
        try:
            yield
        except REDIS_ERRORS as error:
            self.metrics.memory_failures.inc()
            _log.warning("memory unavailable", error_type=type(error).__name__)
            raise MemoryUnavailableError(
                "The conversation store does not answer; repeat the question soon. Diagnose works without it."
            ) from error

    def _count(self, event: StreamEvent) -> str | None:
        """The run's outcome, once it is known."""
        if isinstance(event, ToolFinished):
            self.metrics.tool_called(event.call.name, event.call.status, event.call.seconds)
        if not isinstance(event, Answer):
            return None
        answer = event.answer
        self.metrics.steps.observe(answer.usage.steps)
        self.metrics.tokens.labels(self.model, "input").inc(answer.usage.input_tokens)
        self.metrics.tokens.labels(self.model, "output").inc(answer.usage.output_tokens)
        for part in answer.degraded:
            self.metrics.degraded.labels(part).inc()
        if answer.diagnosis is not None:
            self.metrics.diagnosed(answer.diagnosis)
        return answer.status


def build_service(settings: Settings, metrics: Metrics) -> Service:
    """Connects nothing yet: Redis, clusters and Chroma are reached when they are first needed."""
    redis = connect_redis(
        settings.redis_url.get_secret_value(),
        timeout_seconds=settings.redis_timeout_seconds,
        observe=metrics.redis.observe,
    )
    checkpointer = RedisCheckpointer(redis, ttl_seconds=settings.session_seconds)
    model = build_model(
        settings.model_name,
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url,
        seconds=settings.model_seconds,
        output_tokens=settings.model_output_tokens,
    )
    build = partial(build_agent, model, max_steps=settings.max_steps, innermost=[MeasuredModel(metrics)])
    return Service(
        settings=settings,
        metrics=metrics,
        redis=redis,
        agent=build(checkpointer),
        forgetful=build(None),
        checkpointer=checkpointer,
        locks=RedisLocks(redis),
        clusters=Clusters(contexts=settings.contexts, kubeconfig=settings.kubeconfig, bundle=settings.bundle),
        searcher=MeasuredSearcher(_searcher(settings, metrics), metrics),
        diagnoser=_diagnoser(settings, redis, metrics),
        model=model_name(model),
        runs=asyncio.Semaphore(settings.concurrent_runs),
        _limits=ToolLimits(seconds=settings.tool_seconds),
    )


def _searcher(settings: Settings, metrics: Metrics) -> RunbookSearcher:
    if settings.chroma_url is None:
        return open_bundled()
    from kubetriage.retrieval.chroma_store import connect_chroma  # noqa: PLC0415 - Chroma's client costs 0.4 s

    return connect_chroma(settings.chroma_url, on_request=metrics.chroma_asked)


def _diagnoser(settings: Settings, redis: Redis, metrics: Metrics) -> Diagnoser:
    return Diagnoser(
        rules=settings.team_rules.rules,
        mutes=settings.team_mutes,
        baselines=RedisBaselines(redis, window_seconds=settings.baseline_seconds),
        metrics=settings.metrics_source,
        redactor=settings.redactor,
        on_memory_failure=metrics.memory_failures.inc,
    )
