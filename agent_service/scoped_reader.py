"""A cluster as one caller may see it, for one run.

Enforces the caller's namespaces for whatever reads through it, tools and diagnosis alike, and reads
each list once per run however many tools ask for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from kubetriage.cluster.errors import ForbiddenError
from kubetriage.cluster.reader import ClusterReader, Listing, Observations, PodUsage
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.resources import Resource
from kubetriage.state.snapshot import Object

_REASON = "outside of the caller's namespaces"
# Cluster-scoped objects that name no namespace's contents; everything else cluster-scoped stays hidden.
_SHARED = frozenset({"nodes", "namespaces", "storageclasses", "priorityclasses", "ingressclasses"})


class ScopedReader:
    """Implements ClusterReader. ``namespaces``: None means all of them."""

    def __init__(self, inner: ClusterReader, namespaces: tuple[str, ...] | None = None) -> None:
        self._inner = inner
        self.namespaces = namespaces
        self._lists: dict[tuple[str, str | None, str, str], asyncio.Task[Listing]] = {}

    @property
    def name(self) -> str:
        return self._inner.name

    def allows(self, namespace: str | None) -> bool:
        """Whether objects of this namespace may be read (None: cluster-scoped or all)."""
        return self.namespaces is None or (namespace is not None and namespace in self.namespaces)

    async def list_objects(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listing:
        key = (resource.plural, namespace, label_selector, field_selector)
        task = self._lists.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._list(resource, namespace, label_selector, field_selector))
            self._lists[key] = task
        # Shielded: a tool that runs out of time must not take the list away from the others.
        return await asyncio.shield(task)

    async def _list(self, resource: Resource, namespace: str | None, labels: str, fields: str) -> Listing:
        async def read(where: str | None) -> Listing:
            return await self._inner.list_objects(resource, where, label_selector=labels, field_selector=fields)

        if self.namespaces is None:
            return await read(namespace)
        if not resource.namespaced:
            return await self._list_shared(resource, read(None) if resource.plural in _SHARED else None)
        if namespace is not None:
            if namespace not in self.namespaces:
                return Listing(unreadable=(Unreadable(resource=resource.plural, namespace=namespace, reason=_REASON),))
            return await read(namespace)
        parts = await asyncio.gather(*(read(one) for one in self.namespaces))
        return Listing(
            items=[item for part in parts for item in part.items],
            unreadable=tuple(gap for part in parts for gap in part.unreadable),
            truncated=any(part.truncated for part in parts),
        )

    async def _list_shared(self, resource: Resource, reading: object) -> Listing:
        if reading is None:
            return Listing(unreadable=(Unreadable(resource=resource.plural, reason=_REASON),))
        listing: Listing = await reading  # type: ignore[misc]
        if resource.plural != "namespaces" or self.namespaces is None:
            return listing
        kept = [item for item in listing.items if item["metadata"]["name"] in self.namespaces]
        return Listing(items=kept, unreadable=listing.unreadable, truncated=listing.truncated)

    async def get_object(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        if self.namespaces is not None:
            hidden = resource.plural not in _SHARED or (resource.plural == "namespaces" and name not in self.namespaces)
            if (not self.allows(namespace)) if resource.namespaced else hidden:
                raise ForbiddenError(f"cannot get {resource.plural} {_REASON}")
        return await self._inner.get_object(resource, name, namespace)

    async def read_log(self, key: LogKey, *, tail_lines: int = 500, limit_bytes: int = 262_144) -> LogText | Unreadable:
        if not self.allows(key.namespace):
            return Unreadable(
                resource="pods/log", namespace=key.namespace, name=key.pod, verb="get", status=403, reason=_REASON
            )
        return await self._inner.read_log(key, tail_lines=tail_lines, limit_bytes=limit_bytes)

    async def read_usage(self, namespace: str | None = None) -> PodUsage:
        if namespace is not None and not self.allows(namespace):
            return PodUsage(
                unreadable=(Unreadable(resource="pods.metrics.k8s.io", namespace=namespace, reason=_REASON),)
            )
        found = await self._inner.read_usage(namespace or self._only)
        return PodUsage({key: value for key, value in found.usage.items() if self.allows(key[0])}, found.unreadable)

    async def read_observations(self, namespace: str | None = None) -> Observations:
        if namespace is not None and not self.allows(namespace):
            return Observations()
        found = await self._inner.read_observations(namespace or self._only)
        if self.namespaces is None:
            return found
        return Observations(
            alerts=tuple(alert for alert in found.alerts if self._in_labels(alert.labels)),
            metrics=tuple(series for series in found.metrics if self.allows(series.namespace)),
            connectivity=tuple(check for check in found.connectivity if self.allows(check.namespace)),
            unreadable=found.unreadable,
        )

    def _in_labels(self, labels: Mapping[str, str]) -> bool:
        return self.allows(labels.get("namespace"))

    @property
    def _only(self) -> str | None:
        return self.namespaces[0] if self.namespaces is not None and len(self.namespaces) == 1 else None

    async def server_version(self) -> str | None:
        return await self._inner.server_version()

    async def collected_at(self) -> datetime:
        return await self._inner.collected_at()

    async def aclose(self) -> None:
        """Ends what still reads. The cluster itself belongs to someone else and stays open."""
        for task in self._lists.values():
            task.cancel()
        await asyncio.gather(*self._lists.values(), return_exceptions=True)
