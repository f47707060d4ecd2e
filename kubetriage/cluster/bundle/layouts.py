"""Where each tool puts objects and logs.

- troubleshoot.sh: ``cluster-resources/<kind>/<namespace>.json``, ``cluster-resources/<kind>.json``,
  logs in ``cluster-resources/pods/logs/<namespace>/<pod>/<container>[-previous].log``
  (https://troubleshoot.sh/docs/collect/cluster-resources/); our own collector writes this one.
- ``kubectl cluster-info dump --output-directory``: ``<namespace>/<plural>.json``,
  ``<namespace>/<pod>/logs.txt``, ``nodes.json``.
- OpenShift must-gather: ``namespaces/<namespace>/<group>/<plural>.yaml``,
  ``cluster-scoped-resources/<group>/<plural>/<name>.yaml``,
  ``namespaces/<namespace>/pods/<pod>/<container>/<container>/logs/current.log``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from kubetriage.cluster.errors import BundleFormatError
from kubetriage.state.logs import LogKey
from kubetriage.state.resources import RESOURCES


@dataclass(frozen=True, slots=True)
class BundleIndex:
    """``objects``: (plural, namespace or None) to the files that hold them. ``logs``: a log to its
    file. ``refusals``: a log to the file with the server's refusal. ``root``: the folder inside
    the bundle that everything is under ("" or ending with "/")."""

    layout: str
    root: str
    objects: dict[tuple[str, str | None], list[str]] = field(default_factory=lambda: defaultdict(list))
    logs: dict[LogKey, str] = field(default_factory=dict)
    refusals: dict[LogKey, str] = field(default_factory=dict)


_NAMES = {name: resource.plural for resource in RESOURCES for name in (resource.plural, *resource.bundle_names)}
_NAMES |= {f"{resource.kind.lower()}s": resource.plural for resource in RESOURCES}
_LOG_SUFFIX = re.compile(r"(?P<container>.+?)(?P<previous>-previous)?(?P<refused>-logs-errors)?\.log$")


def build_index(paths: Sequence[str]) -> BundleIndex:
    """Finds the layout by its tell-tale folders. Raises BundleFormatError when there are none."""
    for marker, build in (("cluster-resources/", _troubleshoot), ("namespaces/", _must_gather)):
        root = _root(paths, marker)
        if root is not None:
            return build(root, [path[len(root) :] for path in paths if path.startswith(root)])
    nodes = next((path for path in paths if PurePosixPath(path).name in ("nodes.json", "nodes.yaml")), None)
    if nodes is not None:
        root = nodes[: -len(PurePosixPath(nodes).name)]
        return _info_dump(root, [path[len(root) :] for path in paths if path.startswith(root)])
    raise BundleFormatError(
        "no bundle layout recognised: expected cluster-resources/ (troubleshoot.sh, kubetriage), "
        "nodes.json (kubectl cluster-info dump) or namespaces/ (must-gather)"
    )


def _root(paths: Sequence[str], marker: str) -> str | None:
    """The shortest prefix under which the marker folder stands."""
    found = [path[: path.index(marker)] for path in paths if path.startswith(marker) or f"/{marker}" in path]
    return min(found, key=len) if found else None


def _troubleshoot(root: str, paths: Sequence[str]) -> BundleIndex:
    index = BundleIndex("troubleshoot", root)
    for path in paths:
        parts = path.split("/")
        if parts[:3] == ["cluster-resources", "pods", "logs"] or parts[:2] == ["pods", "logs"]:
            _add_log(index, parts[3:] if parts[0] == "cluster-resources" else parts[2:], root + path)
        elif parts[0] == "cluster-resources" and parts[-1].endswith(".json"):
            stem = parts[-1].removesuffix(".json")
            if len(parts) == 2 and stem in _NAMES:
                index.objects[(_NAMES[stem], None)].append(root + path)
            elif len(parts) == 3 and parts[1] in _NAMES and not stem.endswith("-errors"):
                index.objects[(_NAMES[parts[1]], stem)].append(root + path)
    return index


def _add_log(index: BundleIndex, parts: Sequence[str], path: str) -> None:
    if len(parts) != 3:
        return
    match = _LOG_SUFFIX.match(parts[2])
    if match is None:
        return
    key = LogKey(parts[0], parts[1], match["container"], bool(match["previous"]))
    (index.refusals if match["refused"] else index.logs)[key] = path


def _info_dump(root: str, paths: Sequence[str]) -> BundleIndex:
    index = BundleIndex("cluster-info dump", root)
    for path in paths:
        parts = path.split("/")
        stem = parts[-1].rsplit(".", maxsplit=1)[0]
        plural = _NAMES.get(stem.replace("-", ""))
        if parts[-1] == "logs.txt" and len(parts) == 3:
            # One file for all containers of a pod, each part under a header line; the reader splits it.
            index.logs[LogKey(parts[0], parts[1], "*")] = root + path
        elif plural and len(parts) <= 2 and parts[-1].endswith((".json", ".yaml")):
            index.objects[(plural, parts[0] if len(parts) == 2 else None)].append(root + path)
    return index


def _must_gather(root: str, paths: Sequence[str]) -> BundleIndex:
    index = BundleIndex("must-gather", root)
    for path in paths:
        parts = path.split("/")
        if parts[0] == "cluster-scoped-resources" and len(parts) >= 3:
            plural = _NAMES.get(parts[2].removesuffix(".yaml"))
            if plural:
                index.objects[(plural, None)].append(root + path)
        elif parts[0] == "namespaces" and len(parts) >= 3:
            if parts[2] == "pods" and parts[-1] in ("current.log", "previous.log") and len(parts) >= 7:
                key = LogKey(parts[1], parts[3], parts[4], parts[-1] == "previous.log")
                index.logs[key] = root + path
            elif len(parts) >= 4 and _NAMES.get(parts[3].removesuffix(".yaml")):
                index.objects[(_NAMES[parts[3].removesuffix(".yaml")], parts[1])].append(root + path)
    return index
