"""Metrics and alerts of a real Prometheus in a diagnosis, and what a bad one's answers become."""

from __future__ import annotations

import asyncio
import base64
import gzip
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from agent_service.diagnosing import Diagnoser
from agent_service.scoped_reader import ScopedReader
from agent_service.settings import Settings
from kubetriage.cluster import open_bundle
from kubetriage.cluster.prometheus import PrometheusSource, PrometheusUrlError, parse_endpoint
from kubetriage.cluster.prometheus_answers import find_target
from kubetriage.cluster.prometheus_queries import build_queries
from kubetriage.cluster.reader import Observations
from kubetriage.contracts.diagnosis import Diagnosis, Outcome, Scope, Unreadable
from kubetriage.investigation import investigate
from tests.cluster_reading.prometheus_server import (
    Recording,
    changed,
    prometheus_with,
    record,
    record_node,
    steady,
    write_bundle,
)
from tests.diagnosis.build import causes
from tests.processes import KEY, ROOT, free_port

END = datetime.now(UTC).replace(microsecond=0)
LOSSY_HOUR = END - timedelta(hours=3)
CHANGED = END - timedelta(minutes=20)
RULES = {
    "groups": [
        {
            "name": "team",
            "rules": [
                {
                    "alert": "HighErrorRate",
                    "expr": "vector(0.12)",
                    "labels": {"namespace": "post", "deployment": "mailer", "pod": "kube-state-metrics-0"},
                    "annotations": {"summary": "12 % of the letters come back"},
                },
                {
                    "alert": "CPUThrottlingHigh",
                    "expr": "vector(0.3)",
                    "labels": {"namespace": "calm", "pod": "payments-7d9c5b6f4-x2x9z", "severity": "info"},
                },
                {"alert": "RequestsSlow", "expr": "vector(9)", "labels": {"namespace": "calm", "deployment": "cart"}},
                {"alert": "Quiet", "expr": "vector(1) > 2", "labels": {"namespace": "post", "deployment": "mailer"}},
            ],
        }
    ]
}


