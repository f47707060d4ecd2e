"""A captured cluster behind the ClusterReader interface."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from kubetriage.cluster.bundle.files import BundleFiles, open_files
from kubetriage.cluster.bundle.layouts import BundleIndex, build_index
from kubetriage.cluster.bundle.observed import (
    parse_alerts,
    parse_connectivity,
    parse_metrics,
    parse_node_service,
)
from kubetriage.cluster.errors import BundleFormatError, ObjectNotFoundError
from kubetriage.cluster.reader import Listing, Observations, PodUsage
from kubetriage.cluster.selectors import matches_fields, matches_labels
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.objects import name_of
from kubetriage.state.quantities import parse_quantity
from kubetriage.state.resources import Resource, resource_by_plural
from kubetriage.state.snapshot import Object
from kubetriage.state.times import parse_time

_NOT_THERE = "not in this bundle"
_NODE_SERVICE = re.compile(r"nodes/(?P<node>[^/]+)/services/(?P<service>[^/]+)\.txt$")
_DUMP_HEADER = re.compile(r"^==== (?:START|END) logs for container (?P<container>\S+) of pod", re.MULTILINE)


def open_bundle(path: Path) -> BundleCluster:
    """A bundle folder or archive. Raises BundleFormatError when it is none."""
    files = open_files(path)
    name = re.sub(r"\.(tar|tgz|zip)(\.\w+)?$", "", path.name)
    return BundleCluster(name, files, build_index(files.paths()))


class BundleCluster:
    """Files are parsed when first asked for, and once."""

    def __init__(self, name: str, files: BundleFiles, index: BundleIndex) -> None:
        self._name = name
        self._files = files
        self._index = index
        self._parsed: dict[str, list[Object]] = {}
        about = self._document("collection.json")
        self._about: Mapping[str, Any] = about if isinstance(about, dict) else {}

    @property
    def name(self) -> str:
        return self._name

    def namespaces(self) -> list[str]:
        """Namespaces of which anything was captured."""
        return sorted({namespace for _, namespace in self._index.objects if namespace})

    async def list_objects(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listing:
        gaps = [gap for gap in self._recorded_gaps() if gap.resource == resource.plural and gap.verb == "list"]
        keys = self._keys(resource, namespace)
        if not keys:
            where = namespace if resource.namespaced else None
            told = [gap for gap in gaps if gap.namespace in (None, namespace)]
            if not told and self._about.get("scope") == "all" and self._keys(resource, None):
                return Listing()  # read everywhere, and nothing was in this namespace
            return Listing(unreadable=tuple(told) or (_gap(resource, where, _NOT_THERE),))
        relevant = [gap for gap in gaps if namespace is None or gap.namespace in (None, namespace)]
        items: list[Object] = []
        for key in keys:
            for path in self._index.objects[key]:
                try:
                    found = self._items(path, resource, key[1])
                except BundleFormatError as error:
                    relevant.append(_gap(resource, key[1], str(error)))
                    continue
                items.extend(
                    item
                    for item in found
                    if matches_labels(item, label_selector)
                    and matches_fields(item, field_selector)
                    and (namespace is None or not resource.namespaced or item["metadata"].get("namespace") == namespace)
                )
        return Listing(items, tuple(relevant))

    async def get_object(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        listing = await self.list_objects(resource, namespace)
        for item in listing.items:
            if item["metadata"]["name"] == name:
                return item
        why = f"; {listing.unreadable[0].reason}" if listing.unreadable else ""
        raise ObjectNotFoundError(f"{resource.kind} {name!r} is not in the bundle{why}")

    async def read_log(self, key: LogKey, *, tail_lines: int = 500, limit_bytes: int = 262_144) -> LogText | Unreadable:
        text = self._log(key)
        if text is None:
            refusal = self._index.refusals.get(key)
            reason = self._text(refusal).strip() if refusal else _NOT_THERE
            return Unreadable(
                resource="pods/log", namespace=key.namespace, name=key.pod, verb="get", reason=reason[:300]
            )
        lines = text.splitlines()[-tail_lines:]
        tail = "\n".join(lines)[-limit_bytes:]
        return LogText(
            tail,
            truncated=len(tail) < len(text.rstrip("\n")),
            samples_only=self._about.get("logs") == "error-samples-only",
        )

    async def read_usage(self, namespace: str | None = None) -> PodUsage:
        document = self._document("metrics/pods.json")
        usage: dict[tuple[str, str, str], tuple[float, float]] = {}
        for item in (document or {}).get("items") or ():
            about = item["metadata"]
            if namespace is not None and about.get("namespace") != namespace:
                continue
            for container in item.get("containers") or ():
                used = container.get("usage") or {}
                key = (str(about.get("namespace")), str(about["name"]), str(container.get("name")))
                usage[key] = (
                    parse_quantity(used.get("cpu")) or 0.0,
                    parse_quantity(used.get("memory")) or 0.0,
                )
        gaps = (gap for gap in self._recorded_gaps() if gap.resource == "pods.metrics.k8s.io")
        return PodUsage(usage, tuple(gaps))

    async def read_observations(self, namespace: str | None = None) -> Observations:
        alerts = self._document("prometheus/alerts.json")
        checks = self._document("connectivity.json")
        kinds = self._kinds(namespace)
        table = self._index.root + "prometheus/metrics.csv"
        metrics = parse_metrics(self._text(table), kinds, namespace, self._shift()) if table in self._known else ()
        services = tuple(
            parse_node_service(match["node"], match["service"], self._text(path))
            for path in self._files.paths()
            if (match := _NODE_SERVICE.search(path))
        )
        return Observations(
            alerts=parse_alerts(alerts, kinds) if alerts else (),
            metrics=metrics,
            connectivity=parse_connectivity(checks) if checks else (),
            node_services=services,
        )

    async def server_version(self) -> str | None:
        document = self._document("cluster-info/cluster_version.json") or {}
        return (document.get("info") or {}).get("gitVersion") or self._about.get("serverVersion")

    async def collected_at(self) -> datetime:
        """The capture's end: as it says, else the newest event."""
        told = parse_time(self._about.get("collectedAt"))
        if told is not None:
            return told
        events = (await self.list_objects(resource_by_plural("events"))).items
        times = [parse_time(event.get("lastTimestamp") or event.get("eventTime")) for event in events]
        return max((time for time in times if time is not None), default=datetime.now(UTC))

    async def aclose(self) -> None:
        """Nothing is held open."""

    # -- files ----------------------------------------------------------------------------------

    @property
    def _known(self) -> set[str]:
        return set(self._files.paths())

    def _keys(self, resource: Resource, namespace: str | None) -> list[tuple[str, str | None]]:
        if resource.namespaced and namespace is not None:
            own: list[tuple[str, str | None]] = [
                key for key in self._index.objects if key == (resource.plural, namespace)
            ]
            return own or [key for key in self._index.objects if key == (resource.plural, None)]
        return sorted((key for key in self._index.objects if key[0] == resource.plural), key=str)

    def _items(self, path: str, resource: Resource, namespace: str | None) -> list[Object]:
        if path not in self._parsed:
            found = _list(self._parse(path))
            self._parsed[path] = [_normal(item, resource, namespace) for item in found if isinstance(item, dict)]
        return self._parsed[path]

    def _parse(self, path: str) -> Any:
        raw = self._files.read(path)
        if path.endswith((".yaml", ".yml")):
            return _yaml(path, raw)
        try:
            return orjson.loads(raw)
        except ValueError as error:
            raise BundleFormatError(f"{path} is damaged: {error}") from error

    def _document(self, path: str) -> Any:
        full = self._index.root + path
        try:
            return self._parse(full)
        except KeyError:
            return None

    def _text(self, path: str) -> str:
        return self._files.read(path).decode("utf-8", "replace")

    def _log(self, key: LogKey) -> str | None:
        if key in self._index.logs:
            return self._text(self._index.logs[key])
        shared = self._index.logs.get(LogKey(key.namespace, key.pod, "*"))
        if shared is None or key.previous:
            return None
        return _part_of_dump(self._text(shared), key.container)

    def _recorded_gaps(self) -> list[Unreadable]:
        try:
            return [Unreadable.model_validate(row) for row in self._about.get("unreadable") or ()]
        except (ValueError, TypeError):
            return []  # another tool's file of the same name

    def _kinds(self, namespace: str | None) -> dict[str, str]:
        """Names of objects that metric columns and alerts may be about."""
        kinds: dict[str, str] = {}
        for plural in ("services", "pods", "deployments", "statefulsets", "nodes"):
            resource = resource_by_plural(plural)
            for key in self._keys(resource, namespace if resource.namespaced else None):
                for path in self._index.objects[key]:
                    with suppress(BundleFormatError):  # told by list_objects
                        kinds.update({name_of(item): resource.kind for item in self._items(path, resource, key[1])})
        return kinds

    def _shift(self) -> timedelta:
        """Table times are local to whoever exported them: the whole hours that bring the table's
        end closest to the capture's end."""
        at = parse_time(self._about.get("collectedAt"))
        text = self._text(self._index.root + "prometheus/metrics.csv").strip()
        last = parse_time(text.rsplit("\n", maxsplit=1)[-1].split(",", maxsplit=1)[0])
        if at is None or last is None:
            return timedelta(0)
        return timedelta(hours=round((at - last).total_seconds() / 3600))


