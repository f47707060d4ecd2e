"""``kubetriage completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script: eval "$(kubetriage completion bash)"."""
    from kubetriage.cli.main import cli  # noqa: PLC0415 - main imports us

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(cli, {}, "kubetriage", "_KUBETRIAGE_COMPLETE").source())
