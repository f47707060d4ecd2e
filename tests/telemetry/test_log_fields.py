"""docs/logging.md beside what the three services really write."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import redis
import yaml

from agent_service.memory.checkpointer import PREFIX
from tests.agent.support import VENDOR_KEY, Vendor, running_vendor, start_agent
from tests.gateway.support import add_users, bearer, log_in, start_gateway
from tests.processes import ROOT, RedisServer, RunningService, eventually, free_port, send, start_service, stop

PAGE = (ROOT / "docs/logging.md").read_text()
ECS = re.compile(r"@timestamp|message|[a-z_]+(\.[a-z_]+)+")

Lines = dict[str, list[dict[str, Any]]]


def table(heading: str) -> list[list[str]]:
    """The cells of the rows below a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


FIELDS = {name.strip("`"): set(services.split(", ")) for name, services, _ in table("Fields")}
QUERIES = [(kql.strip("`"), logql.strip("`")) for _, kql, logql in table("Queries")]


def written(running: RunningService) -> list[dict[str, Any]]:
    return [json.loads(line) for line in running.log.read_text().splitlines()]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lines]:
    """By service, after questions that went well, without the model, and badly. There is no Chroma."""
    folder = tmp_path_factory.mktemp("logs")
    store = RedisServer(free_port(), folder)
    chroma = f"http://127.0.0.1:{free_port()}"
    with running_vendor() as vendor:
        model = {"model": "test-model", "openai_base_url": f"{vendor}/v1", "openai_api_key": VENDOR_KEY}
        agent = start_agent(folder, store.url, chroma_url=chroma, **model)
        gateway = start_gateway(folder, store.url, agent.url)
        ingest = start_service("rag_ingest", "KUBETRIAGE_INGEST_", folder, {"chroma_url": chroma, "watch": 1})
        try:
            asyncio.run(happens(store, vendor, gateway, agent, ingest))
            yield {"gateway": written(gateway), "agent": written(agent), "ingest": written(ingest)}
        finally:
            for running in (gateway, agent, ingest):
                running.end()
            stop(store.process)


async def happens(
    store: RedisServer, vendor_url: str, gateway: RunningService, agent: RunningService, ingest: RunningService
) -> None:
    await add_users(store.url)
    async with aiohttp.ClientSession() as http:
        vendor, ada = Vendor(vendor_url, http), bearer(await log_in(http, gateway.url))

        async def ask(request_id: str, session: str | None = None, **headers: str) -> str:
            body = {"question": "Show me the logs of payments", "session_id": session}
            sent = {**ada, "X-Request-ID": request_id, **headers}
            reply = await send(http, "POST", f"{gateway.url}/v1/ask", json=body, headers=sent)
            assert reply.status == 200, reply.body
            return str(reply.headers["X-Session-ID"])

        tools = [["get_pod_logs", {"name": "payments", "namespace": "shop"}], ["describe_pod", {"name": "nobody"}]]
        await vendor.plays({"calls": tools}, {"text": "payments is OOMKilled"})
        session = await ask("went-well")
        await vendor.plays({"status": 500})
        await ask("without-model")
        with redis.Redis.from_url(store.url) as client:
            for key in client.scan_iter(f"{PREFIX}*{session}*", _type="hash"):
                client.hset(key, mapping=dict.fromkeys(client.hkeys(key), b"\xc1 is no msgpack"))
        await ask("went-badly", session, Accept="text/event-stream")

        async def told() -> bool:
            texts = [running.log.read_text() for running in (gateway, agent)]
            return all(text.count('"http.request.id":"went-badly"') for text in texts) and (
                "ingest failed" in ingest.log.read_text()
            )

        await eventually(told, 30)


def test_every_field_of_the_page_is_written_by_whom_it_says(lines: Lines) -> None:
    real = {service: set().union(*map(set, found)) for service, found in lines.items()}
    missing = [
        f"{name} of {service}" for name, services in FIELDS.items() for service in services if name not in real[service]
    ]
    assert not missing


