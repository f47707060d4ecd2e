"""What is collected reads back the same, without its secrets."""

from __future__ import annotations

import tarfile
from pathlib import Path

from aiohttp import web

from kubetriage.cluster import collect_bundle, open_bundle
from kubetriage.cluster.live import LiveCluster
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.objects import name_of
from kubetriage.state.resources import RESOURCES, resource_by_plural
from tests.cluster_reading.apiserver import serving, status

PASSWORD = "hunter2-and-more"
POD = {
    "metadata": {"name": "web", "namespace": "shop", "managedFields": [{"manager": "kubectl"}]},
    "spec": {"containers": [{"name": "app", "env": [{"name": "DB_PASSWORD", "value": PASSWORD}]}]},
    "status": {"containerStatuses": [{"name": "app", "restartCount": 2, "state": {"waiting": {"reason": "X"}}}]},
}
CONFIG = {
    "metadata": {"name": "c", "namespace": "shop"},
    "data": {"API_TOKEN": PASSWORD, "url": f"db://u:{PASSWORD}@h"},
}
LISTS = {"pods": [POD], "configmaps": [CONFIG], "nodes": [{"metadata": {"name": "n1"}}]}


async def shop(request: web.Request) -> web.Response:
    """A cluster with one pod, where leases may not be listed and jobs are not served."""
    assert request.method == "GET"
    assert "secrets" not in request.path
    plural = request.path.rsplit("/", 1)[1]
    if plural == "version":
        return web.json_response({"gitVersion": "v1.35.4"})
    if "metrics.k8s.io" in request.path:
        row = {
            "metadata": {"name": "web", "namespace": "shop"},
            "containers": [{"name": "app", "usage": {"cpu": "1m"}}],
        }
        return web.json_response({"items": [row]})
    if plural == "log":
        if request.query.get("previous"):
            return web.Response(text=f"password={PASSWORD}\npanic: no route\n")
        return status(400, "container is waiting to start")
    if plural == "leases":
        return status(403, "may not list leases")
    if plural == "jobs":
        return status(404, "not found")
    found = LISTS.get(plural, []) if "/namespaces/kube-system/" not in request.path else []
    return web.json_response({"items": found})


async def collected(cluster: LiveCluster, out: Path, namespaces: list[str] | None) -> Path:
    said: list[str] = []
    report = await collect_bundle(cluster, out, namespaces=namespaces, progress=said.append)
    assert report.path == out
    assert report.size == len(out.read_bytes())  # noqa: ASYNC240 - a test may block
    assert any("pods" in line for line in said)
    return out


async def test_everything_collected_reads_back_and_so_do_the_refusals(tmp_path: Path) -> None:
    async with serving(shop) as cluster:
        for namespaces in (None, ["shop"]):
            bundle = open_bundle(await collected(cluster, tmp_path / "b.tar.gz", namespaces))
            for resource in RESOURCES:
                if resource.plural == "secrets":
                    continue
                live = await cluster.list_objects(resource, "shop")
                back = await bundle.list_objects(resource, "shop")
                assert [name_of(item) for item in back.items] == [name_of(item) for item in live.items]
                assert [gap.status for gap in back.unreadable] == [gap.status for gap in live.unreadable]
            assert (await bundle.read_usage("shop")).usage == (await cluster.read_usage("shop")).usage
            assert await bundle.server_version() == "v1.35.4"


async def test_previous_logs_and_refused_logs_read_back(tmp_path: Path) -> None:
    async with serving(shop) as cluster:
        bundle = open_bundle(await collected(cluster, tmp_path / "b.tar.gz", ["shop"]))
    previous = await bundle.read_log(LogKey("shop", "web", "app", previous=True))
    assert isinstance(previous, LogText)
    assert "panic: no route" in previous.text
    current = await bundle.read_log(LogKey("shop", "web", "app"))
    assert isinstance(current, Unreadable)
    assert current.reason == "container is waiting to start"


async def test_no_secret_is_in_the_archive(tmp_path: Path) -> None:
    async with serving(shop) as cluster:
        out = await collected(cluster, tmp_path / "b.tar.gz", None)
    with tarfile.open(out) as archive:
        contents = {member.name: archive.extractfile(member).read() for member in archive}
    assert not [name for name in contents if "secret" in name]
    assert not [name for name, content in contents.items() if PASSWORD.encode() in content]
    assert not [name for name, content in contents.items() if b"managedFields" in content]
    pods = next(content for name, content in contents.items() if name.endswith("pods/shop.json"))
    assert b"DB_PASSWORD" in pods  # the name stays: rules need it


async def test_a_namespace_that_was_not_asked_for_is_unreadable_in_the_bundle(tmp_path: Path) -> None:
    pods = resource_by_plural("pods")
    async with serving(shop) as cluster:
        part = open_bundle(await collected(cluster, tmp_path / "part.tar.gz", ["shop"]))
        whole = open_bundle(await collected(cluster, tmp_path / "whole.tar.gz", None))
    assert (await part.list_objects(pods, "other")).unreadable
    assert not (await whole.list_objects(pods, "other")).unreadable
