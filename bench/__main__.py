"""`make bench`: how fast and how heavy, each figure beside something that ran on the same machine just then.

Prints Markdown tables; `python -m bench gateway` prints those of one section. Wall times are the median of
several runs; ratios are what to compare between machines.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from bench.figures import ROOT, SAMPLE, STARTER, resident, row, wall
from bench.gateway import measure_gateway
from kubetriage.cli.processes import choose_port
from kubetriage.cli.stack import Cluster, Stack, run_stack
from kubetriage.contracts.identity import InternalClaims
from kubetriage.safety.internal_tokens import sign_internal

SECONDS = 4.0  # of each load
UNLIMITED = "1000000/minute"
READ_BUNDLE = """
import json, tarfile
with tarfile.open("samples/shop.tar.gz") as bundle:
    for member in bundle:
        if member.name.endswith(".json"):
            json.load(bundle.extractfile(member))
"""


def measure_processes() -> None:
    python = wall(sys.executable, "-c", "pass")
    parsed = wall(sys.executable, "-c", READ_BUNDLE)
    for name, command in {
        "kubetriage --help": (STARTER, "--help"),
        "import gateway.app": (sys.executable, "-c", "import gateway.app"),
        "import agent_service.app": (sys.executable, "-c", "import agent_service.app"),
        "import rag_ingest.service": (sys.executable, "-c", "import rag_ingest.service"),
    }.items():
        seconds = wall(*command)
        row(name, f"{seconds:.2f} s", f"python -c pass: {python:.2f} s", seconds / python)
    beside = f"parsing its JSON in a bare Python: {parsed:.2f} s"
    for name, arguments in {
        "diagnose the sample": ("diagnose", "--bundle", SAMPLE),
        "ask about the sample": ("ask", "Why is checkout failing?", "--bundle", SAMPLE),
    }.items():
        seconds = wall(STARTER, *arguments)
        row(name, f"{seconds:.2f} s", beside, seconds / parsed)


async def load(connections: int, call: Callable[[], Awaitable[int]]) -> tuple[float, float]:
    """(requests per second, median milliseconds) of calls that must answer 200."""
    times: list[float] = []
    end = time.perf_counter() + SECONDS

    async def worker() -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            status = await call()
            if status != 200:
                raise RuntimeError(f"answered {status}")
            times.append(time.perf_counter() - began)

    await call()
    await asyncio.gather(*(worker() for _ in range(connections)))
    return len(times) / SECONDS, statistics.median(times) * 1000


def read_key(state: Path) -> str:
    return (state / "internal-key").read_text().strip()


def resident_of_bare_python() -> float:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bare:
        time.sleep(1)
        memory = resident(bare.pid)
        bare.kill()
    return memory


async def measure_services(state: Path) -> None:
    for limit in ("USER", "ASK", "ADDRESS"):
        os.environ[f"KUBETRIAGE_GATEWAY_LIMIT_{limit}"] = UNLIMITED
    os.environ["KUBETRIAGE_GATEWAY_LOG_LEVEL"] = os.environ["KUBETRIAGE_AGENT_LOG_LEVEL"] = "WARNING"
    async with run_stack(state, Cluster(bundle=ROOT / SAMPLE), lambda line: print(line, file=sys.stderr)) as stack:
        children = {child.name: child for child in stack.processes.children}
        own = await asyncio.to_thread(resident_of_bare_python)
        for name in ("gateway", "agent"):
            memory = resident(children[name].process.pid)
            row(f"RSS of the {name}, idle", f"{memory:.0f} MiB", f"a bare Python: {own:.0f} MiB", memory / own)
        await measure_calls(stack, children["agent"].port, read_key(state))
        for name in ("gateway", "agent", "redis", "chroma"):
            row(f"RSS of {name}, after the load", f"{resident(children[name].process.pid):.0f} MiB", "", 0)


async def measure_calls(stack: Stack, agent_port: int, key: str) -> None:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=100)) as http:
        form = {"username": stack.username, "password": stack.password}
        async with http.post(f"{stack.url}/v1/auth/token", data=form) as answer:
            public = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}

        def call(url: str, body: dict[str, str], internal: bool) -> Callable[[], Awaitable[int]]:
            async def send() -> int:
                claims = InternalClaims(subject="bench", request_id="bench")
                headers = {"Authorization": f"Bearer {sign_internal(claims, key)}"} if internal else public
                async with http.post(url, json=body, headers=headers) as answer:
                    await answer.read()
                    return answer.status

            return send

        direct = f"http://127.0.0.1:{agent_port}/internal/v1"
        for path, body in {"search": {"query": "OOMKilled"}, "diagnose": {"namespace": "shop"}}.items():
            for connections in (1, 16):
                beside, beside_ms = await load(connections, call(f"{direct}/{path}", body, internal=True))
                through, through_ms = await load(connections, call(f"{stack.url}/v1/{path}", body, internal=False))
                row(
                    f"{path} through the gateway, {connections} connections",
                    f"{through:.0f}/s, {through_ms:.1f} ms",
                    f"the agent directly: {beside:.0f}/s, {beside_ms:.1f} ms",
                    through / beside,
                )


LIST_ALL = """
import asyncio, sys
from kubetriage.cluster import connect
from kubetriage.contracts.diagnosis import Scope
from kubetriage.diagnosis import resources_needed
from kubetriage.investigation import read_snapshot
async def main():
    reader = await connect()
    await read_snapshot(reader, resources_needed(Scope()), None)
    await reader.aclose()
