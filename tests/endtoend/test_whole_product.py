"""`make run` and what it leaves running: every service for real, asked the way users ask."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.processes import ROOT, start_service

KUBETRIAGE = str(Path(sys.executable).with_name("kubetriage"))
pytestmark = pytest.mark.timeout(300)


class Product:
    """`kubetriage serve` as a process."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.lines: list[str] = []

    async def start(self) -> Product:
        command = [KUBETRIAGE, "serve", "--bundle", "samples/shop.tar.gz", "--state", str(self.state)]
        self.process = await asyncio.create_subprocess_exec(
            *command,
            "--ask",
            "Why is checkout failing?",
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        while not (self.lines and self.lines[-1].startswith("Stop")):
            assert self.process.stdout
            line = await asyncio.wait_for(self.process.stdout.readline(), 120)
            assert line, f"it ended: {self.lines}"
            self.lines.append(line.decode().rstrip())
        return self

    def told(self, label: str) -> str:
        return next(line.removeprefix(label).strip() for line in self.lines if line.startswith(label))

    @property
    def url(self) -> str:
        return self.told("API docs").removesuffix("/docs")

    async def pid_of(self, module: str) -> int:
        found = await asyncio.create_subprocess_exec(
            "pgrep", "-P", str(self.process.pid), "-f", module, stdout=asyncio.subprocess.PIPE
        )
        return int((await found.communicate())[0].split()[0])

    async def environment_of(self, module: str) -> dict[str, str]:
        pid = await self.pid_of(module)
        lines = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_text)
        return dict(line.split("=", 1) for line in lines.split("\0") if "=" in line)

    async def stop(self, *, signalled: bool = True) -> str:
        if signalled and self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        said, _ = await asyncio.wait_for(self.process.communicate(), 30)
        return said.decode()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, so that the runbooks are embedded once."""
    return tmp_path_factory.mktemp("product") / "state"


@pytest.fixture
async def product(state: Path) -> AsyncIterator[Product]:
    running = await Product(state).start()
    yield running
    await running.stop()


def children_of(state: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(state) in line and "pytest" not in line]


def test_make_run_once_shows_the_diagnosis_and_leaves_nothing_behind(state: Path) -> None:
    # As from a shell: not as a part of the `make test` that runs this.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "run", "ONCE=1", f"STATE={state}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = [line for line in done.stdout.splitlines() if line.strip()]
    assert answer[0] == "Why is checkout failing?"
    assert answer[1].startswith("Root cause: checkout fails because payments is OOMKilled (deployment/payments in shop")
    order = [done.stdout.index(part) for part in ("Root cause:", "Evidence:", "Fix:", "Runbook: oom-killed.md")]
    assert order == sorted(order)
    assert "set resources deployment/payments -c app --limits=memory=256Mi" in done.stdout
    assert re.search(r"runbooks: (\d+ runbooks, \d+ chunks: \d+ added|unchanged)", done.stderr)
    assert not children_of(state)


async def test_what_make_run_prints_works_when_pasted(product: Product) -> None:
    """The curl line asks "Show me its logs" in the session of the first question: its memory is used."""
    pasted = await asyncio.create_subprocess_exec("bash", "-c", product.told("Follow up"), stdout=subprocess.PIPE)
    said, _ = await asyncio.wait_for(pasted.communicate(), 60)
    assert b"risk model: 56 of 112 MiB loaded" in said
    async with aiohttp.ClientSession() as http, http.get(product.told("API docs")) as docs:
        assert docs.status == 200
    chat = product.told("Chat").replace(".venv/bin/kubetriage", KUBETRIAGE)
    talk = await asyncio.create_subprocess_exec("bash", "-c", chat, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said, _ = await asyncio.wait_for(talk.communicate(b"is payments healthy?\nhow do I fix it?\n"), 60)
    assert said.count(b"--limits=memory=256Mi") == 2
    assert oct((product.state / "password").stat().st_mode & 0o777) == "0o600"
    logs = "".join(path.read_text() for path in (product.state / "logs").glob("*.log"))
    assert (product.state / "password").read_text().strip() not in logs
    assert (product.state / "internal-key").read_text().strip() not in logs


async def test_a_session_outlives_kill_9_of_the_agent(product: Product) -> None:
    session = re.search(r'"session_id": "([^"]+)"', product.told("Follow up"))
    assert session
    os.kill(await product.pid_of("agent_service"), signal.SIGKILL)
    said = await product.stop(signalled=False)
    assert "agent ended by itself" in said
    assert product.process.returncode == 1
    assert not children_of(product.state)
    again = await Product(product.state).start()
    try:
        assert again.told("Log in") == product.told("Log in")
        user, _, password = again.told("Log in").partition(" / ")
        async with aiohttp.ClientSession(again.url) as http:
            form = {"username": user, "password": password}
            async with http.post("/v1/auth/token", data=form) as answer:
                token = (await answer.json())["access_token"]
            body = {"question": "show me its logs", "session_id": session[1]}
            headers = {"Authorization": f"Bearer {token}"}
            async with http.post("/v1/ask", json=body, headers=headers) as answer:
                found: dict[str, Any] = await answer.json()
            assert "risk model: 56 of 112 MiB loaded" in found["answer"]
            async with http.get(f"/v1/sessions/{session[1]}/messages", headers=headers) as answer:
                messages = (await answer.json())["messages"]
        assert [one["content"] for one in messages if one["role"] == "user"] == [
            "Why is checkout failing?",
            "show me its logs",
        ]
    finally:
        assert "stopped" in await again.stop()
    assert not children_of(product.state)


async def test_metrics_of_all_three_services_are_valid(product: Product, tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    agent = await product.environment_of("agent_service")
    settings = {"chroma_url": agent["KUBETRIAGE_AGENT_CHROMA_URL"], "watch": 1}
    agent_url = f"http://127.0.0.1:{agent['KUBETRIAGE_AGENT_PORT']}"
    ingest = start_service("rag_ingest", "KUBETRIAGE_INGEST_", tmp_path, settings)
    try:
        async with aiohttp.ClientSession() as http:
            for url in (product.url, agent_url, ingest.url):
                async with http.get(f"{url}/metrics") as answer:
                    text = await answer.read()
                    assert answer.status == 200
                checked = await asyncio.to_thread(
                    subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
                )
                assert checked.returncode == 0, (url, checked.stdout + checked.stderr)
                assert b"_build_info{" in text
    finally:
        ingest.end()
