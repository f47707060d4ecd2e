"""Pods that no node takes. The scheduler's message says what is missing, the nodes say where.

https://kubernetes.io/docs/concepts/scheduling-eviction/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Remediation, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.placement import Blocker, nearest_nodes, untolerated
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import (
    condition,
    containers_of,
    created_at,
    name_of,
    pod_spec_of,
    ref_of,
    spec_of,
)
from kubetriage.state.quantities import parse_quantity, render_bytes, render_cpu
from kubetriage.state.snapshot import Object
from kubetriage.state.times import parse_time

# Longer than any node autoscaler's first look (10 s) and the scheduler's own retries.
PATIENCE = timedelta(seconds=20)

# The part of the message after which only preemption is discussed.
_PREEMPTION = re.compile(r"\bpreemption: ", re.IGNORECASE)
_REASONS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (cause, re.compile(pattern, re.IGNORECASE))
    for cause, pattern in (
        ("claim", r"persistentvolumeclaim|PersistentVolumeClaims|volume(?:'s)? node affinity|volume zone|find available"
                  r" persistent volumes|bind(?:ing)? .*volume"),
        ("insufficient_cpu", r"Insufficient cpu"),
        ("insufficient_memory", r"Insufficient memory"),
        ("insufficient_resource", r"Insufficient |Too many pods"),
        ("pod_anti_affinity_conflict", r"anti-affinity"),
        ("pod_affinity_mismatch", r"didn't match pod affinity rules|didn't satisfy existing pods? affinity"),
        ("topology_spread_conflict", r"topology spread"),
        ("host_port_conflict", r"free ports"),
        ("taint_not_tolerated", r"untolerated taint|had taint"),
        ("placement", r"node affinity|node selector|affinity/selector"),
        ("node_cordoned", r"were unschedulable"),
    )
)  # fmt: skip
_SHORT = re.compile(r"(\d+) (?:Insufficient ([\w./-]*\w)|Too many pods)", re.IGNORECASE)
_RESOURCES = {"cpu": "insufficient_cpu", "memory": "insufficient_memory"}
_TITLES = {
    "insufficient_cpu": "no node has the CPU that it requests",
    "insufficient_memory": "no node has the memory that it requests",
    "insufficient_resource": "no node has the resource that it requests",
    "pod_anti_affinity_conflict": "its anti-affinity leaves no node",
    "pod_affinity_mismatch": "no node satisfies its pod affinity",
    "topology_spread_conflict": "its topology spread leaves no node",
    "host_port_conflict": "its host port is taken on every node",
    "taint_not_tolerated": "the fitting node has a taint that it does not tolerate",
    "node_selector_mismatch": "no node has the labels of its nodeSelector",
    "node_affinity_mismatch": "no node matches its node affinity",
    "node_cordoned": "the fitting nodes are cordoned",
}


@rule("pods", "events", "nodes", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs")
def find_unschedulable(view: ClusterView) -> Iterable[Suspect]:
    """Pending pods that the scheduler refused."""
    for pod in view.live_pods:
        if pod_spec_of(pod).get("nodeName"):
            continue
        refused = condition(pod, "PodScheduled") or {}
        if refused.get("reason") == "SchedulingGated":
            if _waits_long_enough(view, pod):
                yield _gated(view, pod)
            continue
        found = find_refusal(view, pod)
        if found is None:
            continue
        message, evidence = found
        cause = find_reason(message, pod, view.snapshot.items("nodes"))
        # A node autoscaler may still bring room; nothing brings labels, and no cordon ends by itself.
        waits = cause is not None and cause.startswith("insufficient_") and not _waits_long_enough(view, pod)
        if cause is not None and not waits:
            yield _unschedulable(view, pod, cause, message, evidence)


@rule("pods", "events", "deployments", "replicasets", "statefulsets", "daemonsets", "priorityclasses")
def find_unknown_scheduler(view: ClusterView) -> Iterable[Suspect]:
    """A pod that names a scheduler that nobody runs is never even refused."""
    for pod in view.live_pods:
        scheduler = pod_spec_of(pod).get("schedulerName") or "default-scheduler"
        quiet = not pod_spec_of(pod).get("nodeName") and find_refusal(view, pod) is None
        if scheduler == "default-scheduler" or not quiet or not _waits_long_enough(view, pod):
            continue
        workload, pod_ref = view.workload_of(pod), ref_of("Pod", pod)
        yield suspect(
            "scheduler_unknown",
            workload,
            title=f"{workload.short} is not scheduled: no scheduler {scheduler!r} took it",
            explanation=f"{pod_ref.name} asks for scheduler {scheduler!r} and got no answer from it.",
            evidence=[quotes.field(pod_ref, "spec.schedulerName", scheduler, created_at(pod))],
            remediation=[
                quotes.change(
                    "Use the default scheduler, or run the one that is named",
                    quotes.kubectl(workload.namespace, f"edit {workload.short}"),
                )
            ],
            severity=Severity.CRITICAL,
        )


def find_reason(message: str, pod: Object, nodes: Iterable[Object]) -> str | None:
    """The cause code of a scheduler's refusal; None when it is about a volume (rules.storage).

    A resource that is short decides when it is named at all: such a node passed every other
    filter. Of several the one that most nodes lack. Else the nodes that nearly fit decide what has to change.
    """
    told = _PREEMPTION.split(message)[0]
    named = [cause for cause, pattern in _REASONS if pattern.search(told)]
    if not named or "claim" in named:
        return None
    short = [cause for cause in ("insufficient_cpu", "insufficient_memory", "insufficient_resource") if cause in named]
    if short:
        lacking = _lacking(told)
        return max(short, key=lambda cause: lacking.get(cause, 0))
    for cause in ("pod_anti_affinity_conflict", "pod_affinity_mismatch", "topology_spread_conflict"):
        if cause in named:
            return cause
    if "host_port_conflict" in named:
        return "host_port_conflict"
    return _by_nearest_node(named, pod, list(nodes))


def _lacking(told: str) -> dict[str, int]:
    """Cause to the number of nodes that are short of that resource, as the scheduler counted them."""
    found: dict[str, int] = {}
    for count, resource in _SHORT.findall(told):
        cause = _RESOURCES.get(resource.lower(), "insufficient_resource")
        found[cause] = max(int(count), found.get(cause, 0))
    return found


def _by_nearest_node(named: list[str], pod: Object, nodes: list[Object]) -> str:
    blockers = {blocker for _, group in nearest_nodes(pod, nodes) for blocker in group}
    # A label is what the pod asks for; taint and cordon are what a node that has the label refuses.
    for blocker in (Blocker.TAINT, Blocker.CORDON, Blocker.SELECTOR, Blocker.AFFINITY):
        if blocker in blockers:
            return blocker.value
    if "placement" in named:
        return "node_affinity_mismatch" if _has_node_affinity(pod) else "node_selector_mismatch"
    return named[0]


def _has_node_affinity(pod: Object) -> bool:
    affinity = pod_spec_of(pod).get("affinity") or {}
    return bool((affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution"))


def find_refusal(view: ClusterView, pod: Object) -> tuple[str, Evidence] | None:
    """The scheduler's latest word: the condition, which outlives the event, else the event."""
    pod_ref = ref_of("Pod", pod)
    refused = condition(pod, "PodScheduled") or {}
    if refused.get("status") == "False" and refused.get("message"):
        text = str(refused["message"])
        return text, quotes.field(
            pod_ref,
            "status.conditions[PodScheduled].message",
            text,
            parse_time(refused.get("lastTransitionTime")),
        )
    notes = view.events_of(pod_ref, "FailedScheduling")
    return (notes[-1].message, quotes.event(notes[-1])) if notes else None


