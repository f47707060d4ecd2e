"""Label and field selectors, for readers that have to filter by themselves."""

from __future__ import annotations

import re
from typing import Any

from kubetriage.state.snapshot import Object

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")


def matches_labels(item: Object, selector: str) -> bool:
    """Kubernetes' label selector syntax: ``a=b,c!=d,e,!f,g in (h,i)``."""
    labels = (item.get("metadata") or {}).get("labels") or {}
    return all(_holds(part.strip(), labels) for part in re.split(r",(?![^(]*\))", selector) if part.strip())


def matches_fields(item: Object, selector: str) -> bool:
    """``metadata.name=x,status.phase!=Running``."""
    for part in filter(None, (piece.strip() for piece in selector.split(","))):
        negative = "!=" in part
        path, _, wanted = part.replace("==", "=").replace("!=", "=").partition("=")
        if (str(_at(item, path)) == wanted) is negative:
            return False
    return True


def _at(item: Any, path: str) -> Any:
    for step in path.split("."):
        item = item.get(step) if isinstance(item, dict) else None
    return "" if item is None else item


def _holds(part: str, labels: dict[str, str]) -> bool:
    found = _SET.match(part)
    if found:
        values = {value.strip() for value in found["values"].split(",")}
        inside = labels.get(found["key"]) in values
        return inside if found["op"] == "in" else not inside
    if part.startswith("!"):
        return part[1:] not in labels
    if "!=" in part:
        key, _, value = part.partition("!=")
        return labels.get(key.strip()) != value.strip()
    if "=" in part:
        key, _, value = part.replace("==", "=").partition("=")
        return labels.get(key.strip()) == value.strip()
    return part in labels
