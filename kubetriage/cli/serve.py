"""``kubetriage serve``."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from pathlib import Path

import click

from kubetriage.cli.answer_printing import AnswerPrinter
from kubetriage.cli.conversation import fail
from kubetriage.cli.processes import ProcessFailedError
from kubetriage.cli.server_client import ServerClient, ServerError
from kubetriage.cli.source import source_options
from kubetriage.cli.stack import Cluster, Stack, run_stack
from kubetriage.contracts.api import AskRequest


def _state_folder() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "kubetriage"


@click.command("serve")
@source_options
@click.option(
    "--state", type=click.Path(file_okay=False, path_type=Path), help="where users, sessions and logs are kept"
)
@click.option("--ask", "question", metavar="QUESTION", help="ask this through the API once everything runs")
@click.option("--once", is_flag=True, help="end after the answer to --ask")
def command(context: str | None, bundle: Path | None, state: Path | None, question: str | None, *, once: bool) -> None:
    """Run the whole product on this machine: Redis, Chroma, agent and gateway, until Ctrl-C.

    Everything listens on loopback only. A first user is made, with a random password.
    """
    if bundle is not None and context is not None:
        raise click.UsageError("--bundle and --context exclude each other")
    if once and not question:
        raise click.UsageError("--once needs --ask")
    cluster = Cluster(bundle=bundle, context=context)
    try:
        asyncio.run(_serve(state or _state_folder(), cluster, question, once=once))
    except (ProcessFailedError, ServerError) as error:
        fail(error)


async def _serve(state: Path, cluster: Cluster, question: str | None, *, once: bool) -> None:
    work = asyncio.current_task()
    assert work is not None  # noqa: S101 - asyncio.run made it
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, work.cancel)
    try:
        async with run_stack(state, cluster, _say) as stack:
            session = await _ask(stack, question) if question else None
            if once:
                return
            _say_how_to_go_on(stack, cluster, session)
            child = await stack.processes.first_to_end()
            raise ProcessFailedError(f"{child.name} ended by itself: {child.tail() or 'it said nothing'}")
    except asyncio.CancelledError:
        _say("stopped")


async def _ask(stack: Stack, question: str) -> str:
    """Asks through the public API as any client does; the session's id."""
    click.echo(f"\n{click.style(question, bold=True)}\n", color=sys.stdout.isatty())
    printer = AnswerPrinter()
    async with ServerClient(stack.url) as client:
        await client.log_in(stack.username, stack.password)
        async for event in client.ask(AskRequest(question=question)):
            printer.show(event)
    if printer.answer is None:
        raise ServerError(printer.error or "the answer broke off")
    return printer.answer.session_id


def _say_how_to_go_on(stack: Stack, cluster: Cluster, session: str | None) -> None:
    login = f"-d username={stack.username} -d {shlex.quote('password=' + stack.password)} {stack.url}/v1/auth/token"
    token = f'$(curl -s {login} | sed \'s/.*"access_token":"\\([^"]*\\).*/\\1/\')'
    body = '{"question": "Show me its logs"' + (f', "session_id": "{session}"' if session else "") + "}"
    lines = [
        "",
        f"API docs   {stack.url}/docs",
        f"Log in     {stack.username} / {stack.password}",
        f'Follow up  curl -s {stack.url}/v1/ask -H "Authorization: Bearer {token}"'
        f" -H 'Content-Type: application/json' -d '{body}'",
        f"Chat       KUBETRIAGE_PASSWORD={shlex.quote(stack.password)} .venv/bin/kubetriage chat"
        f" --server {stack.url} --user {stack.username}",
    ]
    if cluster.bundle is not None:
        lines.append("Your own   make run CLUSTER=<kubeconfig context>")
    lines.append("Stop       Ctrl-C")
    click.echo("\n".join(lines))


def _say(line: str) -> None:
    click.echo(f"  {line}", err=True)