def _waits_long_enough(view: ClusterView, pod: Object) -> bool:
    waited = view.ago(created_at(pod))
    return waited is None or waited >= PATIENCE


def _unschedulable(view: ClusterView, pod: Object, cause: str, message: str, said: Evidence) -> Suspect:
    workload, pod_ref = view.workload_of(pod), ref_of("Pod", pod)
    details, steps = _details(view, pod, cause, workload)
    notes = view.events_of(pod_ref, "FailedScheduling")
    evidence = [
        said,
        *([quotes.event(notes[-1])] if notes and notes[-1].message != message else []),
        *details,
    ]
    return suspect(
        cause,
        workload,
        title=f"{workload.short} cannot be scheduled: {_TITLES[cause]}",
        explanation=f"{pod_ref.name} is Pending since no node takes it: {_PREEMPTION.split(message)[0].strip()}",
        evidence=evidence,
        remediation=[
            quotes.look("See the refusal", quotes.kubectl(workload.namespace, f"describe pod {pod_ref.name}")),
            *steps,
        ],
        severity=Severity.CRITICAL,
        confidence=0.95,
        first_seen=created_at(pod),
        runbook_query=f"FailedScheduling {_TITLES[cause]} {message[:160]}",
    )


def _details(
    view: ClusterView, pod: Object, cause: str, workload: ObjectRef
) -> tuple[list[Evidence], list[Remediation]]:
    """What on the pod and on the nodes shows it, and the safest change."""
    pod_ref, spec = ref_of("Pod", pod), pod_spec_of(pod)
    nodes = nearest_nodes(pod, view.snapshot.items("nodes"))
    edit = quotes.kubectl(workload.namespace, f"edit {workload.short}")
    if cause in ("insufficient_cpu", "insufficient_memory"):
        return _resource_details(view, pod, cause, workload)
    if cause == "node_cordoned":
        cordoned = [node for node, _ in nodes if spec_of(node).get("unschedulable")]
        return (
            [quotes.field(ref_of("Node", node), "spec.unschedulable", "true") for node in cordoned[:4]],
            [quotes.change(f"Uncordon {name_of(node)}", f"kubectl uncordon {name_of(node)}") for node in cordoned[:2]],
        )
    if cause == "taint_not_tolerated":
        tainted = [(node, untolerated(spec, node)) for node, _ in nodes]
        evidence = [quotes.field(ref_of("Node", node), "spec.taints", ", ".join(t)) for node, t in tainted if t]
        first = next(((node, t[0]) for node, t in tainted if t), None)
        command = f"kubectl taint nodes {name_of(first[0])} {first[1]}-" if first else edit
        return evidence[:4], [
            quotes.change("Remove the taint when its reason is gone", command),
            quotes.change("Or add a toleration for it to the pod template", edit),
        ]
    if cause == "node_selector_mismatch":
        labels = ", ".join(f"{key}={value}" for key, value in (spec.get("nodeSelector") or {}).items())
        return [quotes.field(pod_ref, "spec.nodeSelector", spec.get("nodeSelector") or {})], [
            quotes.look("See which labels the nodes have", "kubectl get nodes --show-labels"),
            quotes.change(f"Correct the nodeSelector ({labels}), or label a node with it", edit),
        ]
    if cause in ("node_affinity_mismatch", "pod_anti_affinity_conflict", "pod_affinity_mismatch"):
        return [quotes.field(pod_ref, "spec.affinity", spec.get("affinity") or {})], [
            quotes.change("Correct the rule, or make it preferredDuringScheduling…", edit)
        ]
    return [], [quotes.change(f"Change what the pod template asks for ({_TITLES[cause]})", edit)]


