"""The tools as LangChain tools: argument schemas, deadline, redaction, fence, cap, one line per call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog
from langchain.tools import ToolRuntime
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, ConfigDict, Field

from agent_service.errors import UnknownToolError
from agent_service.links import find_urls
from agent_service.run_context import RunContext
from agent_service.spans import execute_tool_span
from agent_service.tools import diagnosis, objects, pods, runbooks
from agent_service.tools.result import ToolResult, cap_text, failed
from kubetriage.cluster.errors import ClusterError
from kubetriage.contracts.api import ObjectName
from kubetriage.safety.untrusted import clean_data, clean_text, fence
from kubetriage.telemetry.spans import Span

Run = Callable[..., Awaitable[ToolResult]]


class _Arguments(BaseModel):
    # Not "forbid": LangChain validates the runtime that it injects along with the model's arguments.
    model_config = ConfigDict(extra="ignore")


class NamespaceArguments(_Arguments):
    namespace: str | None = Field(None, max_length=63, description="namespace; leave out for the default one")


class NamedArguments(NamespaceArguments):
    name: str = Field(min_length=1, max_length=300, description="name of a pod, workload or service, or kind/name")


class LogArguments(NamedArguments):
    container: str | None = Field(None, max_length=63, description="container; leave out for all")
    previous: bool = Field(default=False, description="only the run before the last restart")
    lines: int = Field(60, ge=1, le=500, description="lines from the end")


class DiagnoseArguments(NamespaceArguments):
    kind: str | None = Field(None, max_length=63, description="kind of the object, e.g. deployment")
    name: ObjectName | None = Field(None, description="name of the object; leave out for everything")


class ListArguments(NamespaceArguments):
    kind: str = Field(
        "all", max_length=63, description="pods, deployments, services, nodes, ...; all: names of everything"
    )
    selector: str = Field("", max_length=300, description="label selector, e.g. app=checkout")


class EventArguments(NamespaceArguments):
    name: str | None = Field(None, max_length=300, description="object, by name or kind/name; leave out for all")
    since: str | None = Field(None, max_length=40, description="RFC 3339 time")
    until: str | None = Field(None, max_length=40, description="RFC 3339 time")
    warnings_only: bool = False


class SearchArguments(_Arguments):
    query: str = Field(min_length=1, max_length=2000, description="symptom, cause or error text")
    k: int = Field(3, ge=1, le=10, description="how many")
    alert: str | None = Field(None, max_length=200, description="exact alert name")


_TOOLS: tuple[tuple[str, Run, type[BaseModel], str], ...] = (
    (
        "diagnose",
        diagnosis.diagnose,
        DiagnoseArguments,
        "Root causes with evidence and fixes, found by rules over one consistent snapshot. Call this first.",
    ),
    ("search_runbooks", runbooks.search_runbooks, SearchArguments, "Search the team's runbooks."),
    ("get_pod_status", pods.get_pod_status, NamedArguments, "State, restarts and node of a pod or a workload's pods."),
    ("get_pod_logs", pods.get_pod_logs, LogArguments, "End of the logs, also of the run before a restart."),
    ("describe_pod", pods.describe_pod, NamedArguments, "Specification, status and events of a pod."),
    ("check_resources", objects.check_resources, NamedArguments, "Requests, limits, images and present use."),
    ("analyze_errors", pods.analyze_errors, NamedArguments, "Error lines of the logs, counted."),
    ("list_resources", objects.list_resources, ListArguments, "Objects of a kind with their state."),
    ("get_events", objects.get_events, EventArguments, "Events of an object or a namespace, between two times."),
)
TOOL_NAMES = tuple(row[0] for row in _TOOLS)
_BY_NAME = {row[0]: row for row in _TOOLS}


def build_tools() -> list[BaseTool]:
    """All tools. They take the run's RunContext from the LangGraph runtime, so one set serves every run."""
    return [_bind(*row) for row in _TOOLS]


def describe_tools() -> list[tuple[str, str, dict[str, Any]]]:
    """(name, description, JSON schema of the arguments) of each tool, for those who call them without a run."""
    return [(name, description, schema.model_json_schema()) for name, _, schema, description in _TOOLS]


async def call_tool(name: str, context: RunContext, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``run_tool`` for a call from outside. Raises UnknownToolError, ValidationError."""
    if name not in _BY_NAME:
        raise UnknownToolError(f"There is no such tool; there are {', '.join(TOOL_NAMES)}.")
    _, run, schema, _ = _BY_NAME[name]
    return await run_tool(name, run, context, schema.model_validate(arguments).model_dump())


async def run_tool(name: str, run: Run, context: RunContext, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """One call: (text for the model, artifact). Never raises except when cancelled."""
    with execute_tool_span(name, context.span) as call:
        return await _run_tool(name, run, context, arguments, call)


async def _run_tool(
    name: str, run: Run, context: RunContext, arguments: dict[str, Any], call: Span
) -> tuple[str, dict[str, Any]]:
    began = time.perf_counter()
    fault = "refused"  # by the tool itself: no such object, not the caller's namespace
    redactor = context.redactor
    try:
        async with asyncio.timeout(context.limits.seconds):
            result = await run(context, **arguments)
    except TimeoutError:
        fault = "timeout"
        result = failed(f"{name} did not end within {context.limits.seconds:g} s.", timeout=True)
    except ClusterError as error:
        fault = error.code
        result = failed(redactor.text(clean_text(str(error))), code=error.code)
    except Exception as error:  # noqa: BLE001 - a tool's bug must not end the run, and its text must not leak
        structlog.get_logger("agent").exception("tool failed", tool=name)
        fault = type(error).__name__
        result = failed(f"{name} failed: {fault}.", error=fault)
    if result.status == "error":
        call.fail(fault)
    artifact = {
        "tool": name,
        "summary": redactor.text(clean_text(result.summary)).replace("\n", " ")[:300],
        "status": result.status,
        "seconds": round(time.perf_counter() - began, 4),
        "data": redactor.data(clean_data(result.data)),
        "sources": redactor.data(clean_data([one.model_dump(mode="json") for one in result.sources])),
    }
    text = cap_text(redactor.text(clean_text(result.text)), context.limits.characters)
    told = find_urls(f"{text}\n{orjson.dumps(artifact['data'], default=str).decode()}")
    (context.runbook_urls if run is runbooks.search_runbooks else context.urls).update(told)
    return fence(text, name), artifact


def _bind(name: str, run: Run, schema: type[BaseModel], description: str) -> BaseTool:
    async def call(runtime: ToolRuntime[RunContext], **arguments: Any) -> tuple[str, dict[str, Any]]:
        return await run_tool(name, run, runtime.context, arguments)

    # The annotation is resolved from the module's names, where a postponed one would be a string.
    call.__annotations__ = {"runtime": ToolRuntime, "return": tuple}
    return StructuredTool(
        name=name,
        description=description,
        args_schema=schema,
        coroutine=call,
        response_format="content_and_artifact",
    )
