"""Who depends on whom, as the cluster itself says it.

An edge goes from the dependent to what it needs: an Ingress to its Services, a Service to the
workloads behind it, a workload to the Services that its settings name, to its nodes and claims.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubetriage.contracts.diagnosis import ObjectRef
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import (
    containers_of,
    init_containers_of,
    matches,
    name_of,
    namespace_of,
    pod_spec_of,
    ref_of,
)
from kubetriage.state.objects import spec_of as spec
from kubetriage.state.snapshot import Object

# Names as they appear in addresses: "payments", "payments.shop", "http://payments.shop.svc:8080/x".
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
# Settings larger than this are data, not addresses (bytes).
LARGEST_SETTING = 65_536


class DependencyGraph:
    """Edges of one view; built once per diagnosis."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._needs: dict[ObjectRef, set[ObjectRef]] = defaultdict(set)
        self._needed_by: dict[ObjectRef, set[ObjectRef]] = defaultdict(set)
        for source, target in self._edges():
            self.add(source, target)

    def add(self, source: ObjectRef, target: ObjectRef) -> None:
        if source != target:
            self._needs[source].add(target)
            self._needed_by[target].add(source)

    def needs(self, ref: ObjectRef) -> set[ObjectRef]:
        return self._needs.get(ref, set())

    def path(self, start: ObjectRef, goal: ObjectRef, longest: int = 8) -> list[ObjectRef]:
        """The shortest way from a dependent to what it needs, both ends included; empty: none."""
        before: dict[ObjectRef, ObjectRef | None] = {start: None}
        queue = deque([(start, 0)])
        while queue:
            here, steps = queue.popleft()
            if here == goal:
                return _walk_back(before, here)
            if steps < longest:
                for following in sorted(self._needs.get(here, ()), key=str):
                    if following not in before:
                        before[following] = here
                        queue.append((following, steps + 1))
        return []

    def reach(self, start: ObjectRef, longest: int = 8) -> dict[ObjectRef, int]:
        """Everything that ``start`` needs, directly or not, with the number of steps; itself with 0."""
        return _spread(self._needs, start, longest)

    def dependents(self, start: ObjectRef, longest: int = 6) -> dict[ObjectRef, int]:
        """Everything that needs ``start``, directly or not."""
        return _spread(self._needed_by, start, longest)

    def _edges(self) -> Iterator[tuple[ObjectRef, ObjectRef]]:
        yield from self._service_edges()
        yield from self._workload_edges()
        yield from self._ingress_edges()
        yield from self._route_edges()
        yield from self._claim_edges()
        yield from self._policy_edges()
        for item in self._view.snapshot.items("horizontalpodautoscalers"):
            target = spec(item).get("scaleTargetRef") or {}
            if target.get("kind") and target.get("name"):
                yield (
                    ref_of("HorizontalPodAutoscaler", item),
                    ObjectRef(kind=target["kind"], name=target["name"], namespace=namespace_of(item)),
                )

    def _service_edges(self) -> Iterator[tuple[ObjectRef, ObjectRef]]:
        for workload, services in self._view.services_of_workload.items():
            for service in services:
                yield ref_of("Service", service), workload
        for service in self._view.snapshot.items("services"):
            for pod in self._view.pods_behind(service):
                yield ref_of("Service", service), self._view.workload_of(pod)

    def _workload_edges(self) -> Iterator[tuple[ObjectRef, ObjectRef]]:
        names = service_names(self._view)
        for workload, pods in self._view.pods_by_workload.items():
            yield from self._edges_of(workload, self._view.find(workload) or pods[0], names)
            for pod in pods:
                node = pod_spec_of(pod).get("nodeName")
                if node:
                    yield workload, ObjectRef(kind="Node", name=node)
        for workload, item in self._view.workloads():
            if not self._view.pods_of(workload):
                yield from self._edges_of(workload, item, names)

    def _edges_of(
        self, workload: ObjectRef, item: Object, names: Mapping[str, set[str | None]]
    ) -> Iterator[tuple[ObjectRef, ObjectRef]]:
        if workload.namespace:
            yield workload, ObjectRef(kind="Namespace", name=workload.namespace)
        own = {name_of(service) for service in self._view.services_of_workload.get(workload, ())}
        for text in settings_of(self._view, item):
            for service in find_services(text, workload.namespace, names):
                if not (service.namespace == workload.namespace and service.name in own):
                    yield workload, service
        for volume in pod_spec_of(item).get("volumes") or ():
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim:
                yield (
                    workload,
                    ObjectRef(kind="PersistentVolumeClaim", name=claim, namespace=workload.namespace),
                )
        for template in spec(item).get("volumeClaimTemplates") or ():
            prefix = f"{name_of(template)}-{name_of(item)}-"
            for found in self._view.snapshot.in_namespace("persistentvolumeclaims", workload.namespace):
                if name_of(found).startswith(prefix):
                    yield workload, ref_of("PersistentVolumeClaim", found)

    def _ingress_edges(self) -> Iterator[tuple[ObjectRef, ObjectRef]]:
        for ingress in self._view.snapshot.items("ingresses"):
            for name in _backends(ingress):
                yield (
                    ref_of("Ingress", ingress),
                    ObjectRef(kind="Service", name=name, namespace=namespace_of(ingress)),
                )

    def _route_edges(self) -> Iterator[tuple[ObjectRef, ObjectRef]]:
        for route in self._view.snapshot.items("httproutes"):
            for target in (*parents_of(route), *backends_of(route)):
                yield ref_of("HTTPRoute", route), target

    def _policy_edges(self) -> Iterator[tuple[ObjectRef, ObjectRef]]:
        for policy in self._view.snapshot.items("networkpolicies"):
            for workload, item in self._view.workloads():
                labels = ((spec(item).get("template") or {}).get("metadata") or {}).get("labels") or {}
                same = workload.namespace == namespace_of(policy)
                if same and matches(spec(policy).get("podSelector") or {}, labels):
                    yield workload, ref_of("NetworkPolicy", policy)

    def _claim_edges(self) -> Iterator[tuple[ObjectRef, ObjectRef]]:
        for item in self._view.snapshot.items("persistentvolumeclaims"):
            name = spec(item).get("volumeName")
            if name:
                yield ref_of("PersistentVolumeClaim", item), ObjectRef(kind="PersistentVolume", name=name)
        for volume in self._view.snapshot.items("persistentvolumes"):
            # Also while the claim is not bound: it waits for the volume that remembers its name.
            holder = spec(volume).get("claimRef") or {}
            if holder.get("name"):
                claim = ObjectRef(kind="PersistentVolumeClaim", name=holder["name"], namespace=holder.get("namespace"))
                yield claim, ref_of("PersistentVolume", volume)