def recording() -> Recording:
    """Namespaces: shop (payments throttled and slow, checkout waits for it), calm (its healthy twin), orders (the
    cart's errors rise), mesh (slow on its way), rare (hardly asked)."""
    into = Recording(END)
    slow, throttled, busy = changed(0.02, 0.4), changed(0.01, 0.7), changed(0.1, 0.5)
    record(into, "shop", "payments", cpu=busy, throttled=throttled, latency=slow)
    record(into, "shop", "checkout", latency=changed(0.04, 0.6))
    record(into, "shop", "catalogue")
    record(into, "calm", "payments", cpu=lambda ago: 0.1 + (75 - ago) / 500, rate=lambda ago: 10 + (75 - ago) / 5)
    record(into, "calm", "checkout", latency=changed(0.02, 0.5, ago=3))
    record(into, "calm", "cart", latency=lambda ago: 0.5 if 25 < ago < 33 else 0.02)
    record(into, "orders", "cart", errors=changed(0.001, 0.2))
    record(into, "orders", "payments", errors=steady(0.2))
    record(into, "mesh", "payments", latency=changed(0.02, 0.4), mesh=True)
    record(into, "rare", "payments", rate=lambda _ago: 0.004, latency=changed(0.02, 2.0), errors=changed(0.0, 0.5))
    record_node(into, "node-1", "10.0.0.1:9100", changed(2, 20), steady(50_000))
    # At another time, as a node that loses packets is everybody's incident.
    lossy = Recording(LOSSY_HOUR, into.families)
    record_node(lossy, "node-1", "10.0.0.1:9100", changed(2, 20), steady(50_000))
    record_node(lossy, "node-2", "10.0.0.2:9100", changed(2, 90), steady(5_000))
    return into


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("prometheus and promtool are not installed (Debian: prometheus)")
    with prometheus_with(recording(), RULES, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


async def diagnosed(url: str, folder: Path, namespace: str, *apps: str, **options: Any) -> Diagnosis:
    reader = open_bundle(write_bundle(folder, namespace, *apps))
    source = PrometheusSource(parse_endpoint(url), **options)
    return await investigate(reader, Scope(namespace=namespace), metrics=source)


def gaps(found: Diagnosis) -> list[Unreadable]:
    """Without what the small capture does not hold."""
    return [gap for gap in found.unreadable if gap.resource == "prometheus"]


def is_about(moment: datetime | None, expected: datetime) -> bool:
    """Rates look back over three minutes, so that a step becomes a ramp."""
    return moment is not None and abs(moment - expected) < timedelta(minutes=3)


# -- a real Prometheus ----------------------------------------------------------------------------


async def test_a_throttled_and_slow_workload_is_saturated_since_it_changed(prometheus: str, tmp_path: Path) -> None:
    found = await diagnosed(prometheus, tmp_path, "shop", "payments", "checkout", "catalogue")
    assert causes(found) == [("cpu_saturated", "deployment/payments")]
    quotes = {quote.where: quote for quote in found.incidents[0].root_cause.evidence}
    told = {"cpu_cores", "cpu_throttled_seconds", "cpu_throttled_ratio", "latency_p50_ms", "latency_p90_ms"}
    assert set(quotes) == told
    assert all(is_about(quote.time, CHANGED) for quote in quotes.values())
    assert is_about(found.incidents[0].first_seen, CHANGED)
    assert gaps(found) == []


async def test_its_healthy_twin_has_no_incident(prometheus: str, tmp_path: Path) -> None:
    """More load, a spike that is over, one that has just begun, and the alerts of a usual day."""
    found = await diagnosed(prometheus, tmp_path, "calm", "payments", "checkout", "cart")
    assert (found.outcome, gaps(found)) == (Outcome.NO_FAULT_FOUND, [])


async def test_a_rising_error_rate_is_told_and_a_constant_one_is_not(prometheus: str, tmp_path: Path) -> None:
    found = await diagnosed(prometheus, tmp_path, "orders", "cart", "payments")
    assert causes(found) == [("error_rate_increased", "deployment/cart")]
    assert is_about(found.incidents[0].root_cause.evidence[0].time, CHANGED)


async def test_the_callers_view_of_a_mesh_counts(prometheus: str, tmp_path: Path) -> None:
    found = await diagnosed(prometheus, tmp_path, "mesh", "payments")
    assert causes(found) == [("pod_network_delay", "deployment/payments")]


async def test_a_workload_that_hardly_anybody_asks_is_not_judged(prometheus: str, tmp_path: Path) -> None:
    assert causes(await diagnosed(prometheus, tmp_path, "rare", "payments")) == []


async def test_retransmissions_count_by_their_share(prometheus: str) -> None:
    found = await PrometheusSource(parse_endpoint(prometheus)).read_observations(("calm",), LOSSY_HOUR)
    lossy = [one for one in found.metrics if one.name == "tcp_retransmissions_per_second"]
    assert [(one.target, one.target_kind) for one in lossy] == [("node-2", "Node")]


async def test_a_firing_alert_about_errors_is_an_incident(prometheus: str, tmp_path: Path) -> None:
    found = await diagnosed(prometheus, tmp_path, "post", "mailer")
    assert causes(found) == [("error_rate_increased", "deployment/mailer")]
    quote = found.incidents[0].root_cause.evidence[0]
    assert (quote.where, quote.quote) == ("alert HighErrorRate", "HighErrorRate: 12 % of the letters come back")
    assert quote.time is not None


async def test_alerts_that_began_after_a_capture_say_nothing_about_it(prometheus: str) -> None:
    found = await PrometheusSource(parse_endpoint(prometheus)).read_observations(("post",), END - timedelta(hours=1))
    assert found.alerts == ()


async def test_only_what_the_caller_may_see_is_asked_for(prometheus: str) -> None:
    source = PrometheusSource(parse_endpoint(prometheus))
    found = await source.read_observations(("orders", 'calm"} or {namespace=~".*'), END)
    assert {one.namespace for one in found.metrics} == {"orders"}
    assert found.alerts == ()
    assert await source.read_observations(('"',), END) == Observations()
    everything = await source.read_observations(None, END)
    assert {one.namespace for one in everything.metrics} >= {"shop", "calm", "orders", "mesh"}


async def test_pods_are_folded_into_their_workload(prometheus: str) -> None:
    found = await PrometheusSource(parse_endpoint(prometheus)).read_observations(("shop",), END)
    assert {one.target for one in found.metrics if one.name == "memory_bytes"} == {"payments", "checkout", "catalogue"}
    rate = next(one for one in found.metrics if one.name == "requests_per_second" and one.target == "checkout")
    assert 30 < sum(rate.values[10:20]) / 10 < 70  # of both pods


async def test_what_a_bundle_holds_itself_wins(prometheus: str, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "shop", "payments", "checkout", "catalogue")
    (folder / "prometheus").mkdir()
    (folder / "prometheus" / "metrics.csv").write_text(f"time,payments-cpu\n{END:%F %T},0.5\n{END:%F %T},0.5\n")
    source = PrometheusSource(parse_endpoint(prometheus))
    assert causes(await investigate(open_bundle(folder), Scope(namespace="shop"), metrics=source)) == []


def kubetriage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from kubetriage.cli.main import main; sys.exit(main())"
    known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=known, check=False)


