"""One question, one tree: the real gateway, the real agent and a real OTLP receiver."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
import pytest

from gateway.users import open_users
from tests.agent.support import VENDOR_KEY, Vendor, running_vendor, start_agent
from tests.collector import Collector, Span, running_collector, tree
from tests.gateway.support import PASSWORD, bearer, log_in, start_gateway
from tests.processes import ROOT, RedisServer, RunningService, eventually, free_port, send

COLLECTOR_KEY = "collector-key-0123456789"
USER = "countess"
ENVIRONMENT = {
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{COLLECTOR_KEY}",
    "OTEL_BSP_SCHEDULE_DELAY": "50",  # milliseconds
}


@dataclass
class Product:
    gateway: RunningService
    agent: RunningService
    collector: Collector

    async def finished(self, trace_id: str, *names: str) -> list[Span]:
        """The spans of a trace, once both services' own and those called ``names`` have arrived."""
        wanted = {"gateway SERVER", "agent SERVER", *names}

        async def complete() -> bool:
            spans = self.collector.trace(trace_id)
            return wanted <= {f"{one.service} {one.kind}" for one in spans} | {one.name for one in spans}

        await eventually(complete, seconds=20)
        return self.collector.trace(trace_id)


@pytest.fixture(scope="module")
def vendor_url() -> Iterator[str]:
    with running_vendor() as url:
        yield url


@pytest.fixture
def vendor(vendor_url: str, http: aiohttp.ClientSession) -> Vendor:
    return Vendor(vendor_url, http)


@pytest.fixture(scope="module")
def product(shared_redis: RedisServer, vendor_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    directory = tmp_path_factory.mktemp("traced")
    asyncio.run(add_user(shared_redis.url))
    with running_collector() as collector, pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}.items():
            patch.setenv(name, value)
        model = {"model": "test-model", "openai_base_url": f"{vendor_url}/v1", "openai_api_key": VENDOR_KEY}
        agent = start_agent(directory, shared_redis.url, **model)
        gateway = start_gateway(directory, shared_redis.url, agent.url)
        yield Product(gateway, agent, collector)
        gateway.end()
        agent.end()


@pytest.fixture
async def token(http: aiohttp.ClientSession, product: Product) -> dict[str, str]:
    return bearer(await log_in(http, product.gateway.url, USER))


async def add_user(redis_url: str) -> None:
    async with open_users(redis_url) as users:
        await users.create(USER, PASSWORD)


