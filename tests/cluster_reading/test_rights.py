"""Which rights are needed, and which are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from kubetriage.cluster import connect
from kubetriage.cluster.rights import find_missing_rights, readable_resources, role_for, told
from tests.cluster_reading.apiserver import page, serving, status


async def test_only_what_is_refused_is_missing_and_nothing_large_is_read() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("/log"):
            return status(404, "no such pod")
        if "metrics.k8s.io" in request.path:
            return status(404, "not served")
        if not request.path.endswith("/namespaces"):  # whose names are needed where "everywhere" is refused
            asked.append(request.query.get("fieldSelector", ""))
        if request.path.endswith(("/nodes", "/cronjobs")):
            return status(403, "forbidden")
        return page([])

    async with serving(handler) as cluster:
        missing = await find_missing_rights(cluster, None)
    assert told(missing) == ["list nodes (403)", "list cronjobs (403)"]
    assert set(asked) == {"metadata.name=kubetriage-rbac-check"}


async def test_logs_and_metrics_are_rights_of_their_own() -> None:
    async def handler(request: web.Request) -> web.Response:
        closed = request.path.endswith("/log") or "metrics.k8s.io" in request.path
        return status(403, "forbidden") if closed else page([])

    async with serving(handler) as cluster:
        missing = await find_missing_rights(cluster, "shop")
    assert told(missing) == ["get pods/log (403)", "list pods.metrics.k8s.io (403)"]


def test_a_role_never_allows_secrets_or_more_than_reading() -> None:
    role = role_for(readable_resources(cluster_wide=True), name="reader", namespace=None)
    allowed = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert {verb for _, verb in allowed} == {"get", "list", "watch"}
    assert not {"secrets", "*", "pods/exec"} & {resource for resource, _ in allowed}
    assert role_for(readable_resources(cluster_wide=False), name="r", namespace="shop")["kind"] == "Role"


@pytest.mark.cluster
async def test_a_service_account_with_the_printed_role_lacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not os.environ.get("KUBECONFIG") or not shutil.which("kubectl"):
        pytest.skip("no KUBECONFIG or no kubectl: the role was not tried")

    def kubectl(*arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=True)
        return done.stdout

    kubectl("create", "namespace", "kt-rights")
    try:
        kubectl("-n", "kt-rights", "create", "serviceaccount", "probe")
        token = kubectl("-n", "kt-rights", "create", "token", "probe").strip()
        config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify"))
        config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        role = role_for(readable_resources(cluster_wide=False), name="reader", namespace="kt-rights")
        found = []
        for step in ("before", "after"):
            if step == "after":
                kubectl("create", "-f", "-", stdin=yaml.safe_dump(role))
                bind = ("--role=reader", "--serviceaccount=kt-rights:probe")
                kubectl("-n", "kt-rights", "create", "rolebinding", "reader", *bind)
            with monkeypatch.context() as patch:
                patch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
                cluster = await connect()
            found.append(len(await find_missing_rights(cluster, "kt-rights")))
            await cluster.aclose()
        assert found == [len(readable_resources(cluster_wide=False)) + 2, 0]
    finally:
        kubectl("delete", "namespace", "kt-rights", "--wait=false")
