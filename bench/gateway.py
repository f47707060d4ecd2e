"""The gateway beside LiteLLM's proxy: what each puts before the same instant upstream.

Ours with all that it does for a caller (a real token, revocation and shared quotas in a real Redis, log line, metrics,
the signed internal token, the check of the answer); LiteLLM with its master key alone. One worker each.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import resident, wall
from bench.load import Load, cpu_seconds, load
from bench.servers import LITELLM, MASTER_KEY, log_in, start_gateway, start_litellm, start_redis, start_upstream
from kubetriage.cli.processes import Child, Processes, ProcessFailedError

LEVELS = (1, 16, 64)  # connections
RUNS = 3
SECONDS, WARM_SECONDS = 4, 10  # of each load
_CALLS: dict[str, dict[str, Any]] = {
    "search": {"query": "OOMKilled"},
    "ask": {"question": "Why is checkout failing?"},
    "diagnose": {"namespace": "shop"},
}
_HEADER = """
| Connections | Through | Direct, requests/s | Requests/s | Added p50, ms | p95 | p99 | CPU, ms/request \
| × LiteLLM's rate | LiteLLM's added p50 × |
|---|---|---|---|---|---|---|---|---|---|"""
_CHAT = {"model": "instant", "messages": [{"role": "user", "content": "Why is checkout failing?"}]}


@dataclass(frozen=True, slots=True)
class Target:
    """A POST to measure, and the same POST without anything in between."""

    name: str
    url: str
    direct: str
    body: dict[str, Any]
    token: str
    pid: int


@dataclass(frozen=True, slots=True)
class Pair:
    """The upstream alone, and a moment later through a target."""

    direct: Load
    through: Load


async def _targets(processes: Processes, folder: Path) -> tuple[Target, ...]:
    """Everything started; prints how long a start takes and the memory after it."""
    upstream, redis_url = await start_upstream(processes, folder), await start_redis(processes, folder)
    seconds = []
    for run in range(RUNS - 1):
        async with Processes(folder / f"logs-{run}") as passing:
            seconds.append((await start_gateway(passing, redis_url, upstream))[1])
    ours, last = await start_gateway(processes, redis_url, upstream)
    start, python = statistics.median([*seconds, last]), wall(sys.executable, "-c", "pass")
    print("\n| | Start | of it processor time | Beside | RSS, idle |\n|---|---|---|---|---|")
    print(
        f"| gateway | {_figures(start, ours)} | a bare Python: {python:.2f} s | {resident(ours.process.pid):.0f} MiB |"
    )
    token = await log_in(ours.port, redis_url)
    direct, through = f"http://127.0.0.1:{upstream}", f"http://127.0.0.1:{ours.port}/v1"
    found = [
        Target(f"gateway, {name}", f"{through}/{name}", f"{direct}/internal/v1/{name}", body, token, ours.process.pid)
        for name, body in _CALLS.items()
    ]
    try:
        other, start = await start_litellm(processes, folder, upstream)
    except (subprocess.CalledProcessError, OSError, ProcessFailedError) as error:
        print(f"{LITELLM} is not measured: {error}", file=sys.stderr)
        return tuple(found)
    print(f"| LiteLLM | {_figures(start, other)} | | {resident(other.process.pid):.0f} MiB |")
    chat = "/v1/chat/completions"
    url = f"http://127.0.0.1:{other.port}{chat}"
    return (*found, Target("LiteLLM", url, direct + chat, _CHAT, MASTER_KEY, other.process.pid))


def _figures(start: float, child: Child) -> str:
    return f"{start:.2f} s | {cpu_seconds(child.process.pid):.2f} s"


async def _measure(targets: tuple[Target, ...]) -> dict[tuple[int, str], list[Pair]]:
    """Rounds of all targets in turn, so that whatever else the machine does meets all alike."""

    async def one(target: Target, url: str, connections: int, seconds: int = SECONDS) -> Load:
        return await load(url, target.body, target.token, connections=connections, seconds=seconds, pid=target.pid)

    pairs: dict[tuple[int, str], list[Pair]] = defaultdict(list)
    for target in targets:
        await one(target, target.url, 16, WARM_SECONDS)
    for _ in range(RUNS):
        for connections in LEVELS:
            for target in targets:
                direct = await one(target, target.direct, connections)
                through = await one(target, target.url, connections)
                pairs[connections, target.name].append(Pair(direct, through))
    return pairs


def _row(connections: int, name: str, pairs: list[Pair], other: list[Pair] | None) -> str:
    """Medians of the runs; ratios are medians of the ratios within a run."""
    rate = statistics.median(pair.through.rate for pair in pairs)
    direct = statistics.median(pair.direct.rate for pair in pairs)
    cpu = statistics.median(pair.through.cpu for pair in pairs)
    added = [
        statistics.median(getattr(pair.through, figure) - getattr(pair.direct, figure) for pair in pairs)
        for figure in ("p50", "p95", "p99")
    ]
    ratios = "|  |"
    if other:
        rates = statistics.median(a.through.rate / b.through.rate for a, b in zip(pairs, other, strict=True))
        delays = statistics.median(
            (a.through.p50 - a.direct.p50) / (b.through.p50 - b.direct.p50) for a, b in zip(pairs, other, strict=True)
        )
        ratios = f"| {rates:.1f} | {1 / delays:.1f} |"
    figures = " | ".join(f"{one:.2f}" for one in (*added, cpu))
    return f"| {connections} | {name} | {direct:.0f} | {rate:.0f} | {figures} {ratios}"


async def measure_gateway() -> None:
    """Prints Markdown tables."""
    if not shutil.which("wrk"):
        print("The gateway is not measured: there is no wrk here (apt-get install wrk)", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as name:
        async with Processes(Path(name) / "logs") as processes:
            targets = await _targets(processes, Path(name))
            pairs = await _measure(targets)
            print(_HEADER)
            for (connections, target), found in pairs.items():
                print(_row(connections, target, found, pairs.get((connections, "LiteLLM"))))
            print("\n| After the load | RSS |\n|---|---|")
            for pid, target in {one.pid: one.name.partition(",")[0] for one in targets}.items():
                print(f"| {target} | {resident(pid):.0f} MiB |")
