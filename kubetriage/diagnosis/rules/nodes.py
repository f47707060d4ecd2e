"""Nodes that are not ready or under pressure, and the services of a node that do not run.

https://kubernetes.io/docs/reference/node/node-status/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import crash_evidence, is_in_trouble, runs_of
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import (
    condition,
    created_at,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    phase_of,
    pod_spec_of,
    ref_of,
)
from kubetriage.state.snapshot import NodeService, Object
from kubetriage.state.times import parse_time

# A node registers first and gets its network plugin then, whose image is pulled.
JOINING = timedelta(minutes=2)
_RUNTIMES = ("containerd", "crio", "cri-o", "docker")
SCHEDULER = ObjectRef(kind="ControlPlane", name="kube-scheduler")  # where it cannot be seen itself
_COMPONENTS = ("kube-scheduler", "kube-controller-manager", "kube-proxy")
_RUNTIME_DOWN = re.compile(r"container runtime|PLEG is not healthy|containerd|cri-o|docker", re.IGNORECASE)
_NETWORK_DOWN = re.compile(r"network plugin|cni (?:config|plugin)|NetworkPluginNotReady", re.IGNORECASE)
_ACTIVE = re.compile(r"Active:\s*(?P<state>\w+)(?: \((?P<sub>[\w-]+)\))?(?: since (?P<since>[^;]+))?")
_PRESSURES = {
    "MemoryPressure": ("node_memory_pressure", "is short of memory and evicts pods"),
    "DiskPressure": ("node_disk_pressure", "is short of disk and evicts pods"),
    "PIDPressure": ("node_pid_pressure", "is short of process ids"),
    "NetworkUnavailable": ("node_network_unavailable", "has no working pod network"),
}


@rule("nodes", "pods", "events")
def find_node_faults(view: ClusterView) -> Iterable[Suspect]:
    """One suspect per fault of a node; the conditions that Kubernetes itself defines, and only
    those: other controllers add types of their own whose True may be good or bad."""
    stopped = {
        entry.node: list(find_stopped(view.snapshot.node_services, entry.node)) for entry in view.snapshot.node_services
    }
    for node in view.snapshot.items("nodes"):
        age = view.ago(created_at(node))
        if age is not None and age < JOINING:
            continue
        ready = condition(node, "Ready") or {}
        if ready and ready.get("status") != "True":
            yield _not_ready(view, node, ready.get("status") == "Unknown", stopped.get(name_of(node), []))
        for kind, (cause, what) in _PRESSURES.items():
            found = condition(node, kind) or {}
            if found.get("status") == "True":
                yield _pressure(view, node, kind, cause, what)


@rule("nodes", "pods")
def find_stopped_node_services(view: ClusterView) -> Iterable[Suspect]:
    """What ``systemctl status`` of a bundle says, also while the node still looks ready."""
    for node in dict.fromkeys(entry.node for entry in view.snapshot.node_services):
        for service, evidence in find_stopped(view.snapshot.node_services, node):
            cause = _cause_of_service(service)
            if cause is not None:
                yield _service_down(view, node, service, cause, evidence)


@rule("pods", "daemonsets")
def find_dead_components(view: ClusterView) -> Iterable[Suspect]:
    """Components that run as pods (only where kube-system could be read): kube-proxy is needed on every node, of a
    scheduler or controller manager one is enough."""
    for name in _COMPONENTS:
        cause = _cause_of_service(name)
        pods = [pod for pod in view.live_pods if namespace_of(pod) == "kube-system" and _is_component(pod, name)]
        dead = [pod for pod in pods if not is_ready(pod) and any(is_in_trouble(run, view.now) for run in runs_of(pod))]
        if dead and cause is not None and (name == "kube-proxy" or len(dead) == len(pods)):
            yield _component_down(view, name, cause, dead)


@rule("pods", "events", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs")
def find_silent_scheduler(view: ClusterView) -> Iterable[Suspect]:
    """Pods that the default scheduler has not even looked at, for longer than it would take. Where the scheduler
    itself can be seen that tells more."""
    known = any(_is_component(pod, SCHEDULER.name) for pod in view.pods)
    told = any(service == SCHEDULER.name for service, _ in _all_stopped(view))
    waiting = [pod for pod in view.live_pods if _is_overlooked(view, pod)]
    if waiting and not known and not told:
        yield _silent_scheduler(view, waiting)


def _is_overlooked(view: ClusterView, pod: Object) -> bool:
    """The scheduler writes PodScheduled and an event, whatever comes of it."""
    spec, age = pod_spec_of(pod), view.ago(created_at(pod))
    named = spec.get("nodeName") or spec.get("schedulerName") not in (None, "default-scheduler")
    heard = condition(pod, "PodScheduled") or view.events_of(ref_of("Pod", pod), "FailedScheduling", "Scheduled")
    return phase_of(pod) == "Pending" and not named and not heard and age is not None and age >= JOINING


def _is_component(pod: Object, name: str) -> bool:
    """kubeadm labels static pods ``component``, kube-proxy and kOps ``k8s-app``."""
    return name in (labels_of(pod).get("component"), labels_of(pod).get("k8s-app"))


def _all_stopped(view: ClusterView) -> Iterator[tuple[str, Evidence]]:
    for node in dict.fromkeys(entry.node for entry in view.snapshot.node_services):
        yield from find_stopped(view.snapshot.node_services, node)


def find_stopped(services: Iterable[NodeService], node: str) -> Iterator[tuple[str, Evidence]]:
    """Services of a node that systemd says are not running. Text that is no status (a failed
    connection, say) tells nothing."""
    for entry in services:
        match = _ACTIVE.search(entry.status)
        if entry.node != node or match is None or match["state"] in ("active", "activating", "reloading"):
            continue
        line = next(line.strip() for line in entry.status.splitlines() if "Active:" in line)
        yield (
            entry.service,
            quotes.check(ObjectRef(kind="Node", name=node), f"systemctl status {entry.service}", line),
        )


def _cause_of_service(service: str) -> str | None:
    if service == "kubelet":
        return "kubelet_unavailable"
    if service in _RUNTIMES:
        return "container_runtime_unavailable"
    return {
        "kube-proxy": "kube_proxy_unavailable",
        "kube-scheduler": "scheduler_unavailable",
        "kube-controller-manager": "controller_manager_unavailable",
    }.get(service)


def _not_ready(view: ClusterView, node: Object, silent: bool, stopped: list[tuple[str, Evidence]]) -> Suspect:
    ready = condition(node, "Ready") or {}
    message, target = str(ready.get("message") or ""), ref_of("Node", node)
    names = {service for service, _ in stopped}
    if names & set(_RUNTIMES) or (not silent and _RUNTIME_DOWN.search(message) and not _NETWORK_DOWN.search(message)):
        cause, what = "container_runtime_unavailable", "its container runtime does not run"
    elif _NETWORK_DOWN.search(message):
        cause, what = "node_network_unavailable", "its network plugin is not ready"
    elif silent or "kubelet" in names:
        cause, what = "kubelet_unavailable", "its kubelet has stopped reporting"
    else:
        cause, what = "node_not_ready", "its kubelet reports that it is not ready"
    evidence = [
        quotes.field(
            target,
            "status.conditions[Ready]",
            f"{ready.get('status')} {ready.get('reason') or ''}: {message}",
            parse_time(ready.get("lastTransitionTime")),
        ),
        *(entry for service, entry in stopped if _cause_of_service(service) == cause),
    ]
    pods = [pod for pod in view.live_pods if pod_spec_of(pod).get("nodeName") == name_of(node)]
    service = "containerd" if cause == "container_runtime_unavailable" else "kubelet"
    return suspect(
        cause,
        target,
        title=f"node {name_of(node)} is not ready: {what}",
        explanation=f"Node {name_of(node)} is NotReady ({ready.get('reason')}): {what}. {len(pods)} pods are on it.",
        evidence=evidence,
        remediation=[
            quotes.look("See its conditions", f"kubectl describe node {name_of(node)}"),
            quotes.change(
                f"On the node: read the log of {service} and start it",
                f"systemctl status {service}; journalctl -u {service} -n 100; systemctl restart {service}",
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.95,
    )


def _pressure(view: ClusterView, node: Object, kind: str, cause: str, what: str) -> Suspect:
    found, target = condition(node, kind) or {}, ref_of("Node", node)
    evidence = [
        quotes.field(
            target,
            f"status.conditions[{kind}]",
            f"True {found.get('reason') or ''}: {found.get('message') or ''}",
            parse_time(found.get("lastTransitionTime")),
        )
    ]
    evidence += [
        quotes.event(note) for note in view.events_of(target, "EvictionThresholdMet", "FreeDiskSpaceFailed")[-2:]
    ]
    return suspect(
        cause,
        target,
        title=f"node {name_of(node)} {what}",
        explanation=f"Node {name_of(node)} {what} ({kind}).",
        evidence=evidence,
        remediation=[
            quotes.look("See what uses it", f"kubectl describe node {name_of(node)}"),
            quotes.change("Move work away until it is free again", f"kubectl cordon {name_of(node)}"),
        ],
        severity=Severity.HIGH,
        confidence=0.92,
    )


def _service_down(view: ClusterView, node: str, service: str, cause: str, evidence: Evidence) -> Suspect:
    waiting = [pod for pod in view.live_pods if not pod_spec_of(pod).get("nodeName")]
    more = f" {len(waiting)} pods wait for a node." if cause == "scheduler_unavailable" and waiting else ""
    quotes_of_pods = [
        quotes.field(ref_of("Pod", pod), "status.phase", "Pending without a node and without a refusal")
        for pod in (waiting[:2] if cause == "scheduler_unavailable" else [])
    ]
    return suspect(
        cause,
        ObjectRef(kind="Node", name=node),
        title=f"{service} does not run on node {node}",
        explanation=f"systemd on {node} says that {service} is not running.{more}",
        evidence=[evidence, *quotes_of_pods],
        remediation=[
            quotes.look("See why it stopped", f"journalctl -u {service} -n 100  # on {node}"),
            quotes.change("Start it", f"systemctl start {service}  # on {node}"),
        ],
        severity=Severity.CRITICAL,
        confidence=0.97,
        depth=Depth.CAUSE,
    )


def _component_down(view: ClusterView, name: str, cause: str, dead: list[Object]) -> Suspect:
    workload = view.workload_of(dead[0])
    hosts = quotes.list_names([str(pod_spec_of(pod).get("nodeName")) for pod in dead])
    ends = [
        crash_evidence(ref_of("Pod", run.pod), run, run.last_end)
        for pod in dead
        for run in runs_of(pod)
        if run.last_end is not None
    ]
    return suspect(
        cause,
        workload,
        title=f"{name} does not run on {hosts}",
        explanation=f"The container of {name} on {hosts} ends again and again.",
        evidence=[quotes.field(ref_of("Pod", dead[0]), "status.conditions[Ready]", "False"), *ends[:3]],
        remediation=[
            quotes.look("Read why it ended", quotes.kubectl("kube-system", f"logs {name_of(dead[0])} --previous")),
            quotes.change(
                "Correct its DaemonSet" if name == "kube-proxy" else "Correct its manifest",
                quotes.kubectl("kube-system", f"edit {workload.short}")
                if name == "kube-proxy"
                else f"vi /etc/kubernetes/manifests/{name}.yaml  # on {hosts}",
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.93,
        blames=tuple(ObjectRef(kind="Node", name=str(pod_spec_of(pod).get("nodeName"))) for pod in dead),
    )


def _silent_scheduler(view: ClusterView, waiting: list[Object]) -> Suspect:
    names = quotes.list_names(list(dict.fromkeys(view.workload_of(pod).short for pod in waiting)))
    return suspect(
        "scheduler_unavailable",
        SCHEDULER,
        title=f"the scheduler does not run: it has not looked at {len(waiting)} pods",
        explanation=f"Pods of {names} have no node, no refusal and no event: no scheduler has handled them.",
        evidence=[
            quotes.field(ref_of("Pod", pod), "status.conditions[PodScheduled]", "absent", created_at(pod))
            for pod in waiting[:3]
        ],
        remediation=[
            quotes.look(
                "See whether it runs", quotes.kubectl("kube-system", f"get pods -l component={SCHEDULER.name}")
            ),
            quotes.look("See when it was last alive", quotes.kubectl("kube-system", f"get lease {SCHEDULER.name}")),
            quotes.change("Start it on a control plane node, and read its log"),
        ],
        severity=Severity.CRITICAL,
        confidence=0.88,
    )


RULES = (find_node_faults, find_stopped_node_services, find_dead_components, find_silent_scheduler)
