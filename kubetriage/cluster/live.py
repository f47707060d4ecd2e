"""A live cluster through ``kubernetes.aio``: raw JSON, paged, bounded, and reads only.

The client's generated models cost 14 times the CPU of the JSON itself, so only its configuration
(kubeconfig, exec plugins, in-cluster tokens) and its HTTP layer are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson

from kubetriage.cluster.errors import ClusterUnreachableError, ForbiddenError, ObjectNotFoundError
from kubetriage.cluster.gate import DEADLINE, Answer, ApiGate
from kubetriage.cluster.reader import Listing, Observations, PodUsage
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.objects import name_of
from kubetriage.state.quantities import parse_quantity
from kubetriage.state.resources import Resource, resource_by_plural
from kubetriage.state.snapshot import Object

# Objects. kubectl's chunk is 500; fewer and larger answers cost the API server and us less.
PAGE = 2500
NEVER_READ = "kubetriage never reads Secrets"


class LiveCluster:
    """One cluster; ``aclose`` it when done. ``namespace`` is the one that the caller works in, read
    when namespaces may not be listed. ``deadline``: seconds for one HTTP call."""

    def __init__(self, name: str, api: Any, *, namespace: str | None = None, deadline: float = DEADLINE) -> None:
        self._name = name
        self._gate = ApiGate(api, deadline=deadline)
        self._namespace = namespace
        self._namespaces: asyncio.Task[list[str] | None] | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def requests(self) -> int:
        """HTTP calls made so far, retries included."""
        return self._gate.requests

    async def list_objects(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listing:
        if resource.plural == "secrets":
            return Listing(unreadable=(_gap(resource, namespace, Answer(0, reason=NEVER_READ)),))
        query = {"labelSelector": label_selector, "fieldSelector": field_selector, "limit": str(PAGE)}
        listing = await self._list(resource, namespace, query)
        refused = any(gap.status == 403 for gap in listing.unreadable)
        if refused and namespace is None and resource.namespaced and not listing.items:
            return await self._list_each(resource, query, listing)
        return listing

    async def get_object(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        answer = await self._gate.get(f"{_path(resource, namespace)}/{quote(name, safe='')}")
        if answer.status == 200:
            found: Object = _json(answer)
            return found
        where = f" in namespace {namespace}" if namespace else ""
        if answer.status == 404:
            raise ObjectNotFoundError(f"{resource.kind} {name!r} not found{where}")
        what = f"cannot read {resource.kind} {name!r}{where}"
        if answer.status in (401, 403):
            raise ForbiddenError(f"{what}: needs get {resource.qualified} ({answer.reason})")
        raise ClusterUnreachableError(f"{what}: {answer.reason}")

    async def read_log(self, key: LogKey, *, tail_lines: int = 500, limit_bytes: int = 262_144) -> LogText | Unreadable:
        path = f"/api/v1/namespaces/{quote(key.namespace, safe='')}/pods/{quote(key.pod, safe='')}/log"
        query = {
            "container": key.container,
            "limitBytes": str(limit_bytes),
            "timestamps": "true",
            "previous": "true" if key.previous else "",
        }
        lines = tail_lines
        while True:
            answer = await self._gate.get(path, {**query, "tailLines": str(lines)})
            if answer.status != 200:
                return Unreadable(
                    resource="pods/log",
                    namespace=key.namespace,
                    name=key.pod,
                    verb="get",
                    status=answer.status or None,
                    reason=answer.reason,
                )
            got = answer.body.count(b"\n")
            # limitBytes keeps the beginning of the tail: the newest lines need a shorter tail.
            if len(answer.body) < limit_bytes or lines <= 1:
                text = answer.body.decode("utf-8", "replace")
                return LogText(text, truncated=got >= lines or lines < tail_lines or len(answer.body) >= limit_bytes)
            lines = max(1, min(got, lines) * 3 // 4)

    async def read_usage(self, namespace: str | None = None) -> PodUsage:
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        answer = await self._gate.get(f"/apis/metrics.k8s.io/v1beta1{scope}/pods")
        if answer.status == 200:
            return PodUsage(parse_usage(_json(answer)))
        if answer.status == 404:  # no metrics-server: nothing that rights would change
            return PodUsage()
        gap = Unreadable(
            resource="pods.metrics.k8s.io", namespace=namespace, status=answer.status or None, reason=answer.reason
        )
        return PodUsage({}, (gap,))

    async def read_observations(self, namespace: str | None = None) -> Observations:
        """Nothing: a cluster keeps no alerts and no history by itself."""
        del namespace
        return Observations()

    async def server_version(self) -> str | None:
        """Also the test of the connection: raises ClusterUnreachableError when nothing answers or
        the credentials are not accepted."""
        answer = await self._gate.get("/version", urgent=True)
        if answer.status == 0:
            raise ClusterUnreachableError(f"cluster {self._name!r} does not answer: {answer.reason}")
        if answer.status == 401:
            raise ClusterUnreachableError(
                f"cluster {self._name!r} does not accept these credentials (401): log in again, then retry"
            )
        return _json(answer).get("gitVersion") if answer.status == 200 else None

    async def collected_at(self) -> datetime:
        return datetime.now(UTC)

    async def aclose(self) -> None:
        await self._gate.aclose()

    async def _list(self, resource: Resource, namespace: str | None, query: Mapping[str, str]) -> Listing:
        items: list[Object] = []
        token, restarted = "", False
        try:
            path = _path(resource, namespace)
            while True:
                answer = await self._gate.get(path, {**query, "continue": token})
                if answer.status == 410 and token and not restarted:  # the list's state expired: anew, once
                    items, token, restarted = [], "", True
                    continue
                if answer.status == 404 and resource.optional:
                    return Listing()
                if answer.status != 200:
                    return Listing(items, (_gap(resource, namespace, answer),), truncated=bool(items))
                page = _json(answer)
                for item in page.get("items") or ():
                    item.setdefault("kind", resource.kind)
                    items.append(item)
                token = (page.get("metadata") or {}).get("continue") or ""
                if not token:
                    return Listing(items)
        except (ForbiddenError, ClusterUnreachableError) as error:
            gap = _gap(resource, namespace, Answer(0, reason=str(error)))
            return Listing(items, (gap,), truncated=bool(items))

    async def _list_each(self, resource: Resource, query: Mapping[str, str], refused: Listing) -> Listing:
        """For callers who may list in namespaces, but not everywhere."""
        if self._namespaces is None:
            self._namespaces = asyncio.create_task(self._namespace_names())
        known = await self._namespaces
        names = known if known is not None else [self._namespace] if self._namespace else []
        listings = await asyncio.gather(*(self._list(resource, name, query) for name in names))
        readable = [listing for listing in listings if listing.items or not listing.unreadable]
        if not readable:
            return refused
        gaps = [gap for listing in listings for gap in listing.unreadable]
        if known is None:  # there may be namespaces that we know nothing of
            gaps.extend(refused.unreadable)
        return Listing([item for listing in readable for item in listing.items], tuple(gaps))

    async def _namespace_names(self) -> list[str] | None:
        listing = await self._list(resource_by_plural("namespaces"), None, {"limit": str(PAGE)})
        return None if listing.unreadable else [name_of(item) for item in listing.items]


def parse_usage(document: Mapping[str, Any]) -> dict[tuple[str, str, str], tuple[float, float]]:
    """PodMetricsList to (namespace, pod, container) → (cores, bytes)."""
    usage: dict[tuple[str, str, str], tuple[float, float]] = {}
    for item in document.get("items") or ():
        about = item["metadata"]
        for container in item.get("containers") or ():
            used = container.get("usage") or {}
            key = (str(about.get("namespace")), str(about["name"]), str(container.get("name")))
            usage[key] = (parse_quantity(used.get("cpu")) or 0.0, parse_quantity(used.get("memory")) or 0.0)
    return usage


def _path(resource: Resource, namespace: str | None) -> str:
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace and resource.namespaced else ""
    return f"{resource.api_path}{scope}/{resource.plural}"


def _gap(resource: Resource, namespace: str | None, answer: Answer) -> Unreadable:
    reason = f"the API server does not serve {resource.qualified}" if answer.status == 404 else answer.reason
    where = namespace if resource.namespaced else None
    return Unreadable(resource=resource.plural, namespace=where, status=answer.status or None, reason=reason)


def _json(answer: Answer) -> Any:
    """Raises ClusterUnreachableError: a login page or a proxy's error page is no API server."""
    try:
        document = orjson.loads(answer.body)
    except ValueError as error:
        raise ClusterUnreachableError("the server answered with something that is no JSON") from error
    if not isinstance(document, dict):
        raise ClusterUnreachableError("the server answered with something that is no API object")
    return document
