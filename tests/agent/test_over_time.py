"""What the agent says of a cluster over time: new, ongoing and resolved incidents, a team's rules and mutes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from agent_service.diagnosing import Diagnoser
from agent_service.memory.baselines import RedisBaselines
from agent_service.scoped_reader import ScopedReader
from kubetriage.cluster import open_bundle
from kubetriage.contracts.diagnosis import Diagnosis, Scope
from kubetriage.redis_connection import connect_redis
from tests.agent.support import SAMPLE, ask, headers, start_agent
from tests.processes import KEY, RedisServer, RunningService, send, stop

HOUR = 3600.0
SHOP = Scope(cluster="sample", namespace="shop")
RULE = """
cause: acme_missing_team_label
title: Workload names no team
kind: Deployment
when: missing(metadata.labels["acme.example/team"])
message: "{name} names no team"
severity: low
runbook: https://wiki.acme.example/team-label
"""


@pytest.fixture
async def redis(shared_redis: RedisServer) -> AsyncIterator[Redis]:
    client = connect_redis(shared_redis.url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def sample() -> AsyncIterator[ScopedReader]:
    reader = ScopedReader(open_bundle(SAMPLE))
    yield reader
    await reader.aclose()


def diagnosis(*, at: float = 0) -> Diagnosis:
    return Diagnosis.model_validate(
        {
            "outcome": "no_fault_found",
            "summary": "",
            "scope": SHOP,
            "collected_at": datetime.fromtimestamp(at, UTC),
        }
    )


async def times_of(baselines: RedisBaselines, *moments: float) -> list[float | None]:
    """The times of the diagnoses that are compared with at these moments."""
    found = [await baselines.before(SHOP, None, now) for now in moments]
    return [one.collected_at.timestamp() if one is not None and one.collected_at is not None else None for one in found]


async def test_the_baseline_is_at_least_a_window_old_or_the_oldest_there_is(redis: Redis) -> None:
    baselines = RedisBaselines(redis, window_seconds=HOUR)
    assert await times_of(baselines, 0.0) == [None]
    for at in (1000.0, 1010.0, 3000.0, 5000.0):
        await baselines.keep(diagnosis(at=at), None, at)
    assert await times_of(baselines, 5000.0, 6700.0, 9000.0) == [1000.0, 3000.0, 5000.0]


async def test_what_is_kept_stays_small_however_often_one_asks(redis: Redis) -> None:
    baselines = RedisBaselines(redis, window_seconds=HOUR)
    for at in range(0, 100_000, 60):
        await baselines.keep(diagnosis(at=at), None, float(at))
    (key,) = await redis.keys("kubetriage:baseline:*")
    assert await redis.llen(key) <= 6
    assert 0 < await redis.ttl(key) <= 30 * 86400


async def test_callers_with_other_rights_and_other_scopes_have_baselines_of_their_own(redis: Redis) -> None:
    baselines = RedisBaselines(redis)
    await baselines.keep(diagnosis(at=1), ("shop", "reports"), 1.0)
    assert await baselines.before(SHOP, ("reports", "shop"), 2.0)
    assert await baselines.before(SHOP, ("shop",), 2.0) is None
    assert await baselines.before(SHOP, None, 2.0) is None
    assert await baselines.before(SHOP.model_copy(update={"namespace": None}), ("shop", "reports"), 2.0) is None


async def test_a_damaged_baseline_is_none(redis: Redis) -> None:
    baselines = RedisBaselines(redis)
    await baselines.keep(diagnosis(at=1), None, 1.0)
    (key,) = await redis.keys("kubetriage:baseline:*")
    await redis.lset(key, 0, b"1000:nonsense")
    assert await baselines.before(SHOP, None, 2.0) is None


async def test_incidents_are_new_ongoing_and_resolved(redis: Redis, sample: ScopedReader) -> None:
    diagnoser = Diagnoser(baselines=RedisBaselines(redis))
    scope = Scope(cluster=sample.name)
    first = await diagnoser.diagnose(sample, scope)
    assert {one.status for one in first.incidents} == {None}, "the first time there is nothing to compare with"
    await redis.flushdb()

    over = first.incidents[0].model_copy(update={"id": "gone", "rank": 1})
    root = over.root_cause.model_copy(update={"cause": "crash_loop"})
    over = over.model_copy(update={"root_cause": root})
    kept = first.model_copy(update={"incidents": (over, *first.incidents[1:])})
    await RedisBaselines(redis).keep(kept, None, datetime.now(UTC).timestamp() - HOUR)

    second = await diagnoser.diagnose(sample, scope)
    assert [(one.root_cause.cause, one.status) for one in second.incidents] == [
        ("oom_killed", "new"),
        ("image_not_found", "ongoing"),
        ("crash_loop", "resolved"),
    ]
    assert second.compared_with == first.collected_at


async def test_without_redis_the_diagnosis_comes_unmarked(own_redis: RedisServer, sample: ScopedReader) -> None:
    failures: list[int] = []
    client = connect_redis(own_redis.url, timeout_seconds=0.3)
    stop(own_redis.process)
    diagnoser = Diagnoser(baselines=RedisBaselines(client), on_memory_failure=lambda: failures.append(1))
    found = await diagnoser.diagnose(sample, Scope())
    assert [one.status for one in found.incidents] == [None, None]
    assert failures == [1]
    await client.aclose()


@pytest.fixture
def team(shared_redis: RedisServer, tmp_path: Path) -> Iterator[RunningService]:
    (tmp_path / "rules.yaml").write_text(RULE)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    (tmp_path / "mutes.yaml").write_text(
        "mutes:\n- cause: image_not_found\n  reason: waits for OPS-412\n"
        f"  until: {tomorrow}\n- cause: acme_missing_team_label\n  object: '*/web*'\n"
        f"  reason: next sprint\n  until: {tomorrow}\n"
    )
    rules, mutes = tmp_path / "rules.yaml", tmp_path / "mutes.yaml"
    running = start_agent(tmp_path, shared_redis.url, rules=rules, mutes=mutes)
    yield running
    running.end()


async def test_the_service_knows_a_teams_rules_and_mutes(http: aiohttp.ClientSession, team: RunningService) -> None:
    reply = await send(http, "POST", f"{team.url}/internal/v1/diagnose", json={}, headers=headers(None))
    causes = [one["root_cause"]["cause"] for one in reply.json["incidents"]]
    assert causes[0] == "oom_killed"
    assert "acme_missing_team_label" in causes
    assert "image_not_found" not in causes
    assert reply.json["own_causes"] == ["acme_missing_team_label"]
    assert "image_not_found" in [one["incident"]["root_cause"]["cause"] for one in reply.json["muted"]]
    answer = (await ask(http, team, "What is broken?", session="s_team0001")).json["answer"]
    assert "- muted until" in answer
    assert "waits for OPS-412" in answer


@pytest.mark.parametrize(
    ("setting", "text", "told"),
    [
        ("RULES", "cause: [", "rules.yaml: line 1"),
        ("MUTES", "mutes:\n- cause: oom_kiled\n  reason: x\n  until: 2026-12-31\n", "no cause 'oom_kiled'"),
    ],
)
def test_a_wrong_file_ends_the_start_with_one_line(tmp_path: Path, setting: str, text: str, told: str) -> None:
    path = tmp_path / f"{setting.lower()}.yaml"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "agent_service"],
        env={
            **os.environ,
            "PYTHONPATH": ".",
            "KUBETRIAGE_AGENT_INTERNAL_KEY": KEY,
            f"KUBETRIAGE_AGENT_{setting}": str(path),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