def settings_of(view: ClusterView, item: Object) -> Iterator[str]:
    """The texts that may name addresses: env values, arguments, and the ConfigMaps that are used."""
    namespace = namespace_of(item)
    for container in (*containers_of(item), *init_containers_of(item)):
        for entry in container.get("env") or ():
            if entry.get("value"):
                yield str(entry["value"])
        yield from (str(part) for part in container.get("command") or ())
        yield from (str(part) for part in container.get("args") or ())
    for name in config_maps_of(item):
        config_map = view.snapshot.get("configmaps", namespace, name)
        for value in ((config_map or {}).get("data") or {}).values():
            if isinstance(value, str) and len(value) <= LARGEST_SETTING:
                yield value


def config_maps_of(item: Object) -> set[str]:
    """Names of the ConfigMaps that a pod spec refers to."""
    names: set[str] = set()
    for container in (*containers_of(item), *init_containers_of(item)):
        for source in container.get("envFrom") or ():
            names.add(str((source.get("configMapRef") or {}).get("name") or ""))
        for entry in container.get("env") or ():
            key = (entry.get("valueFrom") or {}).get("configMapKeyRef") or {}
            names.add(str(key.get("name") or ""))
    for volume in pod_spec_of(item).get("volumes") or ():
        names.add(str((volume.get("configMap") or {}).get("name") or ""))
        for part in (volume.get("projected") or {}).get("sources") or ():
            names.add(str((part.get("configMap") or {}).get("name") or ""))
    return names - {"", "kube-root-ca.crt"}


def find_services(text: str, namespace: str | None, names: Mapping[str, set[str | None]]) -> Iterator[ObjectRef]:
    """Services that a setting names. A bare name means the own namespace, ``name.other`` another."""
    for token in set(_NAME.findall(text.lower())):
        host, _, rest = token.partition(".")
        where = names.get(host)
        if not where:
            continue
        other = rest.split(".", maxsplit=1)[0] if rest else None
        if other and other in where:
            yield ObjectRef(kind="Service", name=host, namespace=other)
        elif namespace in where and (not rest or rest.startswith(("svc", "cluster"))):
            yield ObjectRef(kind="Service", name=host, namespace=namespace)


def service_names(view: ClusterView) -> dict[str, set[str | None]]:
    names: dict[str, set[str | None]] = defaultdict(set)
    for service in view.snapshot.items("services"):
        names[name_of(service)].add(namespace_of(service))
    return names


def parents_of(route: Object) -> Iterator[ObjectRef]:
    """The Gateways that a route of the Gateway API wants to be served by."""
    for entry in spec(route).get("parentRefs") or ():
        if entry.get("kind", "Gateway") == "Gateway" and entry.get("name"):
            namespace = entry.get("namespace") or namespace_of(route)
            yield ObjectRef(kind="Gateway", name=str(entry["name"]), namespace=namespace)


def backends_of(route: Object) -> Iterator[ObjectRef]:
    """The Services that a route of the Gateway API sends to."""
    for rule in spec(route).get("rules") or ():
        for entry in rule.get("backendRefs") or ():
            if entry.get("kind", "Service") == "Service" and not entry.get("group") and entry.get("name"):
                namespace = entry.get("namespace") or namespace_of(route)
                yield ObjectRef(kind="Service", name=str(entry["name"]), namespace=namespace)


def _backends(ingress: Object) -> Iterator[str]:
    def of(backend: Mapping[str, Any] | None) -> Iterator[str]:
        service = ((backend or {}).get("service") or {}).get("name")
        if service:
            yield str(service)

    yield from of(spec(ingress).get("defaultBackend"))
    for entry in spec(ingress).get("rules") or ():
        for path in (entry.get("http") or {}).get("paths") or ():
            yield from of(path.get("backend"))


def _spread(edges: Mapping[ObjectRef, Iterable[ObjectRef]], start: ObjectRef, longest: int) -> dict[ObjectRef, int]:
    steps = {start: 0}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        if steps[here] >= longest:
            continue
        for following in edges.get(here, ()):
            if following not in steps:
                steps[following] = steps[here] + 1
                queue.append(following)
    return steps


def _walk_back(before: Mapping[ObjectRef, ObjectRef | None], end: ObjectRef) -> list[ObjectRef]:
    way: list[ObjectRef] = []
    here: ObjectRef | None = end
    while here is not None:
        way.append(here)
        here = before[here]
    return way[::-1]
