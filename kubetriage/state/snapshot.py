"""One consistent view of a cluster, or of the part of it that was asked about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.logs import LogKey, LogText

Object = Mapping[str, Any]  # an API object as the server sent it


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectivityCheck:
    """A connection that the collector tried to a Service's port."""

    namespace: str
    service: str
    port: int
    succeeded: bool
    output: str = ""
    from_nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeService:
    """``systemctl status`` of a node's service, as text."""

    node: str
    service: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A firing alert: its labels, annotations and since when."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    active_at: datetime | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSeries:
    """A series of one target. ``times`` and ``values`` have equal length; a missing sample is NaN.

    ``name`` is canonical: ``cpu_cores``, ``memory_bytes``, ``cpu_throttled_ratio``,
    ``requests_per_second``, ``success_ratio``, ``receive_bytes_per_second``,
    ``transmit_bytes_per_second``, ``latency_p50_ms``, ``latency_p90_ms`` ... ``target`` is a pod or
    workload name (``target_kind``).
    """

    name: str
    target: str
    target_kind: str
    namespace: str | None
    times: Sequence[datetime]
    values: Sequence[float]


@dataclass(frozen=True)
class Snapshot:
    """What was read, by plural resource name, and what was not.

    A key that is missing from ``objects`` was not read; a key with an empty list was read and is
    empty. ``unreadable`` says why, when reading was tried. ``namespaces`` is None for the whole
    cluster. ``usage`` maps (namespace, pod, container) to (cpu cores, memory bytes) as metrics.k8s.io
    reports them.
    """

    objects: Mapping[str, Sequence[Object]]
    collected_at: datetime
    cluster: str | None = None
    namespaces: tuple[str, ...] | None = None
    unreadable: tuple[Unreadable, ...] = ()
    logs: Mapping[LogKey, LogText] = field(default_factory=dict)
    usage: Mapping[tuple[str, str, str], tuple[float, float]] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    metrics: tuple[MetricSeries, ...] = ()
    connectivity: tuple[ConnectivityCheck, ...] = ()
    node_services: tuple[NodeService, ...] = ()
    server_version: str | None = None

    def items(self, plural: str) -> Sequence[Object]:
        """The objects of a resource; empty when it was not read (ask ``was_read`` to tell)."""
        return self.objects.get(plural, ())

    def was_read(self, plural: str, namespace: str | None = None) -> bool:
        """Whether the list of this resource is complete, in this namespace when one is given."""
        if plural not in self.objects:
            return False
        if namespace is not None and self.namespaces is not None and namespace not in self.namespaces:
            return False
        return not any(
            gap.resource == plural and gap.verb == "list" and (gap.namespace is None or gap.namespace == namespace)
            for gap in self.unreadable
        )

    def get(self, plural: str, namespace: str | None, name: str) -> Object | None:
        """One object by name, or None: not there, or not read."""
        return self._by_name.get((plural, namespace, name))

    def in_namespace(self, plural: str, namespace: str | None) -> Sequence[Object]:
        return self._by_namespace.get((plural, namespace), ())

    def count(self) -> int:
        return sum(len(items) for items in self.objects.values())

    def with_logs(self, logs: Mapping[LogKey, LogText], unreadable: Sequence[Unreadable] = ()) -> Snapshot:
        """The same state with more logs read."""
        return replace(self, logs={**self.logs, **logs}, unreadable=(*self.unreadable, *unreadable))

    def all_objects(self) -> Iterator[tuple[str, Object]]:
        for plural, items in self.objects.items():
            for item in items:
                yield plural, item

    @cached_property
    def _by_name(self) -> dict[tuple[str, str | None, str], Object]:
        return {(plural, _namespace(item), item["metadata"]["name"]): item for plural, item in self.all_objects()}

    @cached_property
    def _by_namespace(self) -> dict[tuple[str, str | None], list[Object]]:
        grouped: dict[tuple[str, str | None], list[Object]] = {}
        for plural, item in self.all_objects():
            grouped.setdefault((plural, _namespace(item)), []).append(item)
        return grouped


def _namespace(item: Object) -> str | None:
    namespace: str | None = item["metadata"].get("namespace")
    return namespace or None