def test_the_command_line_shows_cause_and_time(prometheus: str, tmp_path: Path) -> None:
    write_bundle(tmp_path, "shop", "payments", "checkout", "catalogue")
    by_option = kubetriage("diagnose", "-n", "shop", "--bundle", str(tmp_path), "--prometheus", prometheus)
    assert "payments is slow because its CPU is saturated" in by_option.stdout, by_option.stderr
    assert "metric shop/deployment/payments cpu_throttled_seconds  " in by_option.stdout
    by_variable = kubetriage(
        "ask", "Why is payments slow?", "-n", "shop", "--bundle", str(tmp_path), KUBETRIAGE_PROMETHEUS_URL=prometheus
    )
    assert "CPU is saturated" in by_variable.stdout, by_variable.stderr


async def test_the_service_asks_for_its_callers_namespaces_alone(prometheus: str, tmp_path: Path) -> None:
    diagnoser = Diagnoser(metrics=PrometheusSource(parse_endpoint(prometheus)))
    bundle = open_bundle(write_bundle(tmp_path, "shop", "payments"))
    mine = await diagnoser.diagnose(ScopedReader(bundle, ("shop",)), Scope(namespace="shop"))
    assert causes(mine) == [("cpu_saturated", "deployment/payments")]
    others = await diagnoser.diagnose(ScopedReader(bundle, ("calm",)), Scope(namespace="shop"))
    assert others.incidents == ()


# -- bad days -------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def answer(body: str, status: int = 200, **headers: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text=body, status=status, headers=headers)

    return handler


async def hang(_request: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def bomb(_request: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b" " * 5_000_000), headers={"Content-Encoding": "gzip"})


MATRIX = '{"status":"success","data":{"resultType":"matrix","result":[%s]}}'
ODD_ROW = '{"metric":{"workload":"a","namespace":"shop"},"values":[["x",null]]}'
BAD_DAYS = {
    "401": (answer("", 401), 401, "401 the credentials are not accepted"),
    "500-in-its-words": (answer('{"error": "out of\\n memory"}', 500), 500, "500 out of memory"),
    "502-of-a-proxy": (answer("<html>" * 999, 502), 502, "502 Bad Gateway"),
    "login": (answer("", 302, Location="/login"), 302, "302 a redirect, perhaps to a login"),
    "timeout": (hang, None, "no answer within 0.5 s"),
    "no-json": (answer("<html>welcome</html>"), 200, "no answer of Prometheus' API"),
    "other-json": (answer('[{"data": 1}]'), 200, "no answer of Prometheus' API"),
    "odd-matrix": (answer(MATRIX % ODD_ROW), 200, "no answer of Prometheus' API"),
    "too-large": (bomb, 200, "more than 0.953674 MiB in one answer"),
}


@pytest.mark.parametrize("day", BAD_DAYS)
async def test_a_bad_answer_is_a_fact_of_the_diagnosis(day: str, tmp_path: Path) -> None:
    handler, status, reason = BAD_DAYS[day]
    async with serving(handler) as url:
        secret = url.replace("//", "//reader:s3cret@")
        deadline = 0.5 if handler is hang else 20  # a busy machine must not make another day a timeout
        found = await diagnosed(secret, tmp_path, "shop", "payments", deadline=deadline, largest=1_000_000)
    assert found.outcome is Outcome.NO_FAULT_FOUND
    (gap,) = gaps(found)
    assert gap.status == status
    assert gap.reason.startswith(f"{url}: ")
    assert reason in gap.reason
    assert gap.remedy == "needs query prometheus"
    assert "s3cret" not in found.model_dump_json()


async def test_an_unreachable_prometheus_costs_no_time(tmp_path: Path) -> None:
    began = time.monotonic()
    found = await diagnosed(f"http://127.0.0.1:{free_port()}", tmp_path, "shop", "payments")
    assert time.monotonic() - began < 3
    (gap,) = gaps(found)
    assert "not reachable (" in gap.reason
    done = kubetriage("diagnose", "--bundle", str(tmp_path), KUBETRIAGE_PROMETHEUS_URL="http://a:pa55@127.0.0.1:1")
    assert "could not query prometheus: http://127.0.0.1:1: not reachable (" in done.stdout
    assert "pa55" not in done.stdout + done.stderr