def _yaml(path: str, raw: bytes) -> Any:
    import yaml  # noqa: PLC0415 - only must-gather needs it

    try:
        return yaml.load(raw, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe loaders
    except (yaml.YAMLError, ValueError) as error:
        raise BundleFormatError(f"{path} is damaged: {error}"[:300]) from error


def _list(document: Any) -> Iterable[Any]:
    """A v1 List, a bare JSON list or a single object."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        if "items" in document:
            return document["items"] or ()
        return [document] if "metadata" in document else ()
    return ()


def _normal(item: dict[str, Any], resource: Resource, namespace: str | None) -> Object:
    """Fills what a list leaves out of its items, and brings events to their core/v1 form."""
    item.setdefault("kind", resource.kind)
    if not isinstance(item.get("metadata"), dict):
        item["metadata"] = {}
    about = item["metadata"]
    about.setdefault("name", "")
    if namespace and resource.namespaced:
        about.setdefault("namespace", namespace)
    if resource.plural == "events" and "regarding" in item:
        item["involvedObject"] = item["regarding"]
        item.setdefault("message", item.get("note"))
        item.setdefault("lastTimestamp", item.get("deprecatedLastTimestamp"))
        item.setdefault("firstTimestamp", item.get("deprecatedFirstTimestamp"))
        item.setdefault("count", item.get("deprecatedCount"))
    return item


def _gap(resource: Resource, namespace: str | None, reason: str) -> Unreadable:
    return Unreadable(resource=resource.plural, namespace=namespace, reason=reason)


def _part_of_dump(text: str, container: str) -> str | None:
    """kubectl's dump puts all containers in one file under header lines."""
    marks: Sequence[re.Match[str]] = list(_DUMP_HEADER.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        if mark["container"] == container and text[mark.start() :].startswith("==== START"):
            end = following.start() if following else len(text)
            return text[text.index("\n", mark.end()) + 1 : end] if "\n" in text[mark.end() :] else ""
    return None if marks else text