def new_caller(*, sampled: bool = True) -> tuple[str, str, dict[str, str]]:
    """(trace id, span id, headers) of a caller that traces too."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"}


def only(spans: list[Span], name: str) -> Span:
    found = [one for one in spans if one.name == name]
    assert len(found) == 1, (name, tree(spans))
    return found[0]


async def test_a_question_is_one_tree_from_the_caller_to_tools_and_model(
    http: aiohttp.ClientSession, product: Product, vendor: Vendor, token: dict[str, str]
) -> None:
    await vendor.plays(
        {"calls": [["get_pod_logs", {"name": "payments", "namespace": "shop"}]]},
        {"text": "payments is OOMKilled; raise its limit."},
    )
    trace_id, caller, traceparent = new_caller()
    body = {"question": "Why is checkout failing?"}
    url = f"{product.gateway.url}/v1/ask"
    reply = await send(http, "POST", url, json=body, headers={**token, **traceparent})
    assert reply.json["status"] == "completed"
    spans = await product.finished(trace_id)
    assert tree(spans) == [
        "gateway: SERVER POST /v1/ask",
        "  gateway: CLIENT POST",
        "    agent: SERVER POST /internal/v1/ask",
        "      agent: INTERNAL invoke_agent kubetriage",
        "        agent: INTERNAL execute_tool diagnose",
        "          agent: INTERNAL read_cluster",
        "          agent: INTERNAL read_logs",
        "          agent: INTERNAL check_rules",
        "        agent: CLIENT chat test-model",
        "        agent: INTERNAL execute_tool get_pod_logs",
        "        agent: CLIENT chat test-model",
    ]
    assert not any(one.failed for one in spans)
    request = only(spans, "POST /v1/ask")
    assert request.parent == caller
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/ask",
        "http.response.status_code": 200,
        "url.path": "/v1/ask",
        "url.scheme": "http",
        "kubetriage.request.id": reply.headers["X-Request-ID"],
    }
    run = only(spans, "invoke_agent kubetriage").attributes
    assert run["gen_ai.operation.name"] == "invoke_agent"
    assert run["gen_ai.conversation.id"] == reply.json["session_id"]
    assert run["gen_ai.request.model"] == "test-model"
    assert (run["gen_ai.usage.input_tokens"], run["gen_ai.usage.output_tokens"]) == (200, 40)
    assert (run["kubetriage.run.status"], run["kubetriage.run.steps"]) == ("completed", 3)
    chat = [one.attributes for one in spans if one.name == "chat test-model"]
    assert chat == 2 * [
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "test-model",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
        }
    ]
    assert only(spans, "execute_tool get_pod_logs").attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_pod_logs",
        "gen_ai.tool.type": "function",
    }
    assert only(spans, "read_cluster").attributes["kubetriage.objects"] > 20
    assert all(above.start <= one.start for one in spans for above in spans if one.parent == above.span_id)
    for running in (product.gateway, product.agent):
        lines = [orjson.loads(line) for line in running.log.read_bytes().splitlines()]
        found = [line for line in lines if line.get("trace.id") == trace_id and line.get("event.dataset") == "access"]
        assert len(found) == 1, "the log's trace is the trace"


async def test_nothing_that_was_asked_read_or_said_is_exported(
    http: aiohttp.ClientSession, product: Product, vendor: Vendor, token: dict[str, str]
) -> None:
    await vendor.plays(
        {"calls": [["get_pod_logs", {"name": "payments", "namespace": "shop"}], ["get_events", {}]]},
        {"text": "payments is OOMKilled; raise its limit."},
    )
    trace_id, _, traceparent = new_caller()
    body = {"question": "Why is checkout failing?", "namespace": "shop"}
    url = f"{product.gateway.url}/v1/ask?why=curiosity"
    reply = await send(http, "POST", url, json=body, headers={**token, **traceparent})
    assert "OOMKilled" in reply.json["answer"]
    await product.finished(trace_id)
    exported = b"".join(product.collector.bodies)
    assert b"execute_tool get_pod_logs" in exported, "not compressed: words would be found"
    access = token["Authorization"].removeprefix("Bearer ")
    words = ["checkout", "payments", "shop", "OOMKilled", "raise its limit", "risk model", "memory=256Mi", "curiosity"]
    for word in [*words, USER, PASSWORD, VENDOR_KEY, access, access.rpartition(".")[2], COLLECTOR_KEY]:
        assert word.encode() not in exported, word
    assert product.collector.headers[-1]["authorization"] == f"Bearer {COLLECTOR_KEY}"
    for running in (product.gateway, product.agent):
        assert COLLECTOR_KEY not in running.log.read_text()


async def test_a_streamed_answer_is_the_same_tree(
    http: aiohttp.ClientSession, product: Product, vendor: Vendor, token: dict[str, str]
) -> None:
    await vendor.plays({"text": "payments needs more memory"})
    trace_id, _, traceparent = new_caller()
    headers = {**token, **traceparent, "Accept": "text/event-stream"}
    url = f"{product.gateway.url}/v1/ask"
    reply = await send(http, "POST", url, json={"question": "Why is checkout failing?"}, headers=headers)
    assert reply.events[-1]["type"] == "answer"
    spans = await product.finished(trace_id)
    assert [line.strip().split(" ", 2)[2] for line in tree(spans)] == [
        "POST /v1/ask",
        "POST",
        "POST /internal/v1/ask",
        "invoke_agent kubetriage",
        "execute_tool diagnose",
        "read_cluster",
        "read_logs",
        "check_rules",
        "chat test-model",
    ]
    assert only(spans, "POST /v1/ask").end >= only(spans, "invoke_agent kubetriage").end, (
        "it lasts as long as the stream"
    )


async def test_a_caller_who_hangs_up_leaves_a_whole_tree_that_says_so(
    http: aiohttp.ClientSession, product: Product, vendor: Vendor, token: dict[str, str]
) -> None:
    await vendor.plays({"delay": 60, "text": "too late"})
    trace_id, _, traceparent = new_caller()
    headers = {**token, **traceparent, "Accept": "text/event-stream"}
    body = {"question": "Why is checkout failing?"}
    async with http.post(f"{product.gateway.url}/v1/ask", json=body, headers=headers) as answer:
        async for line in answer.content:
            if line == b"event: tool.finished\n":
                break

        async def asked() -> bool:
            return bool(await vendor.seen())

        await eventually(asked)
        answer.close()
    spans = await product.finished(trace_id, "invoke_agent kubetriage", "chat test-model")
    assert only(spans, "POST /v1/ask").attributes["http.response.status_code"] == 499
    for name in ("invoke_agent kubetriage", "chat test-model"):
        assert only(spans, name).attributes["kubetriage.cancelled"] is True
    assert not any(one.failed for one in spans), "it was the caller's wish"
    assert '"log.level":"error"' not in product.gateway.log.read_text()


async def test_a_model_that_fails_and_the_one_that_takes_over_have_a_span_each(
    http: aiohttp.ClientSession, product: Product, vendor: Vendor, token: dict[str, str]
) -> None:
    await vendor.plays({"status": 401})
    trace_id, _, traceparent = new_caller()
    headers = {**token, **traceparent}
    url = f"{product.gateway.url}/v1/ask"
    reply = await send(http, "POST", url, json={"question": "Why is checkout failing?"}, headers=headers)
    assert reply.json["status"] == "degraded"
    spans = await product.finished(trace_id)
    failed, own = only(spans, "chat test-model"), next(one for one in spans if one.name == "chat builtin")
    assert (failed.failed, failed.attributes["error.type"]) == (True, "OpenAIAuthenticationError")
    assert (own.failed, own.kind, own.attributes["gen_ai.provider.name"]) == (False, "INTERNAL", "kubetriage")
    assert only(spans, "invoke_agent kubetriage").attributes["kubetriage.run.status"] == "degraded"


async def test_whom_the_caller_does_not_sample_is_not_exported(
    http: aiohttp.ClientSession, product: Product, token: dict[str, str]
) -> None:
    unsampled, _, first = new_caller(sampled=False)
    sampled, _, second = new_caller()
    for traceparent in (first, second):
        reply = await send(
            http, "POST", f"{product.gateway.url}/v1/diagnose", json={}, headers={**token, **traceparent}
        )
        assert reply.status == 200
    assert "      agent: INTERNAL read_cluster" in tree(await product.finished(sampled))
    assert not product.collector.trace(unsampled)
    assert unsampled in product.agent.log.read_text(), "the logs have it nevertheless"


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "dead"])
async def test_a_collector_that_does_not_answer_costs_a_log_line_and_nothing_else(
    http: aiohttp.ClientSession,
    product: Product,
    shared_redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    silent: bool,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody_accepts:
        port = nobody_accepts.getsockname()[1] if silent else free_port()
        settings = {
            "OTEL_EXPORTER_OTLP_TIMEOUT": "0.2",  # seconds
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }
        for name, value in {**ENVIRONMENT, **settings}.items():
            monkeypatch.setenv(name, value)
        gateway = start_gateway(tmp_path, shared_redis.url, product.agent.url)
        try:
            token = bearer(await log_in(http, gateway.url, USER))

            async def told() -> bool:
                assert (await send(http, "GET", f"{gateway.url}/v1/me", headers=token)).status == 200
                return "traces are not exported" in gateway.log.read_text()

            await eventually(told, seconds=20)
            gateway.process.terminate()
            # Without a bound, its end would wait for the collector for half a minute.
            await asyncio.to_thread(gateway.process.wait, 15)
            assert "Application shutdown complete" in gateway.log.read_text()
        finally:
            gateway.end()


def test_an_ingest_sends_its_span_before_it_ends(tmp_path: Path) -> None:
    with running_collector() as collector:
        done = subprocess.run(
            [sys.executable, "-m", "rag_ingest", "--chroma", f"http://127.0.0.1:{free_port()}", "--source", "team"],
            env={**os.environ, **ENVIRONMENT, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1, "there is no Chroma"
        (span,) = collector.spans
    assert (span.service, span.name, span.failed) == ("ingest", "ingest", True)
    assert span.attributes == {"kubetriage.ingest.source": "team", "error.type": "RetrievalUnavailableError"}