async def test_one_failing_query_is_named_and_the_others_count(tmp_path: Path) -> None:
    row = '{"metric":{"workload":"payments","namespace":"shop"},"values":[[%d,"NaN"],[%d,"3"]]}'

    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("alerts"):
            return web.Response(text='{"data": {"alerts": []}}')
        given = request.query or await request.post()
        if "memory" in str(given["query"]):
            return web.Response(text='{"error": "query timed out in expression evaluation"}', status=422)
        now = float(str(given["end"]))
        return web.Response(text=MATRIX % (row % (now - 30, now)))

    async with serving(handler) as url:
        found = await PrometheusSource(parse_endpoint(url)).read_observations(("shop",), END)
    assert found.unreadable == (
        Unreadable(
            resource="prometheus",
            verb="query",
            status=422,
            reason=f"{url}: memory_bytes: 422 query timed out in expression evaluation",
        ),
    )
    series = next(one for one in found.metrics if one.name == "cpu_cores")
    assert (series.values[-1], series.times[-1]) == (3.0, END)
    assert series.values[-2] != series.values[-2]  # NaN


async def test_credentials_are_sent_as_headers_and_the_token_is_read_anew(tmp_path: Path) -> None:
    seen: set[str] = set()

    async def handler(request: web.Request) -> web.Response:
        seen.add(f"{request.host} {request.headers.get('Authorization')}")
        return web.Response(status=403)

    token = tmp_path / "token"
    async with serving(handler) as url:
        host = url.removeprefix("http://")
        await PrometheusSource(parse_endpoint(f"http://ada:p%40ss@{host}/")).read_observations(None, END)
        assert seen == {f"{host} Basic {base64.b64encode(b'ada:p@ss').decode()}"}
        source = PrometheusSource(parse_endpoint(url, token))
        missing = await source.read_observations(None, END)
        assert "token file" in missing.unreadable[0].reason
        for text in ("first", "second"):
            token.write_text(f"{text}\n")
            await source.read_observations(None, END)
            assert f"{host} Bearer {text}" in seen


@pytest.mark.parametrize(
    "url", ["prom:9090", "ftp://prom", "http://", "http://p:x", "http://p/?tenant=pa55", "http://[p"]
)
def test_a_url_that_cannot_be_meant_is_refused_without_being_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = url.replace("//", "//ada:pa55@") if "//" in url else url
    with pytest.raises(PrometheusUrlError) as refused:
        parse_endpoint(wrong)
    assert "pa55" not in str(refused.value)
    monkeypatch.setenv("KUBETRIAGE_AGENT_INTERNAL_KEY", KEY)
    monkeypatch.setenv("KUBETRIAGE_AGENT_PROMETHEUS_URL", wrong)
    with pytest.raises(ValidationError, match="KUBETRIAGE_AGENT_PROMETHEUS_URL: ") as stopped:
        Settings()
    assert "pa55" not in stopped.value.errors()[0]["msg"]  # what the service prints of it
    done = kubetriage("diagnose", "--prometheus", wrong, "--bundle", str(ROOT / "samples" / "shop.tar.gz"))
    assert (done.returncode, "pa55" in done.stderr) == (2, False)


def test_one_prometheus_for_several_clusters_is_refused() -> None:
    with pytest.raises(ValueError, match="is of one cluster"):
        Settings(internal_key=KEY, contexts=("a", "b"), prometheus_url="http://prom:9090")  # type: ignore[arg-type]


def test_credentials_are_in_no_repr() -> None:
    endpoint = parse_endpoint("https://ada:pa55@prom.example:9090/base/")
    assert endpoint.url == "https://prom.example:9090/base"
    assert "pa55" not in repr(endpoint)
    assert endpoint.basic not in repr(endpoint)


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        ({"deployment": "web", "pod": "kube-state-metrics-0", "namespace": "shop"}, ("web", "Deployment")),
        ({"pod": "web-0", "service": "kubelet", "node": "node-1"}, ("web-0", "Pod")),
        ({"node": "node-1", "pod": "prom-kube-state-metrics-7"}, ("node-1", "Node")),
        ({"service": "web", "job": "web"}, ("web", "Service")),
        ({"job": "node-exporter"}, None),
    ],
    ids=["exporter-beside", "pod", "node", "service", "scrape-job"],
)
def test_an_alerts_labels_say_whom_it_is_about(labels: dict[str, str], target: tuple[str, str] | None) -> None:
    found = find_target(labels)
    assert ((found["target"], found["target_kind"]) if found else None) == target


def test_every_query_stays_in_the_callers_namespaces() -> None:
    for query in build_queries(("shop", "data")):
        assert ('namespace=~"shop|data"' in query.expression) is not query.name.startswith("tcp_")
