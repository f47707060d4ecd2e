"""``kubetriage rbac``: the rights that it needs, and which are missing in this cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from kubetriage.cli.source import open_reader, run

if TYPE_CHECKING:
    from kubetriage.contracts.diagnosis import Unreadable

MISSING = 1  # exit code


@click.group("rbac")
def command() -> None:
    """The rights that reading a cluster needs, and which are missing. Reads only."""


@command.command("check")
@click.option("-n", "--namespace", metavar="NS", help="only this namespace (default: the whole cluster)")
@click.option("--context", metavar="NAME", help="kubeconfig context (default: the current one)")
def check(namespace: str | None, context: str | None) -> None:
    """Say what the credentials in use may not read, and who would see less because of it. Exit 1 when something
    is missing.

    For a service account: kubectl create token SA | kubectl config set-credentials, or run it in its pod.
    """
    from kubetriage.cluster.rights import readable_resources, told  # noqa: PLC0415 - see main
    from kubetriage.diagnosis.rules import all_rules  # noqa: PLC0415 - see main

    gaps = run(_find(namespace, context))
    asked = len(readable_resources(cluster_wide=namespace is None)) + 2
    where = f"namespace {namespace}" if namespace else "the whole cluster"
    if not gaps:
        click.echo(f"all {asked} rights are there for {where}")
        return
    blind = {gap.resource for gap in gaps}
    rules = sorted(rule.name.replace("_", " ") for rule in all_rules() if rule.reads & blind)
    click.echo(f"missing for {where}: {len(blind)} of {asked}")
    for line in told(gaps):
        click.echo(f"  {line}")
    if rules:
        click.echo(f"so these see less: {', '.join(rules)}")
    scope = f" -n {namespace}" if namespace else ""
    click.echo(f"'kubetriage rbac role{scope} | kubectl apply -f -' makes a role that allows all of it")
    sys.exit(MISSING)


@command.command("role")
@click.option("-n", "--namespace", metavar="NS", help="a Role of this namespace (default: a ClusterRole)")
@click.option("--name", default="kubetriage-reader", show_default=True)
def role(namespace: str | None, name: str) -> None:
    """Print the role that allows exactly what a diagnosis reads: no Secrets, no wildcard, nothing but reading."""
    import yaml  # noqa: PLC0415 - see main

    from kubetriage.cluster.rights import readable_resources, role_for  # noqa: PLC0415 - see main

    made = role_for(readable_resources(cluster_wide=namespace is None), name=name, namespace=namespace)
    click.echo(yaml.safe_dump(made, sort_keys=False), nl=False)


async def _find(namespace: str | None, context: str | None) -> list[Unreadable]:
    from kubetriage.cluster.rights import find_missing_rights  # noqa: PLC0415 - see main

    async with open_reader(context, None) as reader:
        return await find_missing_rights(reader, namespace)
