"""Who may read which incident. One that is not the caller's does not exist for them."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from gateway.users import User
from kubetriage.contracts.diagnosis import Diagnosis, ObjectRef
from kubetriage.contracts.incidents import AlertedGroup

WITHHELD = (
    "The diagnosis was made with wider rights than yours and names objects elsewhere: "
    "POST /v1/diagnose makes one with yours."
)
# Cluster-scoped objects that every caller may read; the agent's ScopedReader has the same ones.
_SHARED = frozenset({"Node", "Namespace", "StorageClass", "PriorityClass", "IngressClass"})
_CLUSTER = ""  # stands for other cluster-scoped objects


def may_see(user: User, group: AlertedGroup, cluster: str | None) -> bool:
    """Whether the incident is the user's to read; ``cluster`` is the one that was diagnosed."""
    if user.namespaces is not None and group.namespace not in user.namespaces:
        return False
    return user.clusters is None or (group.cluster or cluster) in user.clusters


def may_read_diagnosis(user: User, reach: frozenset[str]) -> bool:
    """Whether everything that the diagnosis speaks of is the user's to read."""
    return user.namespaces is None or reach <= set(user.namespaces)


def reach_of(diagnosis: Diagnosis) -> frozenset[str]:
    """The namespaces that a diagnosis speaks of, and ``""`` for cluster-scoped objects that are not shared."""
    refs = list(_objects(diagnosis))
    places = {ref.namespace or _CLUSTER for ref in refs if ref.namespace is not None or ref.kind not in _SHARED}
    places |= {gap.namespace for gap in diagnosis.unreadable if gap.namespace is not None}
    if diagnosis.scope.namespace is None and diagnosis.scope.kind != "Node":
        places.add(_CLUSTER)  # its counts and its "no fault found" are of the whole cluster
    return frozenset(places)


def _objects(value: object) -> Iterator[ObjectRef]:
    """Every object that is named anywhere in the document."""
    if isinstance(value, ObjectRef):
        yield value
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from _objects(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _objects(inner)
