"""``kubetriage users``: the gateway's own users, in its Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click

from kubetriage.cli.conversation import fail
from kubetriage.contracts.identity import Role

_ROLES = [role.value for role in Role]


redis_option = click.option(
    "--redis",
    "redis_url",
    metavar="URL",
    envvar="KUBETRIAGE_GATEWAY_REDIS_URL",
    default="redis://127.0.0.1:6379/0",
    show_default=True,
    help="the gateway's Redis",
)


@click.group("users")
@redis_option
@click.pass_context
def command(ctx: click.Context, /, redis_url: str) -> None:
    """The gateway's own users. Passwords are kept as argon2id hashes only."""
    ctx.obj = redis_url


def _with_users(redis_url: str, work: Callable[[Any], Awaitable[None]], *, noted: str | None = None) -> None:
    """``noted``: what the audit log says of it, once it is done."""
    from gateway.audit.log import note_command  # noqa: PLC0415 - only commands that need it pay
    from gateway.store import StoreUnavailableError  # noqa: PLC0415 - only commands that need it pay
    from gateway.users import UserError, open_users  # noqa: PLC0415 - see above

    async def main() -> None:
        async with open_users(redis_url) as users:
            await work(users)
        if noted is not None:
            await note_command(redis_url, noted)

    try:
        asyncio.run(main())
    except UserError as error:
        fail(error)
    # redis-py raises its own and the system's errors.
    except Exception as error:  # noqa: BLE001
        reason = "" if isinstance(error, StoreUnavailableError) else f" ({type(error).__name__})"
        fail(f"Redis does not answer{reason}; --redis names another")


@command.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default=Role.VIEWER.value, show_default=True)
@click.option("-n", "--namespace", "namespaces", multiple=True, help="may read only these (repeat; default: all)")
@click.option("--cluster", "clusters", multiple=True, help="may read only these (repeat; default: all)")
@click.option("--password", envvar="KUBETRIAGE_PASSWORD", help="default: a random one, printed once")
@click.pass_obj
def add(
    redis_url: str, name: str, role: str, namespaces: tuple[str, ...], clusters: tuple[str, ...], password: str | None
) -> None:
    """Add a user."""
    from gateway.users import new_password  # noqa: PLC0415 - see above

    chosen = password or new_password()

    async def work(users: Any) -> None:
        user = await users.create(
            name, chosen, role=Role(role), namespaces=namespaces or None, clusters=clusters or None
        )
        click.echo(f"added {user.username} ({user.role.value})" + ("" if password else f", password {chosen}"))

    _with_users(redis_url, work, noted=f"users add {name} --role {role}")


@command.command("list")
@click.pass_obj
def list_users(redis_url: str) -> None:
    """Every user."""

    async def work(users: Any) -> None:
        for user in await users.list():
            where = "all" if user.namespaces is None else ",".join(user.namespaces) or "none"
            state = "disabled" if user.disabled else "enabled"
            click.echo(f"{user.username:24} {user.role.value:10} {state:9} namespaces {where}")

    _with_users(redis_url, work)


@command.command("disable")
@click.argument("name")
@click.option("--undo", is_flag=True, help="enable again")
@click.pass_obj
def disable(redis_url: str, name: str, *, undo: bool) -> None:
    """Shut a user out at once, whatever tokens are around."""

    async def work(users: Any) -> None:
        user = await users.disable(name, disabled=not undo)
        click.echo(f"{user.username} is {'disabled' if user.disabled else 'enabled'}")

    _with_users(redis_url, work, noted=f"users {'enable' if undo else 'disable'} {name}")


@command.command("reset")
@click.argument("name")
@click.option("--password", envvar="KUBETRIAGE_PASSWORD", help="default: a random one, printed once")
@click.pass_obj
def reset(redis_url: str, name: str, password: str | None) -> None:
    """Set a new password; every token of the user ends."""
    from gateway.users import new_password  # noqa: PLC0415 - see above

    chosen = password or new_password()

    async def work(users: Any) -> None:
        user = await users.reset(name, chosen)
        click.echo(f"{user.username} has a new password" + ("" if password else f": {chosen}"))

    _with_users(redis_url, work, noted=f"users reset {name}")
