"""What the gateway is measured with: an instant upstream, Redis, the gateway itself, and LiteLLM's proxy.

The gateway and LiteLLM run from virtual environments of their own, outside the checkout: what the development
environment has besides would be imported, too.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from bench.figures import ROOT, SAMPLE, STARTER
from gateway.users import new_password, open_users
from kubetriage.cli.processes import Child, Processes, choose_port, find_redis

LITELLM = "litellm[proxy]==1.106.2"
MASTER_KEY = "sk-bench"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubetriage-bench"
_KEY = "k" * 48
_LITELLM_CONFIG = """
model_list:
  - model_name: instant
    litellm_params: {{model: openai/instant, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false}}
"""


def environment(name: str, *requirements: str) -> Path:
    """The ``bin`` of a virtual environment with these arguments of pip's install. CalledProcessError, OSError."""
    folder = _CACHE / name
    done = folder / "installed"
    if not done.exists():
        uv, python = str(Path(sys.executable).with_name("uv")), str(folder / "bin" / "python")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        command = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *requirements]
        subprocess.run(command, check=True)
        done.touch()
    return folder / "bin"


def gateway_environment() -> Path:
    """The pins of the gateway's image."""
    pins = ROOT / "requirements" / "gateway.txt"
    version = hashlib.sha256(pins.read_bytes()).hexdigest()[:12]
    return environment(f"gateway-{version}", "--require-hashes", "-r", str(pins))


async def _started(
    processes: Processes, name: str, command: list[str], port: int, **variables: str
) -> tuple[Child, float]:
    """A process that listens, and after how many seconds."""
    began = time.perf_counter()
    child = await processes.start(name, command, port=port, environment=variables)
    await processes.listening(child, 180)
    return child, time.perf_counter() - began


async def start_upstream(processes: Processes, folder: Path) -> int:
    """Its port. It answers a diagnosis with the sample's real one."""
    diagnosis, port = folder / "diagnosis.json", choose_port(18090)
    diagnosis.write_bytes(await asyncio.to_thread(_diagnose_sample))
    await _started(
        processes, "upstream", [sys.executable, "-m", "bench.instant_upstream", str(port), str(diagnosis)], port
    )
    return port


def _diagnose_sample() -> bytes:
    command = [STARTER, "diagnose", "--bundle", SAMPLE, "-o", "json"]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


async def start_redis(processes: Processes, folder: Path) -> str:
    """Its URL; persistent, as every deployment of ours has it."""
    port = choose_port(16390)
    command = [find_redis(), "--port", str(port), "--save", "", "--appendonly", "yes", "--dir", str(folder)]
    await _started(processes, "redis", command, port)
    return f"redis://127.0.0.1:{port}/0"


async def start_gateway(processes: Processes, redis_url: str, upstream: int) -> tuple[Child, float]:
    """One gateway, and after how many seconds it accepted connections."""
    python, port = await asyncio.to_thread(gateway_environment) / "python", choose_port(18080)
    settings = {
        "PORT": str(port),
        "REDIS_URL": redis_url,
        "AGENT_URL": f"http://127.0.0.1:{upstream}",
        "INTERNAL_KEY": _KEY,
        **{f"LIMIT_{name}": "1000000000/minute" for name in ("USER", "ASK", "ADDRESS")},
        # The load leaves no core to Redis: slow is not stalled.
        "REDIS_TIMEOUT_SECONDS": "2",
    }
    variables = {f"KUBETRIAGE_GATEWAY_{name}": value for name, value in settings.items()} | {"PYTHONPATH": str(ROOT)}
    return await _started(processes, "gateway", [str(python), "-m", "gateway"], port, **variables)


async def log_in(port: int, redis_url: str) -> str:
    """An access token of a new user."""
    form = {"username": "bench", "password": new_password()}
    async with open_users(redis_url) as users:
        await users.create(form["username"], form["password"])
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://127.0.0.1:{port}/v1/auth/token", data=form) as answer,
    ):
        return str((await answer.json())["access_token"])


async def start_litellm(processes: Processes, folder: Path, upstream: int) -> tuple[Child, float]:
    """LiteLLM's proxy, and after how many seconds it accepted connections. CalledProcessError, OSError,
    ProcessFailedError."""
    found = await asyncio.to_thread(environment, f"litellm-{LITELLM.partition('==')[2]}", LITELLM)
    config, port = folder / "litellm.yaml", choose_port(14000)
    config.write_text(_LITELLM_CONFIG.format(port=upstream, key=MASTER_KEY))
    command = [str(found / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    # Its list of prices is read from the package: there may be no network.
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    return await _started(processes, "litellm", [*command, "--num_workers", "1"], port, **quiet)
