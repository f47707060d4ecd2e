"""Services that reach nobody: no pods behind the selector, a wrong port, a wrong protocol.

https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import start_allowance
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import (
    annotations_of,
    container_ports,
    container_statuses,
    containers_of,
    created_at,
    init_container_statuses,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    ref_of,
    spec_of,
)
from kubetriage.state.snapshot import Object

_READS = ("services", "pods", "deployments", "replicasets", "statefulsets", "daemonsets", "endpoints")
# Images are pulled and programs start within this time, mostly.
START = timedelta(seconds=90)
_LEADER = "control-plane.alpha.kubernetes.io/leader"
# Ports of mesh proxies: they answer for the app, so a targetPort among them is not a slip.
_PROXY_PORTS = frozenset({15001, 15006, 15008, 15020, 15021, 15090, 4143, 4191})


@rule(*_READS)
def find_selector_mismatches(view: ClusterView) -> Iterable[Suspect]:
    """A selector that matches no pod and no workload, while another set of pods nearly matches."""
    for service in view.snapshot.items("services"):
        selector = spec_of(service).get("selector") or {}
        if not selector or _is_special(service) or view.pods_behind(service):
            continue
        if not view.snapshot.was_read("pods", namespace_of(service)) or _selects_template(view, service):
            continue  # its pods are missing, not its selector wrong: other rules say why
        near = _nearest_workload(view, service)
        if near is not None:
            yield _mismatch(view, service, *near)


@rule(*_READS)
def find_port_mismatches(view: ClusterView) -> Iterable[Suspect]:
    """targetPort that no container of the selected pods has, by name or by number."""
    for service in view.snapshot.items("services"):
        pods = view.pods_behind(service)
        if not pods or _is_special(service):
            continue
        for port in spec_of(service).get("ports") or ():
            found = _port_fault(view, service, port, pods)
            if found is not None:
                yield found


@rule(*_READS)
def find_services_without_ready_pods(view: ClusterView) -> Iterable[Suspect]:
    """The symptom that callers see; the reason is on the pods behind it."""
    for service in view.snapshot.items("services"):
        pods = view.pods_behind(service)
        if not pods or _is_special(service) or any(is_ready(pod) for pod in pods):
            continue
        workloads = tuple(dict.fromkeys(view.workload_of(pod) for pod in pods))
        starting = all(_is_starting(view, pod) for pod in pods)
        if starting or all(ref.kind in ("Job", "CronJob") for ref in workloads):
            continue
        ref = ref_of("Service", service)
        yield suspect(
            "service_no_ready_endpoints",
            ref,
            title=f"service {ref.name} has no ready pods",
            explanation=f"None of the {len(pods)} pods behind Service {ref.name} is ready, so callers are refused.",
            evidence=[quotes.field(ref, "spec.selector", spec_of(service).get("selector") or {})],
            remediation=[
                quotes.look("See the pods behind it", quotes.kubectl(ref.namespace, f"get endpoints {ref.name}"))
            ],
            severity=Severity.HIGH,
            confidence=0.6,
            depth=Depth.SYMPTOM,
            blames=workloads,
        )


def _is_starting(view: ClusterView, pod: Object) -> bool:
    """Created a moment ago and nothing has ended yet: a start, not a fault."""
    age = view.ago(created_at(pod))
    restarted = any(entry.get("restartCount") for entry in (*container_statuses(pod), *init_container_statuses(pod)))
    return age is not None and age < START + start_allowance(pod) and not restarted


def _is_special(service: Object) -> bool:
    """Services that need no pods: names outside, leader election, endpoints kept by hand."""
    spec = spec_of(service)
    return spec.get("type") == "ExternalName" or _LEADER in annotations_of(service) or not spec.get("selector")


def _selects_template(view: ClusterView, service: Object) -> bool:
    wanted = name_of(service), namespace_of(service)
    return any(
        (name_of(found), namespace_of(found)) == wanted
        for services in view.services_of_workload.values()
        for found in services
    )


def _nearest_workload(view: ClusterView, service: Object) -> tuple[ObjectRef, Mapping[str, str]] | None:
    """The workload that this Service is most likely for: same name, or most labels in common, and
    whose ports fit. None when nothing is near: a Service whose app is not installed."""
    selector: Mapping[str, str] = spec_of(service).get("selector") or {}
    best: tuple[int, ObjectRef, Mapping[str, str]] | None = None
    for workload, item in view.workloads():
        if workload.namespace != namespace_of(service):
            continue
        labels = ((spec_of(item).get("template") or {}).get("metadata") or {}).get("labels") or {}
        score = _likeness(service, selector, workload, labels, item)
        if score > 0 and (best is None or score > best[0]):
            best = (score, workload, labels)
    return (best[1], best[2]) if best and best[0] >= 3 else None


def _likeness(
    service: Object, selector: Mapping[str, str], workload: ObjectRef, labels: Mapping[str, str], item: Object
) -> int:
    score = 4 if workload.name == name_of(service) else 0
    score += sum(2 for key, value in selector.items() if labels.get(key) == value)
    # A slip of the pen: "cart-service" for "cartservice".
    score += sum(2 for key, value in selector.items() if key in labels and _alike(str(value), str(labels[key])))
    score += 1 if workload.name in name_of(service) or name_of(service) in workload.name else 0
    targets = {port.get("targetPort", port.get("port")) for port in spec_of(service).get("ports") or ()}
    declared = {value for entry in container_ports(item) for value in (entry.get("containerPort"), entry.get("name"))}
    return score + (1 if targets & declared else 0)


def _alike(left: str, right: str) -> bool:
    import difflib  # noqa: PLC0415 - only when a selector matches nothing

    return left != right and difflib.SequenceMatcher(None, left, right).ratio() >= 0.75


def _mismatch(view: ClusterView, service: Object, workload: ObjectRef, labels: Mapping[str, str]) -> Suspect:
    ref, selector = ref_of("Service", service), spec_of(service).get("selector") or {}
    wrong = {key: value for key, value in selector.items() if labels.get(key) != value}
    have = {key: labels.get(key, "(none)") for key in wrong}
    patch = ",".join(f'"{key}":"{value}"' for key, value in have.items() if value != "(none)")
    pods = view.pods_of(workload)
    evidence = [quotes.field(ref, "spec.selector", selector)]
    if pods:
        evidence.append(quotes.field(ref_of("Pod", pods[0]), "metadata.labels", dict(labels_of(pods[0]))))
    else:
        evidence.append(quotes.field(workload, "spec.template.metadata.labels", dict(labels)))
    return suspect(
        "service_selector_mismatch",
        ref,
        title=f"service {ref.name} selects no pods: its selector does not match {workload.short}",
        explanation=f"Service {ref.name} selects {_labels_text(wrong)}, the pods of {workload.short} have "
        f"{_labels_text(have)}.",
        evidence=evidence,
        remediation=[
            quotes.look(
                "Compare selector and labels",
                quotes.kubectl(ref.namespace, "get pods --show-labels"),
            ),
            quotes.change(
                "Correct the selector",
                quotes.kubectl(ref.namespace, f'patch service {ref.name} -p \'{{"spec":{{"selector":{{{patch}}}}}}}\''),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.93,
    )


def _labels_text(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items()) or "no such labels"


def _port_fault(view: ClusterView, service: Object, port: Mapping[str, Any], pods: list[Object]) -> Suspect | None:
    target = port.get("targetPort", port.get("port"))
    declared = [entry for pod in pods for entry in container_ports(pod)]
    if not declared:
        return None  # containerPort is optional: nothing declared says nothing
    protocol = port.get("protocol") or "TCP"
    same = [entry for entry in declared if target in (entry.get("containerPort"), entry.get("name"))]
    if same:
        protocols = {entry.get("protocol") or "TCP" for entry in same}
        if protocol not in protocols:
            return _protocol_fault(view, service, port, pods, sorted(protocols))
        return None
    if target in _PROXY_PORTS:
        return None
    listening = _listening(pods)
    if isinstance(target, int) and target in listening:
        return None
    checked = _check(view, service, port)
    # A number that nobody declares may still be listened on; a failed connection, or ports that
    # every pod declares otherwise, tells.
    certain = isinstance(target, str) or (checked is not None and not checked[0])
    if checked is not None and checked[0]:
        return None
    return _port_suspect(view, service, port, pods, declared, certain=certain, check=checked)


def _listening(pods: list[Object]) -> set[int]:
    """Ports that probes of ready pods use with success: somebody listens there."""
    ports: set[int] = set()
    for pod in pods:
        for container in containers_of(pod):
            probe = container.get("readinessProbe") or {}
            for kind in ("httpGet", "tcpSocket", "grpc"):
                value = (probe.get(kind) or {}).get("port")
                if isinstance(value, int) and is_ready(pod):
                    ports.add(value)
    return ports


def _check(view: ClusterView, service: Object, port: Mapping[str, Any]) -> tuple[bool, Evidence] | None:
    """(succeeded, quote) of a connection that the collector tried to this port."""
    for entry in view.snapshot.connectivity:
        same = (entry.namespace, entry.service) == (namespace_of(service), name_of(service))
        if same and entry.port == port.get("port"):
            text = f"{entry.service}:{entry.port} {entry.output.strip()}"
            return entry.succeeded, quotes.check(ref_of("Service", service), "connection test", text)
    return None


def _port_suspect(
    view: ClusterView,
    service: Object,
    port: Mapping[str, Any],
    pods: list[Object],
    declared: list[Mapping[str, Any]],
    *,
    certain: bool,
    check: tuple[bool, Evidence] | None,
) -> Suspect:
    ref, target = ref_of("Service", service), port.get("targetPort", port.get("port"))
    workload = view.workload_of(pods[0])
    have = sorted({int(entry["containerPort"]) for entry in declared if entry.get("containerPort")})
    index = (spec_of(service).get("ports") or []).index(port)
    wanted = have[0] if have else "<port>"
    evidence = [
        quotes.field(ref, f"spec.ports[{index}].targetPort", str(target)),
        quotes.field(ref_of("Pod", pods[0]), "spec.containers[*].ports", ", ".join(map(str, have))),
    ]
    if check is not None:
        evidence.append(check[1])
    patch = f'[{{"op":"replace","path":"/spec/ports/{index}/targetPort","value":{wanted}}}]'
    return suspect(
        "service_port_mismatch",
        ref,
        title=f"service {ref.name} sends to port {target}, where {workload.name} does not listen",
        explanation=f"Port {port.get('port')} of Service {ref.name} goes to targetPort {target}; the pods of "
        f"{workload.short} have {', '.join(map(str, have))}.",
        evidence=evidence,
        remediation=[
            quotes.look("See both sides", quotes.kubectl(ref.namespace, f"get service {ref.name} -o yaml")),
            quotes.change(
                f"Set targetPort to {wanted}",
                quotes.kubectl(ref.namespace, f"patch service {ref.name} --type=json -p '{patch}'"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.95 if certain else 0.8,
    )


def _protocol_fault(
    view: ClusterView, service: Object, port: Mapping[str, Any], pods: list[Object], have: list[str]
) -> Suspect:
    ref = ref_of("Service", service)
    workload = view.workload_of(pods[0])
    index = (spec_of(service).get("ports") or []).index(port)
    protocol = port.get("protocol") or "TCP"
    patch = f'[{{"op":"replace","path":"/spec/ports/{index}/protocol","value":"{have[0]}"}}]'
    evidence = [
        quotes.field(ref, f"spec.ports[{index}].protocol", protocol),
        quotes.field(ref_of("Pod", pods[0]), "spec.containers[*].ports.protocol", ", ".join(have)),
    ]
    checked = _check(view, service, port)
    if checked is not None and not checked[0]:
        evidence.append(checked[1])
    return suspect(
        "service_protocol_mismatch",
        ref,
        title=f"service {ref.name} forwards {protocol}, but {workload.name} speaks {have[0]}",
        explanation=f"Port {port.get('port')} of Service {ref.name} is {protocol}, the container's port is {have[0]}.",
        evidence=evidence,
        remediation=[
            quotes.change(
                f"Set the protocol to {have[0]}",
                quotes.kubectl(ref.namespace, f"patch service {ref.name} --type=json -p '{patch}'"),
            )
        ],
        severity=Severity.CRITICAL,
        confidence=0.95,
    )


RULES = (find_selector_mismatches, find_port_mismatches, find_services_without_ready_pods)
