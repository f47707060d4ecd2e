"""The whole product on one machine: redis-server, Chroma, agent and gateway as processes on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kubetriage.cli.processes import Child, Processes, ProcessFailedError, choose_port, find_chroma, find_redis

USER = "admin"
_PORTS = {"gateway": 8080, "agent": 8081, "redis": 16379, "chroma": 18000}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Which cluster the agent reads: a bundle, or a kubeconfig context (None: the current one)."""

    bundle: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What runs, and how to get in."""

    url: str
    redis_url: str
    chroma_url: str
    username: str
    password: str
    processes: Processes


@asynccontextmanager
async def run_stack(state: Path, cluster: Cluster, say: Say) -> AsyncIterator[Stack]:
    """Starts everything, with its data below ``state``; leaving the context ends every process.

    Raises ProcessFailedError with one clear line when a part is missing or does not start.
    """
    key = _prepare(state)
    ports = {name: choose_port(preferred) for name, preferred in _PORTS.items()}
    redis_url = f"redis://127.0.0.1:{ports['redis']}/0"
    chroma_url = f"http://127.0.0.1:{ports['chroma']}"
    async with Processes(state / "logs") as processes:
        say("starting redis-server, Chroma, the agent and the gateway")
        redis = await _start_redis(processes, state, ports["redis"])
        chroma = await processes.start(
            "chroma",
            [
                find_chroma(),
                "run",
                "--path",
                str(state / "chroma"),
                "--host",
                "127.0.0.1",
                "--port",
                str(ports["chroma"]),
            ],
            port=ports["chroma"],
        )
        agent = await _start_agent(processes, ports["agent"], redis_url, chroma_url, key, cluster)
        gateway = await processes.start(
            "gateway",
            [sys.executable, "-m", "gateway"],
            port=ports["gateway"],
            environment={
                "KUBETRIAGE_GATEWAY_PORT": str(ports["gateway"]),
                "KUBETRIAGE_GATEWAY_REDIS_URL": redis_url,
                "KUBETRIAGE_GATEWAY_AGENT_URL": f"http://127.0.0.1:{ports['agent']}",
                "KUBETRIAGE_GATEWAY_INTERNAL_KEY_FILE": str(key),
            },
        )
        await processes.listening(redis)
        password, ingested, *_ = await asyncio.gather(
            _first_user(redis_url, state / "password"),
            _ingest(processes, chroma, chroma_url, state / "chroma"),
            processes.listening(agent),
            processes.listening(gateway),
        )
        say(f"runbooks: {ingested}")
        yield Stack(
            url=f"http://127.0.0.1:{ports['gateway']}",
            redis_url=redis_url,
            chroma_url=chroma_url,
            username=USER,
            password=password,
            processes=processes,
        )


def _prepare(state: Path) -> Path:
    """Makes the folders; the path of the key that the services share."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("redis", "chroma"):
        (state / name).mkdir(exist_ok=True)
    key = state / "internal-key"
    _keep_secret(key, secrets.token_urlsafe(48))
    return key


async def _start_redis(processes: Processes, state: Path, port: int) -> Child:
    options = {
        "--port": str(port),
        "--bind": "127.0.0.1",
        "--dir": str(state / "redis"),
        "--appendonly": "yes",  # users and sessions outlive a restart
        "--save": "",
        "--daemonize": "no",
    }
    return await processes.start(
        "redis", [find_redis(), *(part for pair in options.items() for part in pair)], port=port
    )


async def _start_agent(
    processes: Processes, port: int, redis_url: str, chroma_url: str, key: Path, cluster: Cluster
) -> Child:
    environment = {
        "KUBETRIAGE_AGENT_PORT": str(port),
        "KUBETRIAGE_AGENT_REDIS_URL": redis_url,
        "KUBETRIAGE_AGENT_CHROMA_URL": chroma_url,
        "KUBETRIAGE_AGENT_INTERNAL_KEY_FILE": str(key),
    }
    if cluster.bundle is not None:
        environment["KUBETRIAGE_AGENT_BUNDLE"] = str(cluster.bundle.resolve())
    elif cluster.context is not None:
        environment["KUBETRIAGE_AGENT_CONTEXTS"] = cluster.context
    return await processes.start("agent", [sys.executable, "-m", "agent_service"], port=port, environment=environment)


async def _ingest(processes: Processes, chroma: Child, chroma_url: str, data: Path) -> str:
    """What there is to say about the runbooks. In a process of its own: embedding keeps a core busy."""
    stamp, wanted = data / "bundled-runbooks", await asyncio.to_thread(_identity_of_runbooks)
    if _is_stamped(stamp, wanted):
        return "unchanged since the last start"
    await processes.listening(chroma)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rag_ingest",
        "--chroma",
        chroma_url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    said, complained = await process.communicate()
    if process.returncode != 0:
        # Everything but the runbooks works without them.
        lines = complained.decode(errors="replace").strip().splitlines() or ["unknown reason"]
        return f"could not be ingested: {lines[-1]}"
    stamp.write_text(wanted)
    return said.decode().strip().splitlines()[-1]


def _identity_of_runbooks() -> str:
    """Of the bundled runbooks, the way they are cut and the embedder."""
    from kubetriage.retrieval.minilm import NAME, find_weights  # noqa: PLC0415 - only a start needs it
    from kubetriage.retrieval.runbooks import VERSION  # noqa: PLC0415 - see above
    from kubetriage.retrieval.searcher import bundled_folder  # noqa: PLC0415 - see above

    digest = hashlib.sha256(f"{VERSION} {NAME if find_weights() else 'bm25'}".encode())
    for path in sorted(bundled_folder().rglob("*.md")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _is_stamped(stamp: Path, wanted: str) -> bool:
    """It lies beside Chroma's data, so that it goes when they go."""
    return stamp.is_file() and stamp.read_text() == wanted


async def _first_user(redis_url: str, path: Path) -> str:
    """The password of the first user, who is made when there is none; it is kept in ``path`` for the next start."""
    from gateway.users import UserError, new_password, open_users  # noqa: PLC0415 - argon2 and redis, only here
    from kubetriage.contracts.identity import Role  # noqa: PLC0415 - see above

    password, fresh = _password(path, new_password())
    async with open_users(redis_url) as users:
        try:
            await users.create(USER, password, role=Role.ADMIN)
        except UserError as error:
            if error.code != "user_exists":
                raise ProcessFailedError(f"the first user could not be made: {error}") from error
            if fresh:  # the file was lost, the user was not
                await users.reset(USER, password)
    return password


def _password(path: Path, otherwise: str) -> tuple[str, bool]:
    """(the kept password, whether it is new)."""
    fresh = _keep_secret(path, otherwise)
    return path.read_text().strip(), fresh


def _keep_secret(path: Path, value: str) -> bool:
    """Writes ``value`` for the owner's eyes only, unless there is one already. True when it was written."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as out:
        out.write(value + "\n")
    return True
