"""``kubetriage mcp``."""

from __future__ import annotations

from pathlib import Path

import click

from kubetriage.cli.conversation import only_answers
from kubetriage.cli.source import open_metrics, open_reader, prometheus_options, run, source_options


@click.command("mcp")
@click.option("-n", "--namespace", metavar="NS", help="where to look when a call names no namespace")
@source_options
@prometheus_options
def command(
    namespace: str | None,
    context: str | None,
    bundle: Path | None,
    prometheus: str | None,
    prometheus_token_file: Path | None,
) -> None:
    """Serve the read-only tools to an editor or an assistant, over stdin and stdout (Model Context Protocol).

    It is started by them; see docs/openai-and-mcp.md for their settings.

    \b
    kubetriage mcp --context staging -n shop
    kubetriage mcp --bundle support-bundle.tar.gz
    """
    run(_serve(namespace, context, bundle, prometheus, prometheus_token_file))


async def _serve(
    namespace: str | None, context: str | None, bundle: Path | None, prometheus: str | None, token_file: Path | None
) -> None:
    from agent_service.local import LocalTools  # noqa: PLC0415 - LangChain costs a second that --help must not pay
    from agent_service.mcp_server import build_server, serve_stdio  # noqa: PLC0415 - see above
    from kubetriage.retrieval.searcher import open_bundled  # noqa: PLC0415 - see above

    only_answers()
    async with open_reader(context, bundle) as reader:
        metrics = open_metrics(prometheus, token_file)
        tools = LocalTools(reader, open_bundled(), namespace=namespace, metrics=metrics)
        await serve_stdio(build_server(tools.call))
