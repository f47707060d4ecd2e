"""Capturing a cluster into a bundle that ``open_bundle`` reads back. Read-only and redacted."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kubetriage.cluster.reader import ClusterReader
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.safety.redaction import redact, redact_object
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.objects import container_statuses, init_container_statuses, name_of, namespace_of
from kubetriage.state.resources import RESOURCES, Resource
from kubetriage.state.snapshot import Object

# The control plane's own namespace: pods and events tell its health, the rest is not needed.
SYSTEM = "kube-system"
_SYSTEM_KINDS = ("pods", "events", "services", "leases")
_FOLDERS = {"persistentvolumeclaims": "pvcs", "persistentvolumes": "pvs"}
MOST_LINES = 2_000


@dataclass(frozen=True, slots=True)
class CollectReport:
    path: Path
    objects: int
    logs: int
    size: int
    unreadable: tuple[Unreadable, ...]


async def collect_bundle(
    reader: ClusterReader,
    out: Path,
    *,
    namespaces: Sequence[str] | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> CollectReport:
    """Write ``out`` (tar.gz). ``namespaces``: None for all. An existing file is replaced at the end
    only, so a failed collection leaves what was there."""
    version = await reader.server_version()
    files: dict[str, bytes] = {}
    gaps: list[Unreadable] = []
    pods: list[Object] = []
    total = 0
    for resource in RESOURCES:
        if resource.plural == "secrets":
            continue
        progress(f"reading {resource.plural}")
        for namespace, items, missing in await _lists(reader, resource, namespaces):
            gaps.extend(missing)
            if missing and not items:
                continue
            total += len(items)
            files[_place(resource, namespace)] = _json({"kind": "List", "items": [redact_object(i) for i in items]})
            if resource.plural == "pods" and (namespaces is None or namespace in namespaces):
                pods.extend(items)
    logs = [key for pod in pods for key in _logs_of(pod)]
    progress(f"reading {len(logs)} logs")
    answers = await asyncio.gather(*(reader.read_log(key, tail_lines=MOST_LINES) for key in logs))
    for key, answer in zip(logs, answers, strict=True):
        suffix = "-previous" if key.previous else ""
        place = f"cluster-resources/pods/logs/{key.namespace}/{key.pod}/{key.container}{suffix}"
        if isinstance(answer, LogText):
            files[f"{place}.log"] = redact(answer.text).encode()
        else:
            files[f"{place}-logs-errors.log"] = answer.reason.encode()
    gaps.extend(await _add_usage(reader, files))
    files["collection.json"] = _json(
        {
            "collectedAt": (await reader.collected_at()).isoformat().replace("+00:00", "Z"),
            "serverVersion": version,
            "logs": "raw",
            "scope": "all" if namespaces is None else sorted(namespaces),
            "unreadable": [gap.model_dump() for gap in gaps],
        }
    )
    progress(f"writing {out.name}")
    size = await asyncio.to_thread(_write, out, files)
    return CollectReport(out, total, len(logs), size, tuple(gaps))


async def _lists(
    reader: ClusterReader, resource: Resource, namespaces: Sequence[str] | None
) -> list[tuple[str | None, list[Object], tuple[Unreadable, ...]]]:
    """(namespace, objects, gaps) per file. Everything is one LIST, split by namespace after."""
    if not resource.namespaced:
        listing = await reader.list_objects(resource)
        return [(None, list(listing.items), listing.unreadable)]
    if namespaces is None:
        listing = await reader.list_objects(resource)
        split: dict[str | None, list[Object]] = {}
        for item in listing.items:
            split.setdefault(namespace_of(item), []).append(item)
        if not split:
            return [(None, [], listing.unreadable)]
        rows = [(name, items, ()) for name, items in split.items()]
        return [*rows, (None, [], listing.unreadable)] if listing.unreadable else list(rows)
    wanted = [*namespaces]
    if SYSTEM not in wanted and resource.plural in _SYSTEM_KINDS:
        wanted.append(SYSTEM)
    listings = await asyncio.gather(*(reader.list_objects(resource, name) for name in wanted))
    return [(name, list(found.items), found.unreadable) for name, found in zip(wanted, listings, strict=True)]


def _logs_of(pod: Object) -> list[LogKey]:
    keys: list[LogKey] = []
    for status in (*init_container_statuses(pod), *container_statuses(pod)):
        name, state = str(status.get("name")), status.get("state") or {}
        if state.get("running") or state.get("terminated") or status.get("restartCount"):
            keys.append(LogKey(namespace_of(pod) or "", name_of(pod), name))
        if status.get("restartCount"):
            keys.append(LogKey(namespace_of(pod) or "", name_of(pod), name, previous=True))
    return keys


async def _add_usage(reader: ClusterReader, files: dict[str, bytes]) -> tuple[Unreadable, ...]:
    found = await reader.read_usage()
    usage = found.usage
    if not usage:
        return found.unreadable
    items: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (namespace, pod, container), (cpu, memory) in usage.items():
        row = {"name": container, "usage": {"cpu": f"{round(cpu * 1e9)}n", "memory": str(int(memory))}}
        items.setdefault((namespace, pod), []).append(row)
    rows = [{"metadata": {"namespace": n, "name": p}, "containers": c} for (n, p), c in items.items()]
    files["metrics/pods.json"] = _json({"kind": "PodMetricsList", "items": rows})
    return found.unreadable


def _place(resource: Resource, namespace: str | None) -> str:
    folder = _FOLDERS.get(resource.plural, resource.plural)
    return f"cluster-resources/{folder}/{namespace}.json" if namespace else f"cluster-resources/{folder}.json"


def _json(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _write(out: Path, files: dict[str, bytes]) -> int:
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with os.fdopen(handle, "wb") as stream, tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for name in sorted(files):
                info = tarfile.TarInfo(f"bundle/{name}")
                info.size, info.mode = len(files[name]), 0o644
                archive.addfile(info, io.BytesIO(files[name]))
        Path(partial).replace(out)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return out.stat().st_size
