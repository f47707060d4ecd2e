"""Faults of nodes, the control plane, autoscalers and figures, each beside a near miss.

Messages as kubelet, systemd and controllers write them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Diagnosis, Scope
from kubetriage.diagnosis import diagnose
from kubetriage.state import MetricSeries
from kubetriage.state.snapshot import NodeService
from tests.diagnosis.build import (
    NAMESPACE,
    NOW,
    at,
    container,
    deployment,
    diagnosed,
    event,
    meta,
    node,
    pod,
    service,
    snapshot,
    status,
)

APP, NODE, SCALER = "deployment/payments", "node/node-1", "horizontalpodautoscaler/payments"
Build = Callable[[], Diagnosis]


# -- nodes and the control plane ------------------------------------------------------------------


def _node(kind: str, reason: str, message: str, *, state: str = "True", age: float = 600, **more: Any) -> Diagnosis:
    """A node with this condition and a workload on it."""
    found = {"type": kind, "status": state, "reason": reason, "message": message, "lastTransitionTime": at(4)}
    item = node()
    item["metadata"]["creationTimestamp"] = at(age)
    others = [] if kind == "Ready" else item["status"]["conditions"]
    item["status"]["conditions"] = [*others, found]
    notes = [event(item, more["noted"], message, ago=30)] if "noted" in more else []
    return diagnosed(item, *deployment(), pod(), service(), *notes)


RUNTIME_DOWN = (
    "[container runtime is down, PLEG is not healthy: pleg was last seen active 4m11s ago; threshold is 3m0s]"
)
NO_NETWORK = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin "
    "returns error: cni plugin not initialized"
)
SANDBOX = (
    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "9f": plugin '
    'type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory'
)


def _sandbox(reason: str, *since: str) -> Diagnosis:
    """``since``: what the kubelet said after the sandbox had failed."""
    item = pod(phase="Pending", statuses=[status(ready=False, state={"waiting": {"reason": reason}})], age=2)
    notes = [event(item, "FailedCreatePodSandBox", SANDBOX, ago=1.5)]
    notes += [event(item, name, "as it should be", ago=0.5, count=1, type="Normal") for name in since]
    return diagnosed(node(), *deployment(available=0), item, *notes)


DEAD = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}
ENDED = {"terminated": {"reason": "Error", "exitCode": 1, "startedAt": at(1.1), "finishedAt": at(1)}}
BROKEN = status(ready=False, restarts=9, state=DEAD, lastState=ENDED)


def _system(name: str, *dead: bool, owner: str = "DaemonSet", **labels: str) -> list[dict[str, Any]]:
    """Pods of kube-system, one for each of ``dead``, on a node each; all controlled by ``owner``."""
    found = []
    for number, broken in enumerate(dead, 1):
        now = BROKEN if broken else status()
        host = f"node-{number}"
        item = pod(name, statuses=[now], labels=labels, owner=(owner, host if owner == "Node" else name), nodeName=host)
        item["metadata"] |= {"namespace": "kube-system", "name": f"{name}-{host}"}
        found.append(item)
    return found


def _whole(*items: Any, **more: Any) -> Diagnosis:
    """The whole cluster, with a shop that is well."""
    read = snapshot(node(), node("node-2"), *deployment(), pod(), service(), *items, **more)
    return diagnose(replace(read, namespaces=None), Scope())


def _systemd(name: str, active: str) -> Diagnosis:
    text = (
        f"● {name}.service - {name}\n     Loaded: loaded (/etc/systemd/system/{name}.service)\n     Active: {active}\n"
    )
    return _whole(node_services=(NodeService(node="node-1", service=name, status=text),))


STOPPED, RUNS = "inactive (dead) since Mon 2026-11-23 11:40:00 UTC; 20min ago", "active (running) since Mon 2026-11-23"


def _unseen(age: float, **spec: Any) -> Diagnosis:
    """A pod that no scheduler has said anything about."""
    waiting = pod(phase="Pending", statuses=[], nodeName=None, age=age, **spec)
    return diagnosed(*deployment(available=0), waiting)


def _api(state: str, *, since: float = 20) -> dict[str, Any]:
    told = {"type": "Available", "status": state, "reason": "MissingEndpoints", "lastTransitionTime": at(since)}
    told["message"] = 'endpoints for service/metrics-server in "kube-system" have no addresses with port name "https"'
    spec = {"group": "metrics.k8s.io", "service": {"name": "metrics-server", "namespace": "kube-system"}}
    about = meta("v1beta1.metrics.k8s.io", None)
    return {"kind": "APIService", "metadata": about, "spec": spec, "status": {"conditions": [told]}}


# -- autoscalers ----------------------------------------------------------------------------------


def _scaler(kind: str, state: str, reason: str, message: str) -> dict[str, Any]:
    told = {"type": kind, "status": state, "reason": reason, "message": message}
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "payments"}, "minReplicas": 1, "maxReplicas": 3}
    status_now = {"currentReplicas": 3, "desiredReplicas": 3, "conditions": [told]}
    return {"kind": "HorizontalPodAutoscaler", "metadata": meta("payments"), "spec": spec, "status": status_now}


def _scaled(*condition: str, crashing: bool = False, more: tuple[Any, ...] = ()) -> Diagnosis:
    item = pod(statuses=[BROKEN if crashing else status()])
    return diagnosed(*deployment(available=int(not crashing)), item, service(), _scaler(*condition), *more)


FAILS = "the HPA was unable to compute the replica count: failed to get cpu utilization: "
FETCH = f"{FAILS}unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: "
NO_FIGURES = ("ScalingActive", "False", "FailedGetResourceMetric")
NOT_SERVED = f"{FETCH}the server could not find the requested resource (get pods.metrics.k8s.io)"
NOT_NOW = f"{FETCH}the server is currently unable to handle the request (get pods.metrics.k8s.io)"
UNREADY = f"{FAILS}did not receive metrics for targeted pods (pods might be unready)"
AT_ZERO = "scaling is disabled since the replica count of the target is zero"


def _series(name: str, target: str, before: float, after: float, kind: str = "Service") -> MetricSeries:
    times = tuple(NOW - timedelta(seconds=5 * (40 - step)) for step in range(40))
    values = tuple(before if step < 20 else after for step in range(40))
    return MetricSeries(name=name, target=target, target_kind=kind, namespace=NAMESPACE, times=times, values=values)


def _measured(*series: MetricSeries) -> Diagnosis:
    """payments and checkout on node-2, orders and cart on node-1."""
    placed = {"payments": "node-2", "checkout": "node-2", "orders": "node-1", "cart": "node-1"}
    world = [[*deployment(name), pod(name, nodeName=host), service(name)] for name, host in placed.items()]
    return diagnosed(node(), node("node-2"), *world, metrics=series)


RETRANSMITS = "tcp_retransmissions_per_second"


def _uses(mebibytes: float) -> Diagnosis:
    item = pod(containers=[container(resources={"limits": {"memory": "512Mi"}})])
    usage = {(NAMESPACE, item["metadata"]["name"], "app"): (0.1, mebibytes * 2**20)}
    return diagnosed(*deployment(), item, service(), usage=usage)


RETRANSMITS = "tcp_retransmissions_per_second"
ON_NODE_2 = (
    _series("latency_p50_ms", "payments", 10, 140),
    _series("latency_p50_ms", "checkout", 30, 190),
    _series("latency_p50_ms", "orders", 40, 160),
)
NO_MEMORY = "kubelet has insufficient memory available"
MEMORY = "kubelet has sufficient memory available"
PROXY, DNS = {"k8s-app": "kube-proxy"}, {"k8s-app": "kube-dns"}
SCHEDULER, MANAGER = {"component": "kube-scheduler"}, {"component": "kube-controller-manager"}
TOO_MANY = (
    "ScalingLimited",
    "True",
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
)
IN_RANGE = ("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range")

# cause: (the fault, its object, what nearly looks like it and has no incident)
ROWS: dict[str, tuple[Build, str, Build]] = {
    "container_runtime_unavailable": (
        lambda: _node("Ready", "KubeletNotReady", RUNTIME_DOWN, state="False"), NODE,
        lambda: _systemd("containerd", "?\nssh: connect to host node-1 port 22: Connection timed out"),
    ),
    "node_network_unavailable": (
        lambda: _node("Ready", "KubeletNotReady", NO_NETWORK, state="False"), NODE,
        lambda: _node("Ready", "KubeletNotReady", NO_NETWORK, state="False", age=0.5),
    ),
    "node_memory_pressure": (
        lambda: _node("MemoryPressure", "KubeletHasInsufficientMemory", NO_MEMORY), NODE,
        lambda: _node(
            "MemoryPressure", "KubeletHasSufficientMemory", MEMORY, state="False", noted="EvictionThresholdMet"
        ),
    ),
    "node_disk_pressure": (
        lambda: _node("DiskPressure", "KubeletHasDiskPressure", "kubelet has disk pressure"), NODE,
        lambda: _node(
            "DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure",
            state="False", noted="FreeDiskSpaceFailed",
        ),
    ),
    "node_pid_pressure": (
        lambda: _node("PIDPressure", "KubeletHasInsufficientPID", "kubelet has insufficient PID available"), NODE,
        # A condition of another controller's: its True may be good or bad.
        lambda: _node("FrequentPIDReuse", "NoReuse", "the problem detector's own condition"),
    ),
    "pod_sandbox_failed": (
        lambda: _sandbox("ContainerCreating"), APP, lambda: _sandbox("ContainerCreating", "Pulling"),
    ),
    "kube_proxy_unavailable": (
        lambda: _whole(_system("kube-proxy", False, True, **PROXY)), "daemonset/kube-proxy",
        lambda: _whole(_system("kube-proxy", False, False, **PROXY)),
    ),
    "scheduler_unavailable": (
        lambda: _whole(_system("kube-scheduler", True, owner="Node", **SCHEDULER)), "pod/kube-scheduler-node-1",
        lambda: _whole(_system("kube-scheduler", False, owner="Node", **SCHEDULER)),
    ),
    "controller_manager_unavailable": (
        lambda: _whole(_system("kube-controller-manager", True, owner="Node", **MANAGER)),
        "pod/kube-controller-manager-node-1",
        lambda: _systemd("kube-controller-manager", RUNS),
    ),
    "coredns_unavailable": (
        lambda: _whole(_system("coredns", True, True, owner="Deployment", **DNS)), "deployment/coredns",
        lambda: _whole(_system("coredns", False, False, owner="Deployment", **DNS)),
    ),
    "api_service_unavailable": (
        lambda: diagnosed(_api("False")), "apiservice/v1beta1.metrics.k8s.io",
        lambda: diagnosed(_api("False", since=0.5)),
    ),
    "hpa_metrics_unavailable": (
        lambda: _scaled(*NO_FIGURES, NOT_SERVED), SCALER,
        lambda: _scaled("ScalingActive", "False", "ScalingDisabled", AT_ZERO),
    ),
    "hpa_at_maximum": (lambda: _scaled(*TOO_MANY), SCALER, lambda: _scaled(*IN_RANGE)),
    "memory_near_limit": (lambda: _uses(490), APP, lambda: _uses(380)),
    "node_network_delay": (
        lambda: _measured(_series(RETRANSMITS, "node-2", 0.2, 1.4, "Node"), *ON_NODE_2), "node/node-2",
        lambda: _measured(_series(RETRANSMITS, "node-2", 0.1, 0.4, "Node")),
    ),
    "error_rate_increased": (
        lambda: _measured(_series("success_ratio", "payments", 0.999, 0.82)), APP,
        lambda: _measured(_series("success_ratio", "payments", 0.999, 0.985)),
    ),
}  # fmt: skip

# Other ways to the same cause: (the fault, cause, object)
ALSO: dict[str, tuple[Build, str, str]] = {
    "runtime-by-systemd": (lambda: _systemd("containerd", STOPPED), "container_runtime_unavailable", NODE),
    "proxy-by-systemd": (lambda: _systemd("kube-proxy", STOPPED), "kube_proxy_unavailable", NODE),
    "scheduler-by-systemd": (lambda: _systemd("kube-scheduler", STOPPED), "scheduler_unavailable", NODE),
    "manager-by-systemd": (
        lambda: _systemd("kube-controller-manager", STOPPED), "controller_manager_unavailable", NODE,
    ),
    "scheduler-that-cannot-be-seen": (lambda: _unseen(10), "scheduler_unavailable", "controlplane/kube-scheduler"),
    "node-without-a-route": (
        lambda: _node("NetworkUnavailable", "NoRouteCreated", "RouteController failed to create a route"),
        "node_network_unavailable", NODE,
    ),
}  # fmt: skip

# What looks alike and is something else: (build, its cause, the cause that it must not be given)
APART: dict[str, tuple[Build, str, str]] = {
    "a-runtime-that-lacks-its-network": (
        lambda: _node("Ready", "KubeletNotReady", NO_NETWORK, state="False"),
        "node_network_unavailable", "container_runtime_unavailable",
    ),
    "an-image-missing-after-the-sandbox-came": (
        lambda: _sandbox("ImagePullBackOff", "Pulling"), "image_not_found", "pod_sandbox_failed",
    ),
    "one-of-two-pods-of-the-dns": (
        lambda: _whole(_system("coredns", False, True, owner="Deployment", **DNS)), "crash_loop", "coredns_unavailable",
    ),
    "one-of-two-schedulers": (
        lambda: _whole(_system("kube-scheduler", False, True, owner="Node", **SCHEDULER)),
        "crash_loop", "scheduler_unavailable",
    ),
    "a-pod-for-another-scheduler": (
        lambda: _unseen(10, schedulerName="volcano"), "scheduler_unknown", "scheduler_unavailable",
    ),
    "figures-of-pods-that-crash": (
        lambda: _scaled(*NO_FIGURES, UNREADY, crashing=True), "crash_loop", "hpa_metrics_unavailable",
    ),
    "figures-that-an-api-should-give": (
        lambda: _scaled(*NO_FIGURES, NOT_NOW, more=(_api("False"),)),
        "api_service_unavailable", "hpa_metrics_unavailable",
    ),
    "slow-without-retransmissions": (lambda: _measured(*ON_NODE_2), "pod_network_delay", "node_network_delay"),
}  # fmt: skip

# More that has no incident.
QUIET: dict[str, Build] = {
    "an-api-that-this-server-answers": lambda: diagnosed({**_api("False"), "spec": {"group": "apps"}}),
    "an-api-that-answers": lambda: diagnosed(_api("True")),
    "a-scheduler-that-has-not-looked-yet": lambda: _unseen(0.2),
    "a-runtime-of-a-node-that-has-just-joined": lambda: _node(
        "Ready", "KubeletNotReady", "container runtime status check may not have completed yet", state="False", age=0.2
    ),
}
