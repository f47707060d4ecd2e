"""Whom ``ask`` and ``chat`` talk to: the agent in this process, or a server."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click
import structlog

from kubetriage.cli.server_client import ServerClient, ServerError
from kubetriage.cli.source import open_metrics, open_reader, prometheus_options, source_options
from kubetriage.contracts.api import AskRequest
from kubetriage.contracts.events import Answer, RunError, RunStarted, StreamEvent

FAILED = 1


class Conversation(Protocol):
    """Answers questions, and remembers them."""

    def ask(self, question: str) -> AsyncIterator[StreamEvent]:
        """The events of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the options say."""

    namespace: str | None
    context: str | None
    bundle: Path | None
    model: str | None
    server: str | None
    user: str | None
    session: str | None
    cluster: str | None
    prometheus: str | None
    prometheus_token_file: Path | None


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that choose the cluster, the model and the server."""
    options = (
        click.option("-n", "--namespace", metavar="NS", help="where to look when the question names no namespace"),
        source_options,
        prometheus_options,
        click.option("--model", metavar="NAME", help="a model of OPENAI_BASE_URL (default: builtin, or MODEL)"),
        click.option("--server", metavar="URL", envvar="KUBETRIAGE_SERVER", help="ask a Kubetriage server instead"),
        click.option("--user", metavar="NAME", help="log in to the server (password: KUBETRIAGE_PASSWORD, or asked)"),
        click.option("--session", metavar="ID", help="go on with a conversation of the server"),
        click.option("--cluster", metavar="NAME", help="a cluster of the server"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextlib.asynccontextmanager
async def open_conversation(target: Target) -> AsyncIterator[Conversation]:
    """The conversation, closed afterwards. Raises ServerError, ClusterError."""
    if target.server is None:
        if target.user or target.session or target.cluster:
            raise click.UsageError("--user, --session and --cluster need --server")
        async with open_reader(target.context, target.bundle) as reader:
            yield _local(target, reader)
        return
    if target.context or target.bundle or target.model:
        raise click.UsageError("the server decides about cluster and model: leave --context, --bundle, --model out")
    async with ServerClient(target.server, os.environ.get("KUBETRIAGE_TOKEN")) as client:
        if target.user:
            password = os.environ.get("KUBETRIAGE_PASSWORD") or click.prompt("Password", hide_input=True, err=True)
            await client.log_in(target.user, password)
        yield RemoteConversation(client, target)


def _local(target: Target, reader: Any) -> Conversation:
    from agent_service.local import LocalAgent  # noqa: PLC0415 - LangChain costs a second that --help must not pay
    from agent_service.models import ModelSettings, build_model  # noqa: PLC0415 - see above
    from kubetriage.retrieval.searcher import open_bundled  # noqa: PLC0415 - see above

    only_answers()
    settings = ModelSettings()
    model = build_model(
        target.model or settings.name, api_key=settings.openai_api_key, base_url=settings.openai_base_url
    )
    metrics = open_metrics(target.prometheus, target.prometheus_token_file)
    return LocalAgent(reader, open_bundled(), model=model, namespace=target.namespace, metrics=metrics)


def only_answers() -> None:
    """Logs are for services: here the answer itself says what did not work."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


class RemoteConversation:
    """One session of a server, begun with the first question."""

    def __init__(self, client: ServerClient, target: Target) -> None:
        self._client = client
        self._target = target
        self._session = target.session

    async def ask(self, question: str) -> AsyncIterator[StreamEvent]:
        request = AskRequest(
            question=question,
            session_id=self._session,
            cluster=self._target.cluster,
            namespace=self._target.namespace,
        )
        async for event in self._client.ask(request):
            if isinstance(event, RunStarted):
                self._session = event.session_id
            yield event
            if isinstance(event, Answer | RunError):
                return


def fail(error: Exception | str) -> None:
    """One line, and the exit code of a failure."""
    click.echo(f"kubetriage: {error}", err=True)
    sys.exit(FAILED)


__all__ = ["Conversation", "ServerError", "Target", "fail", "only_answers", "open_conversation", "target_options"]
