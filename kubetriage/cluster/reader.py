"""The one interface to a cluster, live or captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.resources import Resource
from kubetriage.state.snapshot import Alert, ConnectivityCheck, MetricSeries, NodeService, Object


@dataclass(frozen=True, slots=True)
class Listing:
    """What a LIST brought. ``unreadable`` is set when it failed or is incomplete; then an object
    that is missing from ``items`` may well exist."""

    items: Sequence[Object] = ()
    unreadable: tuple[Unreadable, ...] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Observations:
    """What a capture holds besides API objects; empty for a live cluster without Prometheus."""

    alerts: tuple[Alert, ...] = ()
    metrics: tuple[MetricSeries, ...] = ()
    connectivity: tuple[ConnectivityCheck, ...] = ()
    node_services: tuple[NodeService, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True)
class PodUsage:
    """metrics.k8s.io: (namespace, pod, container) to (cpu cores, memory bytes)."""

    usage: dict[tuple[str, str, str], tuple[float, float]] = field(default_factory=dict)
    unreadable: tuple[Unreadable, ...] = ()


class ClusterReader(Protocol):
    """Reads, and only reads. Every method is safe to call concurrently.

    What may not be read (403), is not served (404 of the resource) or timed out comes back in
    ``unreadable``, never as an exception and never as an empty list alone. Only what makes any
    answer impossible raises ``ClusterUnreachableError``.
    """

    @property
    def name(self) -> str:
        """What people call it: the kubeconfig context, or the bundle's file name."""

    async def list_objects(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listing:
        """All objects of a resource, in a namespace or (None) everywhere. Follows paging."""

    async def get_object(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """One object. Raises ObjectNotFoundError, ForbiddenError, ClusterUnreachableError."""

    async def read_log(self, key: LogKey, *, tail_lines: int = 500, limit_bytes: int = 262_144) -> LogText | Unreadable:
        """The tail of a container's log, capped in lines and bytes."""

    async def read_usage(self, namespace: str | None = None) -> PodUsage:
        """Current CPU and memory of containers, where metrics.k8s.io is served."""

    async def read_observations(self, namespace: str | None = None) -> Observations:
        """Alerts, metric series, connection checks and node services, where there are any."""

    async def server_version(self) -> str | None:
        """``v1.35.4``, or None when it is not known."""

    async def collected_at(self) -> datetime:
        """The time that this state is of: now for a live cluster, the capture's end for a bundle."""

    async def aclose(self) -> None:
        """Frees connections and files."""


class MetricsSource(Protocol):
    """What keeps the history that a cluster itself does not. Never raises: what could not be had comes back in
    ``unreadable``."""

    async def read_observations(self, namespaces: tuple[str, ...] | None, until: datetime) -> Observations:
        """Metrics and alerts of these namespaces (None: all), of the time before ``until``."""