def test_every_field_that_is_written_is_on_the_page(lines: Lines) -> None:
    unknown = defaultdict(set)
    for service, found in lines.items():
        for line in found:
            for name in line:
                assert ECS.fullmatch(name), f"{name} is no name of ECS: {line}"
                # The gateway's stack is told in words; what else is ours has one sentence for all.
                if service not in FIELDS.get(name, ()) and not name.startswith("kubetriage."):
                    unknown[name].add(service)
    assert not unknown


def test_three_lines_tell_of_one_question(lines: Lines) -> None:
    def of(service: str, dataset: str) -> dict[str, Any]:
        (line,) = (
            one
            for one in lines[service]
            if one.get("http.request.id") == "went-well" and one.get("event.dataset") == dataset
        )
        return line

    asked, answered, question = of("gateway", "access"), of("agent", "access"), of("agent", "question")
    assert asked["trace.id"] == answered["trace.id"] == question["trace.id"]
    assert (asked["http.route"], asked["http.response.status_code"], asked["user.name"]) == ("/v1/ask", 200, "ada")
    assert asked["event.duration"] > question["event.duration"] > 1_000_000, "nanoseconds"
    assert (question["event.outcome"], question["kubetriage.run.status"]) == ("success", "completed")
    assert question["kubetriage.run.tools"] == ["get_pod_logs", "describe_pod"]
    assert question["kubetriage.run.tools_failed"] == ["describe_pod"]
    assert question["user.name"] == "ada"


def test_a_question_that_went_badly_has_its_stack_and_its_outcome(lines: Lines) -> None:
    found = [one for one in lines["agent"] if one.get("http.request.id") == "went-badly"]
    (broken,) = (one for one in found if "error.stack_trace" in one)
    assert (broken["message"], broken["error.code"], broken["log.level"]) == ("run failed", "internal_error", "error")
    assert "Traceback" in broken["error.stack_trace"]
    (question,) = (one for one in found if one.get("event.dataset") == "question")
    assert (question["event.outcome"], question["kubetriage.run.status"]) == ("failure", "error")
    (degraded,) = (one for one in lines["agent"] if "model" in one.get("kubetriage.run.degraded", ()))
    assert (degraded["http.request.id"], degraded["kubetriage.run.status"]) == ("without-model", "degraded")


def test_queries_ask_for_fields_that_exist_and_both_for_the_same() -> None:
    # Loki's `json` makes underscores of what a label may not hold.
    labels = {re.sub(r"\W", "_", name): name for name in FIELDS}
    asked = set()
    for kql, logql in QUERIES:
        unquoted = re.sub(r'"[^"]*"', '""', kql)
        fields = set(re.findall(r"([a-z_][\w.]*)(?=:| [<>])", unquoted))
        assert fields <= set(FIELDS), kql
        selector, parse, *filters = logql.split(" | ")
        assert selector == '{app="kubetriage"}'
        if parse == "json":
            found = {labels[name] for name in re.findall(r"\b([a-z_]\w*) ?(?:=~|!=|>=|=|>)", " ".join(filters))}
        else:
            (path,) = re.findall(r'=\"\[\\"([\w.]+)\\"\]\"', parse)
            found = {path}
        assert found, logql
        assert found <= fields, f"{logql} is not {kql}"
        asked |= fields
    # What is on every line, or is shown and not asked for.
    assert set(FIELDS) - asked == {"@timestamp", "ecs.version"}


def test_snippets_can_be_read() -> None:
    snippets = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in snippets] == ["yaml", "yaml", "toml", "alloy"]
    read = {"yaml": yaml.safe_load, "toml": tomllib.loads}
    for language, text in snippets:
        if language in read:
            assert isinstance(read[language](text), dict)
        else:  # nothing reads it here
            assert text.count("{") == text.count("}")
