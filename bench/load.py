"""One load: wrk's connections, each with its next request as soon as the last is answered."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """Requests per second; percentiles in milliseconds; ``cpu`` in milliseconds of the server per request."""

    rate: float
    p50: float
    p95: float
    p99: float
    cpu: float


async def load(url: str, body: dict[str, Any], token: str, *, connections: int, seconds: int, pid: int) -> Load:
    """What wrk saw, and what the process ``pid`` used.

    RuntimeError when a request failed, for a fast refusal is no speed, or when none was answered.
    """
    before = cpu_seconds(pid)
    process = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPT), url),
        env={**os.environ, "BENCH_BODY": json.dumps(body), "BENCH_AUTHORIZATION": f"Bearer {token}"},
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    used = cpu_seconds(pid) - before
    result = json.loads(output.decode().partition("\nRESULT ")[2])
    if result["failed"] or not result["requests"]:
        raise RuntimeError(f"{result['failed']} of {result['requests']} requests to {url} failed")
    requests = result["requests"]
    return Load(
        rate=requests / result["seconds"],
        p50=result["p50"],
        p95=result["p95"],
        p99=result["p99"],
        cpu=used / requests * 1000,
    )


def cpu_seconds(pid: int) -> float:
    """Processor time that the process has used so far."""
    # After the name, which may hold blanks: proc(5), fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
