"""What changed before an incident began: rollouts, with the fields that differ, and scale events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

from kubetriage.contracts.diagnosis import Change, Incident, ObjectRef
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import annotations_of, created_at, pod_spec_of
from kubetriage.state.snapshot import Object

# A change this long before the first symptom is still suspicious: a crash loop backs off for five
# minutes, a leak takes longer; after two hours other things have changed too.
WINDOW = timedelta(hours=2)
_MOST = 5


def with_changes(incident: Incident, view: ClusterView) -> Incident:
    """The incident with what changed on the objects of its chain shortly before it began."""
    objects = dict.fromkeys([incident.root_cause.object, *(link.object for link in incident.chain)])
    began = incident.first_seen or view.now
    found = [
        entry
        for ref in objects
        for entry in changes_of(view, ref)
        # A rollout starts the pods that then fail: it is never much later than the first symptom.
        if began - WINDOW <= entry.time <= began + timedelta(minutes=2)
    ]
    found.sort(key=lambda entry: entry.time, reverse=True)
    return incident.model_copy(update={"changes": tuple(found[:_MOST])})


def changes_of(view: ClusterView, ref: ObjectRef) -> Iterator[Change]:
    """Rollouts of a Deployment, newest first, each with the fields that changed."""
    if ref.kind != "Deployment":
        return
    deployment = view.find(ref)
    if deployment is None:
        return
    sets = view.replica_sets_of(deployment)
    for before, after in reversed(list(pairwise(sets))):
        time = created_at(after)
        if time is not None:
            yield Change(time=time, object=ref, summary=_describe(before, after))


def find_differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Leaves that differ, as ``path: old → new``; lists of named things are compared by name."""
    for key in sorted({*before, *after}):
        here = f"{path}.{key}" if path else str(key)
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        left, right = _as_mapping(old), _as_mapping(new)
        if left is not None and right is not None:
            yield from find_differences(left, right, here)
        else:
            yield f"{here}: {_short(old)} → {_short(new)}"


def _describe(before: Object, after: Object) -> str:
    old = annotations_of(before).get("deployment.kubernetes.io/revision", "?")
    new = annotations_of(after).get("deployment.kubernetes.io/revision", "?")
    differences = list(find_differences(pod_spec_of(before), pod_spec_of(after)))[:4]
    what = "; ".join(part.replace("containers.", "") for part in differences) or "pod template metadata"
    return f"revision {old} → {new}: {what}"


def _as_mapping(value: Any) -> Mapping[str, Any] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "name" in item for item in value):
        return {str(item["name"]): item for item in value}
    return None


def _short(value: Any) -> str:
    if value is None:
        return "unset"
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
