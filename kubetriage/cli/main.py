"""``kubetriage``: the group of commands. Each command's module is imported when it is called, so that
``--help`` costs nothing but click."""

from __future__ import annotations

import importlib
from typing import Any

import click

import kubetriage

# command: (module, one line for --help). The modules define ``command``.
_COMMANDS = {
    "diagnose": ("diagnose", "Find what is wrong in a cluster or a bundle, why, and how to mend it."),
    "ask": ("ask", "Ask a question in plain words."),
    "chat": ("chat", "Ask and follow up."),
    "mcp": ("mcp", "Serve the tools to an editor or an assistant (Model Context Protocol)."),
    "explain": ("explain", "What a cause means, how it shows, and what to do."),
    "rbac": ("rbac", "The rights that it needs in a cluster, and which are missing."),
    "rules": ("rules", "A team's own rules: list and test them."),
    "search": ("search", "Find the runbook for a symptom, an alert or an error line."),
    "ingest": ("ingest", "Write runbooks to Chroma, only what changed."),
    "bundle": ("bundle", "Capture a cluster into a file (read-only, redacted)."),
    "serve": ("serve", "Run the whole product on this machine."),
    "audit": ("audit", "The gateway's audit log: verify, export."),
    "users": ("users", "The gateway's own users: add, list, disable, reset."),
    "eval": ("evaluate", "Measure the diagnosis on labelled cases."),
    "completion": ("completion", "Shell completion for bash, zsh or fish."),
}


class _Lazy(click.Group):
    """Imports a command's module only when the command is called or asked for its own help."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        rows = [(name, line) for name, (_, line) in _COMMANDS.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[cmd_name]
        found: click.Command = importlib.import_module(f"kubetriage.cli.{module}").command
        return found


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(kubetriage.__version__, prog_name="kubetriage")
def cli() -> None:
    """Finds the root cause of a Kubernetes fault, with its evidence and its fix.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the cluster or bundle could not be read.
    """


def main() -> Any:
    """The console entry point."""
    return cli(prog_name="kubetriage")
