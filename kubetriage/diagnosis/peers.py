"""Whom a log line is about: from a host, a port or a kind of server to objects of the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubetriage.contracts.diagnosis import ObjectRef
from kubetriage.diagnosis.graph import settings_of
from kubetriage.diagnosis.logs import LogHit
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import containers_of, name_of, namespace_of, ref_of, spec_of, status_of
from kubetriage.state.snapshot import Object

# Words in image or container names that tell what server it is, and its usual port.
_FAMILIES: Mapping[str, tuple[tuple[str, ...], int]] = {
    "mysql": (("mysql", "mariadb", "percona", "vitess", "tidb"), 3306),
    "postgres": (("postgres", "timescale", "cockroach", "patroni", "spilo"), 5432),
    "redis": (("redis", "valkey", "keydb", "dragonfly"), 6379),
    "mongodb": (("mongo",), 27017),
    "rabbitmq": (("rabbitmq",), 5672),
    "mssql": (("mssql", "sqlserver"), 1433),
}


def find_service(view: ClusterView, host: str, namespace: str | None) -> Object | None:
    """The Service behind a host name (``payments``, ``payments.shop.svc``) or a cluster address."""
    name, _, rest = host.partition(".")
    other = rest.split(".", maxsplit=1)[0] if rest and not rest.startswith("svc") else None
    found = view.snapshot.get("services", other or namespace, name)
    return found or _by_address(view, host)


def find_peers(view: ClusterView, pod: Object, _container: Mapping[str, Any], hit: LogHit) -> Iterator[ObjectRef]:
    """Objects that a line about a peer blames: the named Service, or the server of that kind."""
    namespace = namespace_of(pod)
    if hit.host and hit.host != "localhost":
        service = find_service(view, hit.host, namespace)
        if service is not None:
            yield ref_of("Service", service)
            return
    if hit.family:
        server = find_server(view, hit.family, pod)
        if server is not None:
            yield server


def find_server(view: ClusterView, family: str, client: Object) -> ObjectRef | None:
    """The workload that serves a kind of database to a client, when it can be told which.

    Several servers of one kind: the one that the client's settings name, else the one whose own
    log complains, else the one whose name shares the client's prefix.
    """
    namespace = namespace_of(client)
    words, port = _FAMILIES.get(family, ((family,), 0))
    candidates = [ref for ref, item in view.workloads() if ref.namespace == namespace and _serves(item, words, port)]
    if len(candidates) <= 1:
        return candidates[0] if candidates else None
    settings = " ".join(settings_of(view, client)).lower()
    client_name = view.workload_of(client).name
    return max(candidates, key=lambda ref: (*_fit(view, ref, settings, client_name), ref.name))


def _fit(view: ClusterView, ref: ObjectRef, settings: str, client: str) -> tuple[int, int, int]:
    hosts = {ref.name, *(name_of(service) for service in view.services_of_workload.get(ref, ()))}
    named = any(host.lower() in settings for host in hosts)
    mentioned = sum(1 for log in view.all_logs() if any(host in log.text for host in hosts))
    return int(named), mentioned, _common_prefix(ref.name, client)


def _common_prefix(left: str, right: str) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def is_server(item: Object, family: str) -> bool:
    """Whether a pod, or a workload's template, looks like a server of this kind of database."""
    words, port = _FAMILIES.get(family, ((family,), 0))
    return _serves(item, words, port)


def _serves(item: Object, words: tuple[str, ...], port: int) -> bool:
    for container in containers_of(item):
        text = f"{container.get('image', '')} {container.get('name', '')}".lower()
        if any(word in text for word in words) and "exporter" not in text:
            return True
        if port and any(entry.get("containerPort") == port for entry in container.get("ports") or ()):
            return True
    return False


def _by_address(view: ClusterView, host: str) -> Object | None:
    for service in view.snapshot.items("services"):
        if host in (spec_of(service).get("clusterIPs") or [spec_of(service).get("clusterIP")]):
            return service
    for pod in view.pods:
        if status_of(pod).get("podIP") == host:
            for service in view.snapshot.in_namespace("services", namespace_of(pod)):
                if pod in view.pods_behind(service):
                    return service
    return None
