"""Debian's real Alertmanager tells a real gateway, a real agent diagnoses the sample cluster, and a webhook is told."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.agent.support import start_agent
from tests.gateway.alerting import ALERT_KEY, FAST, WEBHOOK_KEY, Target, incident_when, notes_when, quiet, serve
from tests.gateway.support import add_users, bearer, log_in, start_gateway
from tests.processes import ROOT, RedisServer, eventually, free_port, send, stop, wait_for_port

SNIPPET = re.compile(r"```yaml\n(route:.+?)```", re.DOTALL)


def documented() -> str:
    """The configuration that docs/incidents.md shows."""
    found = SNIPPET.search((ROOT / "docs/incidents.md").read_text())
    assert found
    return found[1]


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus-alertmanager)")
    return found


def test_the_documented_configuration_is_one_that_alertmanager_takes(tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text(documented())
    checked = subprocess.run([tool("amtool"), "check-config", config], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "1 receivers" in checked.stdout


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    runner = await serve(made)
    yield made
    await runner.cleanup()


@pytest.fixture
def running(own_redis: RedisServer, target: Target, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """(URL of a gateway, URL of an Alertmanager with the documented configuration, only faster)."""
    binary = tool("prometheus-alertmanager")
    agent = start_agent(tmp_path, own_redis.url)
    told = {"slack_url": target.url, "webhook_url": target.url, "webhook_key": WEBHOOK_KEY}
    gateway = start_gateway(tmp_path, own_redis.url, agent.url, **FAST, **told)
    config: dict[str, Any] = yaml.safe_load(documented())
    config["route"] |= {"group_wait": "100ms", "group_interval": "1s"}
    (hook,) = config["receivers"][0]["webhook_configs"]
    hook["url"] = f"{gateway.url}/v1/alerts/alertmanager"
    key = tmp_path / "key"
    key.write_text(ALERT_KEY)
    hook["http_config"]["authorization"]["credentials_file"] = str(key)
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={tmp_path / 'alertmanager.yml'}",
            f"--storage.path={tmp_path / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_port(port, process)
    yield gateway.url, f"http://127.0.0.1:{port}"
    stop(process)
    gateway.end()
    agent.end()


async def test_an_alert_becomes_a_diagnosis_that_is_posted_on(
    running: tuple[str, str], own_redis: RedisServer, target: Target, http: aiohttp.ClientSession
) -> None:
    url, alertmanager = running
    await add_users(own_redis.url)
    ada = bearer(await log_in(http, url))
    now = datetime.now(UTC)
    alert = {
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "severity": "warning"},
        "annotations": {"summary": "A pod of <!channel> shop restarts"},
        "startsAt": now.isoformat(),
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up",
    }

    async def say(*alerts: dict[str, Any]) -> None:
        async with http.post(f"{alertmanager}/api/v2/alerts", json=alerts) as answer:
            assert answer.status == 200, await answer.text()

    async def incidents() -> list[dict[str, Any]]:
        reply = await send(http, "GET", f"{url}/v1/incidents", headers=ada)
        found: list[dict[str, Any]] = reply.json["incidents"]
        return found

    async def opened() -> bool:
        return bool(await incidents())

    await say(*({**alert, "labels": {**alert["labels"], "pod": f"checkout-{n}"}} for n in range(3)))
    await eventually(opened, 20)
    (listed,) = await incidents()
    found = await incident_when(http, url, ada, listed["id"], 60, diagnosis_state="done")
    assert (found["alerts"]["namespace"], found["alerts"]["name"], found["alerts"]["firing"]) == ("shop", None, 3)
    assert found["alerts"]["summary"] == "A pod of <!channel> shop restarts"
    causes = {entry["root_cause"]["cause"]: entry["root_cause"]["object"] for entry in found["diagnosis"]["incidents"]}
    assert causes["oom_killed"]["name"] == "payments"
    assert found["runbooks"][0]["path"] == "crash-loop.md"

    await notes_when(http, url, ada, listed["id"], ["sent", "sent"])
    await say(
        *(
            {
                **alert,
                "labels": {**alert["labels"], "pod": f"checkout-{n}"},
                "endsAt": (now + timedelta(0, 1)).isoformat(),
            }
            for n in range(3)
        )
    )
    await incident_when(http, url, ada, listed["id"], 30, status="resolved")
    await notes_when(http, url, ada, listed["id"], ["sent"] * 4)
    await quiet(target)
    assert target.keys_of(listed["id"]) == sorted(
        f"{listed['id']}-{version}-{kind}" for version in (1, 2) for kind in ("slack", "webhook")
    )
    diagnosed, resolved = target.documents_of(listed["id"], "slack")
    text = diagnosed["blocks"][1]["text"]["text"]
    assert "set resources deployment/payments" in text
    assert "A pod of &lt;!channel&gt; shop restarts" in text
    assert resolved["blocks"][0]["text"]["text"] == "Resolved: KubePodCrashLooping"
    assert len(await incidents()) == 1
