"""What stands before the routes, and what operators see."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
import redis

from tests.gateway.support import bearer, log_in
from tests.processes import ROOT, eventually, send


async def test_errors_nobody_wrote_are_problems_too(gateway, http):
    assert (await send(http, "GET", f"{gateway.url}/nowhere")).json["code"] == "not_found"
    wrong = await send(http, "PUT", f"{gateway.url}/v1/me")
    assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "GET"
    # RFC 9110, section 15.5.6: all of them.
    assert (await send(http, "PUT", f"{gateway.url}/v1/sessions")).headers["Allow"] == "GET, POST"
    assert (await send(http, "OPTIONS", f"{gateway.url}/v1/sessions/s_12345678")).headers["Allow"] == "DELETE, GET"


async def test_an_invalid_body_is_described_and_never_echoed(gateway, http):
    ada = bearer(await log_in(http, gateway.url))
    body = {"question": "x", "namspace": "hunter2-secret"}
    reply = await send(http, "POST", f"{gateway.url}/v1/ask", headers=ada, json=body)
    assert (reply.status, reply.json["errors"][0]["loc"]) == (422, ["body", "namspace"])
    assert b"hunter2" not in reply.body


HOSTILE = {
    "not json": b"{",
    "deep": b"[" * 30_000 + b"]" * 30_000,
    "lone surrogate": b'{"question": "\\ud800"}',
    "surrogate as a name": b'{"question": "x", "\\ud800": 1}',
    "not utf-8": b'{"question": "\xff\xfe"}',
    "huge number": b'{"question": ' + b"9" * 5000 + b"}",
    "infinite": b'{"question": Infinity}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_json_is_a_4xx(gateway, http, body):
    ada = bearer(await log_in(http, gateway.url))
    headers = {**ada, "Content-Type": "application/json"}
    reply = await send(http, "POST", f"{gateway.url}/v1/ask", headers=headers, data=body)
    assert reply.status in (400, 422)


async def test_large_bodies_are_refused_whether_announced_or_chunked(gateway, http):
    ada = bearer(await log_in(http, gateway.url))

    async def chunks():
        for _ in range(30):
            yield b"x" * 4096

    for data in (b"x" * 100_000, chunks()):
        reply = await send(http, "POST", f"{gateway.url}/v1/ask", headers=ada, data=data)
        assert (reply.status, reply.json["code"]) == (413, "body_too_large")


async def test_compressed_bodies_are_refused(gateway, http):
    reply = await send(http, "POST", f"{gateway.url}/v1/ask", headers={"Content-Encoding": "gzip"}, data=b"x")
    assert reply.json["code"] == "encoding_unsupported"


def converse(port: int, request: bytes, seconds: float = 5) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65536)
            if not chunk:
                break
            received += chunk
        return received


def port_of(gateway) -> int:
    return int(gateway.url.rsplit(":", 1)[1])


async def test_a_body_that_never_ends_is_cut_off(shared_redis, make_gateway, http, gateway):
    running = make_gateway(shared_redis.url, body_seconds=0.3)
    token = (await log_in(http, gateway.url))["access_token"]
    head = f"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 50\r\n\r\n{{"
    answer = await asyncio.to_thread(converse, port_of(running), head.encode())
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("host", ["evil.example", "", "localhost.evil.example", "[::2]"])
async def test_foreign_host_names_are_refused(gateway, http, host):
    reply = await send(http, "GET", f"{gateway.url}/v1/me", headers={"Host": host})
    assert (reply.status, reply.json["code"]) == (421, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "[::1]:80"])
async def test_own_host_names_are_served(gateway, http, host):
    assert (await send(http, "GET", f"{gateway.url}/docs", headers={"Host": host})).status == 200


async def test_forwarded_headers_of_strangers_change_nothing(own_redis, make_gateway, http):
    running = make_gateway(own_redis.url, limit_address="2/minute")
    statuses = [
        (await send(http, "GET", f"{running.url}/v1/me", headers={"X-Forwarded-For": f"10.0.0.{n}"})).status
        for n in range(4)
    ]
    assert statuses == [401, 401, 429, 429]


SMUGGLING = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "bad length": b"Content-Length: +5\r\n",
    "two hosts": b"Host: evil\r\n",
}


@pytest.mark.parametrize("lines", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_smuggling_shapes_are_refused(gateway, lines):
    request = b"POST /v1/auth/refresh HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    answer = await asyncio.to_thread(converse, port_of(gateway), request)
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 421"), answer[:200]


async def test_request_ids_are_accepted_when_harmless_and_replaced_otherwise(gateway, http):
    good = await send(http, "GET", f"{gateway.url}/healthz", headers={"X-Request-ID": "abc_DEF-1"})
    assert good.headers["X-Request-ID"] == "abc_DEF-1"
    for bad in ("a b", "x" * 65, 'x"}', "é"):
        reply = await send(http, "GET", f"{gateway.url}/healthz", headers={"X-Request-ID": bad})
        assert reply.headers["X-Request-ID"] != bad


async def test_every_answer_carries_the_security_headers(gateway, http):
    for path in ("/healthz", "/v1/me", "/nowhere", "/docs"):
        headers = (await send(http, "GET", gateway.url + path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "Server" not in headers


async def test_the_docs_page_needs_nothing_from_elsewhere(gateway, http):
    reply = await send(http, "GET", f"{gateway.url}/docs")
    assert b"https://" not in reply.body
    assert b"http://" not in reply.body


async def log_with(gateway, request_id: str) -> str:
    """The log once it has the line of this request, which is written after the answer has gone out."""

    async def written() -> bool:
        return f'"http.request.id":"{request_id}"' in gateway.log.read_text()

    await eventually(written)
    return gateway.log.read_text().rpartition("\n")[0]


async def test_the_log_has_one_json_line_per_request_and_no_secret(gateway, http):
    tokens = await log_in(http, gateway.url)
    marker = "logtest-1"
    path = f"{gateway.url}/v1/sessions/s_12345678?token=hunter2"
    await send(http, "GET", path, headers={**bearer(tokens), "X-Request-ID": marker})
    text = await log_with(gateway, marker)
    lines = [json.loads(line) for line in text.splitlines()]
    (line,) = [line for line in lines if line.get("http.request.id") == marker]
    assert (line["http.route"], line["http.response.status_code"], line["user.name"]) == (
        "/v1/sessions/{session_id}",
        404,
        "ada",
    )
    assert line["service.name"] == "kubetriage-gateway"
    for secret in ("hunter2", tokens["access_token"][-40:], tokens["refresh_token"], "correct horse"):
        assert secret not in text


async def test_a_path_cannot_forge_a_log_line(gateway, http):
    answer = await asyncio.to_thread(
        converse,
        port_of(gateway),
        b"GET /x%0a%7b%22forged%22%3a1%7d HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: forge-1\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 404")
    assert all("forged" not in json.loads(line) for line in (await log_with(gateway, "forge-1")).splitlines())


async def test_metrics_are_valid_and_labelled_by_route_template(gateway, http):
    ada = bearer(await log_in(http, gateway.url))
    for n in range(3):
        await send(http, "GET", f"{gateway.url}/v1/sessions/s_number{n}", headers=ada)
        await send(http, "GET", f"{gateway.url}/nowhere{n}")
    text = (await send(http, "GET", f"{gateway.url}/metrics")).body
    assert b'route="/v1/sessions/{session_id}"' in text
    assert b"nowhere" not in text
    assert b"s_number" not in text
    assert b'kubetriage_gateway_limiter_decisions_total{decision="admitted"' in text
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    command = [promtool, "check", "metrics"]
    checked = await asyncio.to_thread(subprocess.run, command, input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


async def test_the_openapi_document_describes_every_call_and_its_errors(gateway, http):
    document = (await send(http, "GET", f"{gateway.url}/openapi.json")).json
    wanted = {
        "/v1/auth/token", "/v1/auth/refresh", "/v1/auth/logout", "/v1/me", "/v1/ask", "/v1/diagnose", "/v1/search",
        "/v1/sessions", "/v1/sessions/{session_id}", "/v1/sessions/{session_id}/messages", "/healthz", "/readyz",
        "/metrics", "/v1/alerts/alertmanager", "/v1/incidents", "/v1/incidents/{incident_id}", "/v1/audit",
        "/v1/batches", "/v1/batches/{batch_id}",
    }  # fmt: skip
    assert wanted <= document["paths"].keys()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            for status, response in operation["responses"].items():
                if status >= "4" and (path, status) != ("/readyz", "503"):
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)
            if path.startswith("/v1/") and "auth/" not in path:
                assert {"401", "429", "500"} <= operation["responses"].keys()
    assert "text/event-stream" in document["paths"]["/v1/ask"]["post"]["responses"]["200"]["content"]
    assert "Problem" in document["components"]["schemas"]


async def test_ready_when_redis_and_the_agent_answer(gateway, http):
    ready = await send(http, "GET", f"{gateway.url}/readyz")
    assert (ready.status, ready.json["status"], ready.json["checks"]) == (200, "ok", {"redis": "ok", "agent": "ok"})


async def test_ready_names_a_lost_agent_and_warns_of_a_redis_without_persistence(own_redis, make_gateway, http):
    client = redis.Redis.from_url(own_redis.url)
    client.config_set("appendonly", "no")
    client.close()
    running = make_gateway(own_redis.url, agent="http://127.0.0.1:9")
    checks = {}

    async def warned():  # it asks Redis in the background
        checks.update((await send(http, "GET", f"{running.url}/readyz")).json["checks"])
        return "redis_persistence" in checks

    await eventually(warned)
    ready = await send(http, "GET", f"{running.url}/readyz")
    assert (ready.status, ready.json["status"]) == (200, "degraded")
    assert ready.json["checks"]["agent"].startswith("unreachable")
    assert "set appendonly yes" in ready.json["checks"]["redis_persistence"]
    assert b"kubetriage_gateway_store_persistent 0.0" in (await send(http, "GET", f"{running.url}/metrics")).body


async def test_sigterm_says_not_ready_first_and_finishes_what_runs(shared_redis, make_gateway, gateway, http):
    running = make_gateway(shared_redis.url, drain_delay_seconds=1)
    ada = bearer(await log_in(http, gateway.url))

    async def stream() -> bytes:
        headers = {**ada, "Accept": "text/event-stream"}
        async with http.post(f"{running.url}/v1/ask", headers=headers, json={"question": "hello"}) as answer:
            return await answer.read()

    task = asyncio.create_task(stream())
    await asyncio.sleep(0.2)
    running.process.send_signal(signal.SIGTERM)

    async def draining() -> bool:
        async with http.get(f"{running.url}/readyz") as answer:
            return answer.status == 503 and (await answer.json())["status"] == "draining"

    await eventually(draining, seconds=0.8)
    assert (await send(http, "GET", f"{running.url}/v1/me", headers=ada)).status == 200
    assert b"event: answer" in await task
    await asyncio.to_thread(running.process.wait, 10)
    assert running.process.returncode in (0, -signal.SIGTERM)


async def test_a_stream_that_outlives_the_drain_gets_a_terminal_event(shared_redis, make_gateway, gateway, http):
    running = make_gateway(shared_redis.url, drain_delay_seconds=0, drain_seconds=2.5)
    ada = bearer(await log_in(http, gateway.url))
    headers = {**ada, "Accept": "text/event-stream"}
    async with http.post(f"{running.url}/v1/ask", headers=headers, json={"question": "slow"}) as answer:
        await answer.content.readany()
        running.process.send_signal(signal.SIGTERM)
        rest = await answer.content.read()
    assert b"event: error" in rest
    assert b"gateway_restarting" in rest


BAD_SETTINGS = {
    "no internal key": ({}, "KUBETRIAGE_GATEWAY_INTERNAL_KEY"),
    "short internal key": ({"INTERNAL_KEY": "short-secret"}, "at least 32 characters"),
    "tier 2 without signing keys": ({"INTERNAL_KEY": "k" * 40, "TIER": "2"}, "KUBETRIAGE_GATEWAY_SIGNING_KEYS"),
    "odd rate": ({"INTERNAL_KEY": "k" * 40, "LIMIT_USER": "lots"}, "KUBETRIAGE_GATEWAY_LIMIT_USER"),
    "lost key file": ({"INTERNAL_KEY_FILE": "/nonexistent"}, "INTERNAL_KEY_FILE cannot be read"),
}


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_a_wrong_configuration_ends_with_one_clear_line(settings, message):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBETRIAGE_")}
    environment |= {f"KUBETRIAGE_GATEWAY_{name}": value for name, value in settings.items()}
    ended = subprocess.run(
        [sys.executable, "-m", "gateway"],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 2
    assert message in ended.stderr.decode()
    assert len(ended.stderr.splitlines()) == 1
    assert b"short-secret" not in ended.stderr


def test_nothing_heavy_is_imported():
    heavy = "kubernetes chromadb langchain langchain_core numpy onnxruntime agent_service coredis"
    code = f"import gateway.__main__, sys; print([m for m in {heavy.split()!r} if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    assert ended.stdout.strip() == b"[]"
