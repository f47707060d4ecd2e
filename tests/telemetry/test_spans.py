"""What becomes of a span: with a collector, without one, and with one that cannot be meant."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys

import pytest

from kubetriage import __version__
from kubetriage.telemetry.exporting import CollectorError, collector_wanted, exported_spans
from kubetriage.telemetry.spans import describe_answer, request_span, span
from tests.collector import Collector, Span
from tests.processes import ROOT, eventually, free_port

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REQUEST = {"type": "http", "method": "POST", "path": "/v1/ask", "scheme": "http"}


def named(collector: Collector, name: str) -> Span:
    return next(one for one in collector.spans if one.name == name)


async def test_spans_lie_below_each_other_also_across_tasks(collector: Collector) -> None:
    async def work(name: str) -> None:
        with span(name):
            await asyncio.sleep(0)

    async with exported_spans("kubetriage-test"):
        with request_span(REQUEST, CALLER) as request:
            await asyncio.gather(work("first"), work("second"))
            describe_answer(request, method="POST", route="/v1/ask", status=200)
    server = named(collector, "POST /v1/ask")
    assert (server.trace_id, server.parent) == tuple(CALLER.split("-")[1:3])
    assert (server.kind, server.failed) == ("SERVER", False)
    assert server.attributes == {
        "http.request.method": "POST",
        "url.path": "/v1/ask",
        "url.scheme": "http",
        "http.route": "/v1/ask",
        "http.response.status_code": 200,
    }
    assert {named(collector, name).parent for name in ("first", "second")} == {server.span_id}


async def test_what_fails_is_marked_with_its_kind_and_never_its_words(collector: Collector) -> None:
    async with exported_spans("kubetriage-test"):
        with pytest.raises(ValueError, match="secret"), span("broken"):
            raise ValueError("the secret of payments")
        with request_span(REQUEST, None) as request:
            describe_answer(request, method="POST", route="/v1/ask", status=503)
        with span("told") as told:
            told.fail("forbidden")
            told.fail("later")
    assert (named(collector, "broken").failed, named(collector, "broken").attributes["error.type"]) == (
        True,
        "ValueError",
    )
    assert (named(collector, "POST /v1/ask").failed, named(collector, "POST /v1/ask").attributes["error.type"]) == (
        True,
        "503",
    )
    assert named(collector, "told").attributes["error.type"] == "forbidden"
    assert not any(b"secret" in body for body in collector.bodies)


async def test_a_cancelled_span_is_no_error(collector: Collector) -> None:
    async def wait() -> None:
        with span("waiting"):
            begun.set()
            await asyncio.Event().wait()

    async with exported_spans("kubetriage-test"):
        begun = asyncio.Event()
        task = asyncio.create_task(wait())
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    waiting = named(collector, "waiting")
    assert (waiting.failed, waiting.attributes) == (False, {"kubetriage.cancelled": True})


async def test_unknown_methods_and_paths_do_not_become_names(collector: Collector) -> None:
    path = "/eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
    async with exported_spans("kubetriage-test"):
        with request_span({**REQUEST, "method": "BREW", "path": path}, None) as request:
            describe_answer(request, method="BREW", route=None, status=404)
    one = named(collector, "HTTP")
    assert one.attributes["http.request.method"] == "_OTHER"
    assert one.attributes["url.path"] == "/[redacted jwt]"
    assert "http.route" not in one.attributes


async def test_probes_are_not_recorded_and_have_a_trace_nevertheless(collector: Collector) -> None:
    async with exported_spans("kubetriage-test"):
        with request_span({**REQUEST, "path": "/readyz"}, CALLER) as request:
            assert request.trace.trace_id == CALLER.split("-")[1]
        with span("after"):
            pass
    assert [one.name for one in collector.spans] == ["after"]


@pytest.mark.parametrize(
    ("variables", "parent", "exported"),
    [
        ({}, None, True),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, None, False),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, None, False),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, CALLER, True),
        ({}, CALLER.removesuffix("01") + "00", False),
        ({"OTEL_SDK_DISABLED": "true"}, CALLER, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, CALLER, False),
    ],
    ids=["default", "always-off", "no-share", "no-share-but-the-callers", "not-the-callers", "disabled", "none"],
)
async def test_what_is_sampled(
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    parent: str | None,
    exported: bool,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with exported_spans("kubetriage-test"):
        with request_span(REQUEST, parent) as request, span("below") as below:
            # Logs and headers have a trace in every case.
            assert below.trace.trace_id == request.trace.trace_id
            assert parent is None or request.trace.trace_id == parent.split("-")[1]
            assert int(request.trace.trace_id, 16)
    assert bool(collector.spans) is exported


async def test_the_resource_says_which_service_of_which_pod(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=gateway-1,service.version=other")
    for name in (None, "triage"):
        if name:
            monkeypatch.setenv("OTEL_SERVICE_NAME", name)
        async with exported_spans("kubetriage-test"):
            with span(str(name)):
                pass
    first, second = named(collector, "None").resource, named(collector, "triage").resource
    assert (first["service.name"], second["service.name"]) == ("kubetriage-test", "triage")
    assert first["k8s.pod.name"] == "gateway-1"
    assert first["service.version"] == "other", f"what the operator says is worth more than {__version__}"


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "user:hunter2@collector:4317"}, "http:// or https:// URL"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
    ],
    ids=["no-scheme", "grpc"],
)
async def test_a_collector_that_cannot_be_meant_is_told_and_left_alone(
    variables: dict[str, str], what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CollectorError, match=what):
        collector_wanted(variables)
    async with exported_spans("kubetriage-test"):
        with span("anything"):
            pass
    said = capsys.readouterr().out
    assert what in said
    assert "hunter2" not in said


async def test_a_dead_collector_is_told_once_and_not_for_each_batch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}?key=hunter2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.01")  # seconds
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")  # milliseconds
    complaints: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = complaints.append  # type: ignore[method-assign]
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(listener)

    async def again() -> bool:
        with span("lost"):
            return len(complaints) > 5

    try:
        async with exported_spans("kubetriage-test"):
            await eventually(again)
    finally:
        logger.removeHandler(listener)
    said = capsys.readouterr().out
    assert said.count("traces are not exported") == 1
    assert "hunter2" not in said


def test_without_a_collector_nothing_is_imported_and_no_thread_runs() -> None:
    program = """
import asyncio, sys, threading
import gateway.__main__
from kubetriage.telemetry.exporting import exported_spans
from kubetriage.telemetry.spans import span

unwanted = ("opentelemetry.sdk.", "opentelemetry.exporter", "google.protobuf", "requests", "kubetriage.telemetry.otlp")

async def main():
    async with exported_spans("kubetriage-gateway"):
        with span("nothing"):
            print([name for name in sys.modules if name.startswith(unwanted)], threading.active_count())

asyncio.run(main())
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[] 1", done.stderr
