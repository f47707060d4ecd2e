"""What every section of the benchmarks uses: the places, a process's wall time and memory, a row of the table."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLE = "samples/shop.tar.gz"
STARTER = str(Path(sys.executable).with_name("kubetriage"))
RUNS = 5


def wall(*command: str) -> float:
    """Median seconds of a whole process."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def row(what: str, figure: str, beside: str, ratio: float) -> None:
    print(f"| {what} | {figure} | {beside} | {ratio:.2f} |", flush=True)


def resident(pid: int) -> float:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
