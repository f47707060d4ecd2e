"""Bundles in every layout, from files written here."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from kubetriage.cluster import open_bundle
from kubetriage.cluster.errors import BundleFormatError, ClusterError, ObjectNotFoundError
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.resources import resource_by_plural

PODS, EVENTS, NODES = map(resource_by_plural, ("pods", "events", "nodes"))


def pod(name: str, namespace: str = "shop") -> dict:
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"app": name}}}


TROUBLESHOOT = {
    "cluster-resources/pods/shop.json": json.dumps({"kind": "List", "items": [pod("cart"), pod("web")]}),
    "cluster-resources/services/shop.json": json.dumps([{"metadata": {"name": "web"}}]),
    "cluster-resources/events/shop.json": json.dumps(
        [{"regarding": {"kind": "Pod", "name": "web"}, "note": "why", "deprecatedCount": 3}]
    ),
    "cluster-resources/pods/logs/shop/web/app.log": "one\ntwo\nthree\n",
    "cluster-resources/pods/logs/shop/web/app-previous.log": "before\n",
    "cluster-resources/pods/logs/shop/cart/app-logs-errors.log": "container is waiting to start\n",
    "collection.json": json.dumps({"collectedAt": "2026-01-02T03:04:05Z", "logs": "error-samples-only"}),
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def pack(path: Path, files: dict[str, str], prefix: str = "support-bundle/") -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(prefix + name, text)
        return path
    with tarfile.open(path, f"w:{path.suffix[1:] if path.suffix != '.tar' else ''}") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz", "b.tar.xz", "b.tar.bz2", "b.zip"])
async def test_every_kind_of_archive_reads_like_the_folder(tmp_path: Path, name: str) -> None:
    bundle = open_bundle(pack(tmp_path / name, TROUBLESHOOT))
    listing = await bundle.list_objects(PODS, "shop")
    assert [item["metadata"]["name"] for item in listing.items] == ["cart", "web"]
    assert listing.unreadable == ()


async def test_what_a_bundle_does_not_hold_is_unreadable_and_not_empty(tmp_path: Path) -> None:
    bundle = open_bundle(write(tmp_path, TROUBLESHOOT))
    for resource, namespace in ((NODES, None), (PODS, "elsewhere")):
        listing = await bundle.list_objects(resource, namespace)
        assert listing.items == ()
        assert [gap.reason for gap in listing.unreadable] == ["not in this bundle"]


async def test_logs_tell_current_previous_refused_and_sampled_apart(tmp_path: Path) -> None:
    bundle = open_bundle(write(tmp_path, TROUBLESHOOT))
    current = await bundle.read_log(LogKey("shop", "web", "app"), tail_lines=2)
    assert current == LogText("two\nthree", truncated=True, samples_only=True)
    previous = await bundle.read_log(LogKey("shop", "web", "app", previous=True))
    assert isinstance(previous, LogText)
    assert previous.text == "before"
    refused = await bundle.read_log(LogKey("shop", "cart", "app"))
    assert isinstance(refused, Unreadable)
    assert refused.reason == "container is waiting to start"
    assert isinstance(await bundle.read_log(LogKey("shop", "none", "app")), Unreadable)


async def test_newer_events_get_their_core_form(tmp_path: Path) -> None:
    (event,) = (await open_bundle(write(tmp_path, TROUBLESHOOT)).list_objects(EVENTS, "shop")).items
    assert event["involvedObject"]["name"] == "web"
    assert (event["message"], event["count"]) == ("why", 3)


async def test_selectors_and_get_work_without_a_server(tmp_path: Path) -> None:
    bundle = open_bundle(write(tmp_path, TROUBLESHOOT))
    listing = await bundle.list_objects(PODS, "shop", label_selector="app in (web)", field_selector="metadata.name!=x")
    assert [item["metadata"]["name"] for item in listing.items] == ["web"]
    with pytest.raises(ObjectNotFoundError):
        await bundle.get_object(PODS, "nope", "shop")


async def test_a_damaged_file_costs_only_its_own_objects(tmp_path: Path) -> None:
    files = {**TROUBLESHOOT, "cluster-resources/pods/other.json": '{"items": ['}
    listing = await open_bundle(write(tmp_path, files)).list_objects(PODS)
    assert len(listing.items) == 2
    assert [gap.namespace for gap in listing.unreadable] == ["other"]


async def test_a_cluster_info_dump_is_read_with_its_joined_logs(tmp_path: Path) -> None:
    log = (
        "==== START logs for container a of pod shop/web ====\nfrom a\n"
        "==== END logs for container a of pod shop/web ====\n"
        "==== START logs for container b of pod shop/web ====\nfrom b\n"
        "==== END logs for container b of pod shop/web ====\n"
    )
    files = {
        "nodes.json": json.dumps({"items": [{"metadata": {"name": "n1"}}]}),
        "shop/pods.json": json.dumps({"items": [pod("web")]}),
        "shop/web/logs.txt": log,
    }
    bundle = open_bundle(write(tmp_path, files))
    assert len((await bundle.list_objects(NODES)).items) == 1
    assert len((await bundle.list_objects(PODS, "shop")).items) == 1
    text = await bundle.read_log(LogKey("shop", "web", "b"))
    assert isinstance(text, LogText)
    assert text.text == "from b"


async def test_a_must_gather_is_read_below_its_image_folder(tmp_path: Path) -> None:
    root = "registry-example-sha256-abc/"
    files = {
        root + "namespaces/shop/core/pods.yaml": "kind: PodList\nitems:\n- metadata: {name: web, namespace: shop}\n",
        root + "namespaces/shop/pods/web/app/app/logs/current.log": "now\n",
        root + "namespaces/shop/pods/web/app/app/logs/previous.log": "then\n",
        root + "cluster-scoped-resources/core/nodes/n1.yaml": "kind: Node\nmetadata: {name: n1}\n",
        root + "cluster-scoped-resources/core/nodes/n2.yaml": "kind: Node\nmetadata: {name: n2}\n",
    }
    bundle = open_bundle(write(tmp_path, files))
    assert {item["metadata"]["name"] for item in (await bundle.list_objects(NODES)).items} == {"n1", "n2"}
    assert len((await bundle.list_objects(PODS, "shop")).items) == 1
    previous = await bundle.read_log(LogKey("shop", "web", "app", previous=True))
    assert isinstance(previous, LogText)
    assert previous.text == "then"


@pytest.mark.parametrize("name", ["../evil.json", "/etc/evil.json", "a/../../evil.json"])
@pytest.mark.parametrize("kind", ["b.tar.gz", "b.zip"])
def test_paths_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    with pytest.raises(BundleFormatError, match="leads out"):
        open_bundle(pack(tmp_path / kind, {**TROUBLESHOOT, name: "x"}, prefix=""))


async def test_links_in_archives_and_out_of_folders_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.log"
    secret.write_text("top secret")
    folder = write(tmp_path / "folder", TROUBLESHOOT)
    (folder / "cluster-resources/pods/logs/shop/web/side.log").symlink_to(secret)
    archive = tmp_path / "b.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, arcname="bundle")
    for path in (folder, archive):
        assert isinstance(await open_bundle(path).read_log(LogKey("shop", "web", "side")), Unreadable)


@pytest.mark.parametrize("kind", ["b.tar.gz", "b.tar.xz", "b.zip"])
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path, kind: str) -> None:
    size = 80 * 2**20
    path = tmp_path / kind
    if kind == "b.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("cluster-resources/pods/a.json", b"\0" * size)
    else:
        with tarfile.open(path, f"w:{kind.rsplit('.', 1)[1]}") as tar:
            info = tarfile.TarInfo("cluster-resources/pods/a.json")
            info.size = size
            tar.addfile(info, io.BytesIO(b"\0" * size))
    assert path.stat().st_size < size / 500
    with pytest.raises(BundleFormatError, match="far more"):
        open_bundle(path)


async def test_damaged_archives_end_in_a_bundle_error_and_nothing_else(tmp_path: Path) -> None:
    chance = random.Random(7)
    opened = 0
    for kind in ("b.tar", "b.tar.gz", "b.tar.xz", "b.zip"):
        whole = pack(tmp_path / kind, TROUBLESHOOT).read_bytes()
        for _ in range(60):
            data = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
            for _ in range(chance.randrange(8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            path = tmp_path / f"broken-{kind}"
            path.write_bytes(data)
            try:
                bundle = open_bundle(path)
                await bundle.list_objects(PODS)
                opened += 1
            except ClusterError:
                continue
    assert opened > 0


def test_what_is_no_bundle_says_which_layouts_are_known(tmp_path: Path) -> None:
    with pytest.raises(BundleFormatError, match="must-gather"):
        open_bundle(write(tmp_path, {"readme.txt": "hello"}))
    with pytest.raises(BundleFormatError, match="does not exist"):
        open_bundle(tmp_path / "nothing.tar.gz")


async def test_metrics_in_local_time_end_at_the_capture(tmp_path: Path) -> None:
    files = {
        **TROUBLESHOOT,
        "prometheus/metrics.csv": (
            "\ufefftime,web-cpu,cart-p90latency\n2026-01-02 11:02:00,0.5,\n2026-01-02 11:03:00,0.7,12\n"
        ),
    }
    series = (await open_bundle(write(tmp_path, files)).read_observations("shop")).metrics
    by_name = {one.name: one for one in series}
    assert by_name["cpu_cores"].times[-1].isoformat() == "2026-01-02T03:03:00+00:00"
    assert by_name["latency_p90_ms"].values[0] != by_name["latency_p90_ms"].values[0]  # a gap is NaN
    assert by_name["latency_p90_ms"].target == "cart"
