"""Reading fields of API objects: absent parts come back empty, never as an exception."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from kubetriage.contracts.diagnosis import ObjectRef
from kubetriage.state.snapshot import Object
from kubetriage.state.times import parse_time

_EMPTY: Mapping[str, Any] = {}


def name_of(item: Object) -> str:
    name: str = item["metadata"]["name"]
    return name


def namespace_of(item: Object) -> str | None:
    return item["metadata"].get("namespace") or None


def labels_of(item: Object) -> Mapping[str, str]:
    return item.get("metadata", _EMPTY).get("labels") or _EMPTY


def annotations_of(item: Object) -> Mapping[str, str]:
    return item.get("metadata", _EMPTY).get("annotations") or _EMPTY


def spec_of(item: Object) -> Mapping[str, Any]:
    return item.get("spec") or _EMPTY


def status_of(item: Object) -> Mapping[str, Any]:
    return item.get("status") or _EMPTY


def ref_of(kind: str, item: Object) -> ObjectRef:
    return _ref(kind, name_of(item), namespace_of(item))


@lru_cache(maxsize=65_536)
def _ref(kind: str, name: str, namespace: str | None) -> ObjectRef:
    """One object per reference: made, hashed and compared tens of thousands of times in a large cluster."""
    return ObjectRef(kind=kind, name=name, namespace=namespace)


def created_at(item: Object) -> datetime | None:
    return parse_time(item["metadata"].get("creationTimestamp"))


def deleted_at(item: Object) -> datetime | None:
    return parse_time(item["metadata"].get("deletionTimestamp"))


def owner_of(item: Object) -> tuple[str, str] | None:
    """(kind, name) of the controlling owner; the first owner when none says that it controls."""
    owners: Sequence[Mapping[str, Any]] = item.get("metadata", _EMPTY).get("ownerReferences") or ()
    for owner in owners:
        if owner.get("controller"):
            return str(owner.get("kind")), str(owner.get("name"))
    return (str(owners[0].get("kind")), str(owners[0].get("name"))) if owners else None


def condition(item: Object, kind: str) -> Mapping[str, Any] | None:
    """The condition of this type."""
    for entry in status_of(item).get("conditions") or ():
        if entry.get("type") == kind:
            found: Mapping[str, Any] = entry
            return found
    return None


def pod_spec_of(item: Object) -> Mapping[str, Any]:
    """The pod spec of a Pod or of anything with a pod template (Deployment, Job, CronJob ...)."""
    spec = spec_of(item)
    if "containers" in spec:
        return spec
    if "jobTemplate" in spec:
        spec = spec["jobTemplate"].get("spec") or _EMPTY
    template: Mapping[str, Any] = spec.get("template") or _EMPTY
    return template.get("spec") or _EMPTY


def containers_of(item: Object) -> Sequence[Mapping[str, Any]]:
    """The main containers."""
    return pod_spec_of(item).get("containers") or ()


def init_containers_of(item: Object) -> Sequence[Mapping[str, Any]]:
    return pod_spec_of(item).get("initContainers") or ()


def container_statuses(pod: Object) -> Sequence[Mapping[str, Any]]:
    return status_of(pod).get("containerStatuses") or ()


def init_container_statuses(pod: Object) -> Sequence[Mapping[str, Any]]:
    return status_of(pod).get("initContainerStatuses") or ()


def spec_of_container(pod: Object, name: str) -> Mapping[str, Any]:
    """A container's spec, main or init, by name; empty when there is none."""
    for container in (*containers_of(pod), *init_containers_of(pod)):
        if container.get("name") == name:
            return container
    return _EMPTY


def container_ports(item: Object) -> Iterator[Mapping[str, Any]]:
    for container in containers_of(item):
        yield from container.get("ports") or ()


def is_ready(pod: Object) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and ready.get("status") == "True"


def phase_of(pod: Object) -> str:
    return str(status_of(pod).get("phase") or "")


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (matchLabels, matchExpressions) matches. None matches nothing, an
    empty one everything: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
    """
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or _EMPTY).items():
        if labels.get(key) != value:
            return False
    return all(_expression_holds(entry, labels) for entry in selector.get("matchExpressions") or ())


def has_labels(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether all of ``wanted`` are among ``labels`` (a Service's selector, a nodeSelector)."""
    return all(labels.get(key) == value for key, value in wanted.items())


def _expression_holds(entry: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = str(entry.get("key")), entry.get("operator"), entry.get("values") or ()
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    return _compares(operator, labels.get(key), values)


def _compares(operator: object, have: str | None, values: Sequence[str]) -> bool:
    """Gt and Lt, which node affinity knows; anything else holds for nothing."""
    try:
        left, right = int(have or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right if operator == "Lt" else False
