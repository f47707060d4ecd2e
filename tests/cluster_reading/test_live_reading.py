"""What a live reader makes of an API server's good and bad days."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from kubetriage.cluster.errors import ClusterUnreachableError, ForbiddenError, ObjectNotFoundError
from kubetriage.cluster.gate import refuse_unsafe
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.objects import name_of
from kubetriage.state.resources import resource_by_plural
from tests.cluster_reading.apiserver import hang, page, serving, status

PODS, NODES, SECRETS, HPA = map(resource_by_plural, ("pods", "nodes", "secrets", "horizontalpodautoscalers"))


async def test_all_pages_of_a_list_are_read() -> None:
    asked: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return page(["b"]) if request.query.get("continue") else page(["a"], "next")

    async with serving(handler) as cluster:
        listing = await cluster.list_objects(PODS, "shop", label_selector="app=a")
    assert [name_of(item) for item in listing.items] == ["a", "b"]
    assert listing.items[0]["kind"] == "Pod"
    assert asked[1] == {"limit": "2500", "continue": "next", "labelSelector": "app=a"}


async def test_an_expired_page_token_begins_the_list_anew_once() -> None:
    expired = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal expired
        if request.query.get("continue") == "old":
            expired += 1
            return status(410, "too old")
        return page(["a"], "old") if expired == 0 else page(["a", "b"])

    async with serving(handler) as cluster:
        listing = await cluster.list_objects(PODS, "shop")
    assert [name_of(item) for item in listing.items] == ["a", "b"]
    assert listing.unreadable == ()


async def test_a_list_that_keeps_expiring_says_so_and_ends() -> None:
    async def handler(request: web.Request) -> web.Response:
        return status(410, "too old") if request.query.get("continue") else page(["a"], "old")

    async with serving(handler) as cluster:
        listing = await cluster.list_objects(PODS, "shop")
    assert listing.truncated
    assert listing.unreadable[0].status == 410


@pytest.mark.parametrize(("code", "reason"), [(403, "may not"), (404, "does not serve")])
async def test_what_may_not_be_read_or_is_not_served_is_unreadable(code: int, reason: str) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return status(code, "you may not")

    async with serving(handler) as cluster:
        (gap,) = (await cluster.list_objects(HPA, "shop")).unreadable
    assert (gap.resource, gap.namespace, gap.verb, gap.status) == ("horizontalpodautoscalers", "shop", "list", code)
    assert reason in gap.reason


async def test_a_busy_server_is_asked_again_after_the_time_it_named() -> None:
    moments: list[float] = []

    async def handler(_request: web.Request) -> web.Response:
        moments.append(time.monotonic())
        return status(429, "slow down", **{"Retry-After": "1"}) if len(moments) == 1 else page(["a"])

    async with serving(handler) as cluster:
        listing = await cluster.list_objects(PODS, "shop")
    assert len(listing.items) == 1
    assert moments[1] - moments[0] >= 0.95


async def test_a_server_that_asks_for_a_long_pause_is_not_waited_for() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return status(503, "come back tomorrow", **{"Retry-After": "3600"})

    async with serving(handler) as cluster:
        listing = await cluster.list_objects(PODS, "shop")
        assert cluster.requests == 1
    assert listing.unreadable[0].status == 503


async def test_a_server_that_keeps_failing_is_given_up_after_three_tries() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return status(500, "etcd is gone")

    async with serving(handler) as cluster:
        (gap,) = (await cluster.list_objects(NODES)).unreadable
        assert cluster.requests == 3
    assert (gap.status, gap.reason) == (500, "etcd is gone")


async def test_a_broken_connection_is_tried_again() -> None:
    calls = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 1 and request.transport is not None:
            request.transport.abort()
        return page(["a"])

    async with serving(handler) as cluster:
        assert len((await cluster.list_objects(PODS, "shop")).items) == 1


async def test_a_hanging_server_costs_one_deadline_and_no_more() -> None:
    async with serving(hang, deadline=0.3) as cluster:
        begin = time.monotonic()
        (gap,) = (await cluster.list_objects(PODS, "shop")).unreadable
        with pytest.raises(ClusterUnreachableError, match=r"no answer within 0\.3 s"):
            await cluster.server_version()
        assert time.monotonic() - begin < 2
    assert "no answer within" in gap.reason


async def test_at_most_eight_requests_are_under_way() -> None:
    now = most = 0

    async def handler(_request: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return page([])

    async with serving(handler) as cluster:
        await asyncio.gather(*(cluster.list_objects(PODS, f"n{number}") for number in range(24)))
    assert most == 8


async def test_refused_credentials_end_in_one_clear_error() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return status(401, "Unauthorized")

    async with serving(handler) as cluster:
        with pytest.raises(ClusterUnreachableError, match="log in again"):
            await cluster.server_version()


async def test_without_cluster_wide_rights_namespaces_are_listed_one_by_one() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/api/v1/namespaces":
            return page(["shop", "closed"], namespace=None)
        if "/namespaces/shop/" in request.path:
            return page(["a"])
        return status(403, "may not")

    async with serving(handler) as cluster:
        listing = await cluster.list_objects(PODS)
    assert [name_of(item) for item in listing.items] == ["a"]
    assert [(gap.namespace, gap.status) for gap in listing.unreadable] == [("closed", 403)]


async def test_without_any_list_of_namespaces_the_own_one_is_read_and_the_gap_kept() -> None:
    async def handler(request: web.Request) -> web.Response:
        return page(["a"]) if "/namespaces/own/" in request.path else status(403, "may not")

    async with serving(handler, namespace="own") as cluster:
        listing = await cluster.list_objects(PODS)
    assert len(listing.items) == 1
    assert [(gap.namespace, gap.status) for gap in listing.unreadable] == [(None, 403)]


async def test_a_login_page_is_no_api_server() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text="<html>sign in</html>", content_type="text/html")

    async with serving(handler) as cluster:
        (gap,) = (await cluster.list_objects(PODS, "shop")).unreadable
        assert "no JSON" in gap.reason
        with pytest.raises(ClusterUnreachableError):
            await cluster.get_object(PODS, "a", "shop")


async def test_getting_one_object_tells_missing_from_forbidden() -> None:
    async def handler(request: web.Request) -> web.Response:
        return status(404 if request.path.endswith("/gone") else 403, "no")

    async with serving(handler) as cluster:
        with pytest.raises(ObjectNotFoundError):
            await cluster.get_object(PODS, "gone", "shop")
        with pytest.raises(ForbiddenError, match="needs get pods"):
            await cluster.get_object(PODS, "closed", "shop")


async def test_a_log_over_the_limit_keeps_its_newest_lines() -> None:
    lines = [f"line {number} {'x' * 90}\n" for number in range(200)]

    async def handler(request: web.Request) -> web.Response:
        tail = "".join(lines[-int(request.query["tailLines"]) :])
        return web.Response(text=tail[: int(request.query["limitBytes"])])  # as a kubelet does

    async with serving(handler) as cluster:
        log = await cluster.read_log(LogKey("shop", "web", "app"), tail_lines=150, limit_bytes=4_000)
    assert isinstance(log, LogText)
    assert log.text.endswith(lines[-1])
    assert log.truncated
    assert 1_000 < len(log.text) <= 4_000


async def test_a_previous_log_that_is_not_there_is_unreadable_with_the_servers_words() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.query["previous"] == "true"
        return status(400, 'previous terminated container "app" in pod "web" not found')

    async with serving(handler) as cluster:
        gap = await cluster.read_log(LogKey("shop", "web", "app", previous=True))
    assert isinstance(gap, Unreadable)
    assert (gap.resource, gap.verb, gap.status) == ("pods/log", "get", 400)
    assert "previous terminated container" in gap.reason


async def test_usage_is_in_cores_and_bytes() -> None:
    async def handler(_request: web.Request) -> web.Response:
        usage = {"cpu": "250m", "memory": "64Mi"}
        row = {"metadata": {"name": "web", "namespace": "shop"}, "containers": [{"name": "app", "usage": usage}]}
        return web.json_response({"items": [row]})

    async with serving(handler) as cluster:
        assert (await cluster.read_usage("shop")).usage == {("shop", "web", "app"): (0.25, 64 * 2**20)}


async def test_nothing_but_get_and_nothing_secret_ever_leaves() -> None:
    seen: list[tuple[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.path))
        return page([])

    async with serving(handler) as cluster:
        (gap,) = (await cluster.list_objects(SECRETS, "shop")).unreadable
        assert "never reads Secrets" in gap.reason
        for name, namespace in (("db", "shop"), ("..", "shop"), ("db", ".."), ("x/../secrets", "shop")):
            with pytest.raises(ForbiddenError):
                await cluster.get_object(SECRETS, name, namespace)
        for namespace in ("..", "a/../../b", "."):
            assert (await cluster.list_objects(PODS, namespace)).unreadable
        assert seen == []
        await cluster.list_objects(PODS, "secrets")  # a namespace may be called that
    assert seen == [("GET", "/api/v1/namespaces/secrets/pods")]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/secrets",
        "/api/v1/namespaces/shop/secrets/db",
        "/api/v1/namespaces/shop/pods/web/exec",
        "/api/v1/namespaces/shop/pods/web/attach",
        "/api/v1/namespaces/shop/pods/web/portforward",
        "/api/v1/namespaces/shop/pods/web/proxy/admin",
        "/api/v1/namespaces/shop/services/web/proxy",
        "/api/v1/nodes/n1/proxy/configz",
        "/api/v1/namespaces/shop/serviceaccounts/default/token",
        "/api/v1/watch/pods",
        "/api/v1/watch/namespaces/shop/secrets",
        "/api/v1/namespaces/shop/pods/../secrets",
        "/api/v1/namespaces/shop/pods/..%2fsecrets",
        "/api/v1//secrets",
    ],
)
def test_unsafe_paths_are_refused_whoever_asks(path: str) -> None:
    with pytest.raises(ForbiddenError):
        refuse_unsafe(path)