asyncio.run(main())
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: bench
clusters: [{{name: bench, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: bench, user: {{}}}}]
contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]
"""


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, bytes]:
    """(seconds, peak MiB, output) of a process."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[:3]} ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024, output


def measure_size(pods: int, folder: Path) -> float:
    """Diagnoses a cluster of ``pods`` pods as a process; its seconds."""
    port = choose_port(19000)
    server = subprocess.Popen([sys.executable, "-m", "bench.large_cluster", str(port), str(pods)], cwd=ROOT)
    try:
        told = wait_for(f"http://127.0.0.1:{port}/bench")
        config = folder / "kubeconfig"
        config.write_text(KUBECONFIG.format(port=port))
        environment = {**os.environ, "KUBECONFIG": str(config)}
        command = [STARTER, "diagnose", "-A", "-o", "json"]
        measured(command, environment)  # the server renders its pages at the first request
        before = wait_for(f"http://127.0.0.1:{port}/bench")["requests"]
        seconds, peak, output = measured(command, environment)
        requests = wait_for(f"http://127.0.0.1:{port}/bench")["requests"] - before
        listing, *_ = measured([sys.executable, "-c", LIST_ALL], environment)
        roots = [one["root_cause"] for one in json.loads(output)["incidents"]]
        found = {(one["cause"], object_of(one["object"])) for one in roots}
        wanted = {tuple(fault) for fault in told["faults"]}
        right = f"{len(found & wanted)} of {len(wanted)} faults, {len(found - wanted)} wrong"
        row(
            f"{told['pods']} pods: {right}, {requests} requests, {peak:.0f} MiB",
            f"{seconds:.2f} s",
            f"reading it and doing nothing: {listing:.2f} s",
            seconds / listing,
        )
        return seconds
    finally:
        server.kill()
        server.wait()


def object_of(about: dict[str, str]) -> str:
    return f"{about.get('namespace')}/{about['kind'].lower()}/{about['name']}"


def wait_for(url: str) -> Any:
    """The JSON at ``url``, once it is there."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


def measure_scale(folder: Path) -> None:
    small, large = measure_size(500, folder), measure_size(5000, folder)
    row("slope from 500 to 5,000 pods", f"{(large - small) / 4500 * 1000:.2f} ms per pod", "", large / small)


def in_folder(measure: Callable[[Path], None]) -> Callable[[], None]:
    """``measure`` with a folder of its own."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder))

    return run


SECTIONS: dict[str, Callable[[], None]] = {
    "processes": measure_processes,
    "scale": in_folder(measure_scale),
    "services": in_folder(lambda folder: asyncio.run(measure_services(folder))),
    "gateway": lambda: asyncio.run(measure_gateway()),
}


def main() -> None:
    """All sections, or those that are named."""
    wanted = sys.argv[1:] or list(SECTIONS)
    unknown = set(wanted) - SECTIONS.keys()
    if unknown:
        sys.exit(f"bench: {', '.join(sorted(unknown))}: not one of {', '.join(SECTIONS)}")
    if set(wanted) != {"gateway"}:
        print("| What | Figure | Beside | Ratio |\n|---|---|---|---|")
    for name in wanted:
        SECTIONS[name]()


if __name__ == "__main__":
    main()
