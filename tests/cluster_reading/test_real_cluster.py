"""Against the cluster that KUBECONFIG names."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kubetriage.cluster import collect_bundle, connect, open_bundle
from kubetriage.cluster.live import LiveCluster
from kubetriage.contracts.diagnosis import Scope
from kubetriage.investigation import investigate
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.objects import name_of, namespace_of
from kubetriage.state.resources import RESOURCES, resource_by_plural

pytestmark = pytest.mark.cluster


@pytest.fixture
async def cluster() -> AsyncIterator[LiveCluster]:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no cluster: KUBECONFIG is not set")
    live = await connect()
    yield live
    await live.aclose()


async def test_every_kind_that_we_know_is_served_and_readable(cluster: LiveCluster) -> None:
    for resource in RESOURCES:
        if resource.plural != "secrets" and not resource.optional:
            assert (await cluster.list_objects(resource)).unreadable == (), resource.qualified


async def test_logs_of_a_running_pod_are_read(cluster: LiveCluster) -> None:
    pods = await cluster.list_objects(resource_by_plural("pods"), "kube-system", label_selector="k8s-app=kube-dns")
    pod = pods.items[0]
    key = LogKey(namespace_of(pod) or "", name_of(pod), pod["spec"]["containers"][0]["name"])
    assert isinstance(await cluster.read_log(key, tail_lines=5), LogText)


async def test_a_capture_gets_the_same_diagnosis_as_the_cluster(cluster: LiveCluster, tmp_path: Path) -> None:
    live = await investigate(cluster, Scope(namespace="kube-system"))
    await collect_bundle(cluster, tmp_path / "b.tar.gz", namespaces=["kube-system"])
    captured = await investigate(open_bundle(tmp_path / "b.tar.gz"), Scope(namespace="kube-system"))
    assert [incident.cause for incident in captured.incidents] == [incident.cause for incident in live.incidents]