def _resource_details(
    view: ClusterView, pod: Object, cause: str, workload: ObjectRef
) -> tuple[list[Evidence], list[Remediation]]:
    resource = "cpu" if cause == "insufficient_cpu" else "memory"
    render = render_cpu if resource == "cpu" else render_bytes
    pod_ref = ref_of("Pod", pod)
    requests = [
        (
            str(container.get("name")),
            parse_quantity(((container.get("resources") or {}).get("requests") or {}).get(resource)),
        )
        for container in containers_of(pod)
    ]
    name, most = max(((n, r or 0.0) for n, r in requests), key=lambda entry: entry[1], default=("", 0.0))
    largest = max(
        (parse_quantity(((node.get("status") or {}).get("allocatable") or {}).get(resource)) or 0.0
         for node in view.snapshot.items("nodes")),
        default=0.0,
    )  # fmt: skip
    evidence = [quotes.field(pod_ref, f"spec.containers[{name}].resources.requests.{resource}", render(most))]
    room = f" (the largest node has {render(largest)} allocatable)" if largest else ""
    return evidence, [
        quotes.look("See what the nodes have left", "kubectl describe nodes | grep -A 8 'Allocated resources'"),
        quotes.change(
            f"Lower the request of {name} from {render(most)} to what it needs{room}, or add a node",
            quotes.kubectl(
                workload.namespace, f"set resources {workload.short} -c {name} --requests={resource}=<amount>"
            ),
        ),
    ]


def _gated(view: ClusterView, pod: Object) -> Suspect:
    workload, pod_ref = view.workload_of(pod), ref_of("Pod", pod)
    gates = ", ".join(str(gate.get("name")) for gate in pod_spec_of(pod).get("schedulingGates") or ())
    return suspect(
        "scheduling_gated",
        workload,
        title=f"{workload.short} waits for scheduling gate {gates}",
        explanation=f"{pod_ref.name} is held back by {gates}; its controller has not removed the gate.",
        evidence=[quotes.field(pod_ref, "spec.schedulingGates", gates, created_at(pod))],
        remediation=[
            quotes.look("See who set the gate", quotes.kubectl(workload.namespace, f"get pod {pod_ref.name} -o yaml"))
        ],
        severity=Severity.MEDIUM,
        depth=Depth.CAUSE,
    )


RULES = (find_unschedulable, find_unknown_scheduler)
