"""From a kubeconfig to a reader, and what is said when that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kubetriage.cluster import connect
from kubetriage.cluster.errors import ClusterUnreachableError, UnknownClusterError


def kubeconfig(path: Path, user: dict | None = None, current: str | None = "one") -> Path:
    clusters = [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}]
    contexts = [{"name": name, "context": {"cluster": "c", "user": "u", "namespace": "own"}} for name in ("one", "two")]
    users = [{"name": "u", "user": user if user is not None else {"token": "t0p-secret"}}]
    document = {"apiVersion": "v1", "kind": "Config", "clusters": clusters, "contexts": contexts, "users": users}
    path.write_text(json.dumps({**document, **({"current-context": current} if current else {})}))
    return path


async def test_the_current_context_is_used_unless_another_is_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config")
    for context, name in ((None, "one"), ("two", "two")):
        cluster = await connect(context, kubeconfig=str(path))
        assert cluster.name == name
        await cluster.aclose()


async def test_an_unknown_context_lists_the_known_ones(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config")
    with pytest.raises(UnknownClusterError, match="there are: one, two"):
        await connect("three", kubeconfig=str(path))
    with pytest.raises(UnknownClusterError, match="no current context"):
        await connect(kubeconfig=str(kubeconfig(path, current=None)))


async def test_without_a_kubeconfig_the_places_looked_at_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterUnreachableError, match=r"looked at .*nowhere"):
        await connect(kubeconfig=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", ["a: [", "just text", "contexts: [{}]", "contexts: 5"])
async def test_a_damaged_kubeconfig_is_named_without_quoting_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(f"# t0p-secret\n{text}")
    with pytest.raises((ClusterUnreachableError, UnknownClusterError)) as caught:
        await connect(kubeconfig=str(path))
    assert "config" in str(caught.value)
    assert "t0p-secret" not in str(caught.value)


async def test_a_failing_credential_plugin_is_named(tmp_path: Path) -> None:
    plugin = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "args": []}}
    with pytest.raises(ClusterUnreachableError, match="credential plugin 'false'"):
        await connect(kubeconfig=str(kubeconfig(tmp_path / "config", user=plugin)))


async def test_nobody_at_the_address_is_unreachable_and_names_the_cluster(tmp_path: Path) -> None:
    cluster = await connect(kubeconfig=str(kubeconfig(tmp_path / "config")))
    try:
        with pytest.raises(ClusterUnreachableError, match="cluster 'one' does not answer"):
            await cluster.server_version()
    finally:
        await cluster.aclose()


def test_reading_a_bundle_imports_no_client_and_the_client_brings_no_more_than_it_needs() -> None:
    code = (
        "import sys, kubetriage.cluster.bundle\n"
        "assert not {'kubernetes', 'aiohttp'} & set(sys.modules), 'a bundle needs no client'\n"
        "from kubetriage.cluster.client import load_client\n"
        "client, config = load_client()\n"
        "assert 'requests_oauthlib' not in sys.modules, 'the synchronous client came along'\n"
        "import kubernetes\n"
        "from kubernetes import aio\n"
        "assert aio.client.ApiClient is client.ApiClient\n"
        "assert kubernetes.client.CoreV1Api, 'the whole package still works for others'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
