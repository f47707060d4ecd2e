"""Slow without being broken: a saturated CPU, a slow or lossy network of one pod or one node.

Of several slow workloads the one deepest in the calls is the cause; callers wait for it. Callees
are never slower than their callers, so without a known call graph the least slow one is deepest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Remediation, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.anomalies import Anomaly, Behaviour, find_anomalies
from kubetriage.diagnosis.graph import DependencyGraph
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import containers_of, name_of, namespace_of, pod_spec_of, ref_of, spec_of
from kubetriage.state.quantities import parse_quantity, render_bytes

_READS = (
    "pods",
    "services",
    "deployments",
    "replicasets",
    "statefulsets",
    "daemonsets",
    "nodes",
    "ingresses",
)
# Retransmitted segments per second of a whole node: a healthy network stays below one, a lossy
# link of a few per cent is far above it.
LOSSY = 3.0
Changed = Mapping[ObjectRef, Sequence[Anomaly]]
# Closer to the limit than this and the kernel kills at the next peak.
NEAR_LIMIT = 0.9


@rule(*_READS)
def find_performance_faults(view: ClusterView) -> Iterable[Suspect]:
    """One suspect: performance troubles spread, so the deepest is looked for, not all."""
    found = find_anomalies(view)
    if not found:
        return
    nodes = [entry for entry in found if entry.is_node and entry.behaviour is Behaviour.RETRANSMITS]
    changed: dict[ObjectRef, list[Anomaly]] = defaultdict(list)
    for entry in found:
        workload = None if entry.is_node else _workload(view, entry)
        if workload is not None:
            changed[workload].append(entry)
    saturated = [workload for workload, entries in changed.items() if _is_saturated(entries)]
    if nodes:
        yield _node_network(view, nodes, changed)
    elif saturated:
        workload = _deepest(view, saturated, changed)
        yield _saturated(view, workload, changed[workload])
    else:
        slow = _slowest_kind(changed)
        failing = [workload for workload, entries in changed.items() if _fails(entries)]
        if slow:
            workload = _deepest(view, slow, changed)
            yield _slow_network(view, workload, changed[workload], slow)
        elif failing:
            workload = _deepest(view, failing, changed)
            yield _failing(workload, changed[workload])


@rule("pods", "deployments", "replicasets", "statefulsets", "daemonsets")
def find_memory_near_limit(view: ClusterView) -> Iterable[Suspect]:
    """metrics.k8s.io shows a working set just below the limit: not down yet."""
    for pod in view.live_pods:
        for container in containers_of(pod):
            limit = parse_quantity(((container.get("resources") or {}).get("limits") or {}).get("memory"))
            key = (namespace_of(pod) or "", name_of(pod), str(container.get("name")))
            used = view.snapshot.usage.get(key)
            if limit and used and used[1] >= NEAR_LIMIT * limit:
                yield _near_limit(view, pod, key[2], used[1], limit)


def _workload(view: ClusterView, entry: Anomaly) -> ObjectRef | None:
    """The workload that a metric is about: a workload, a pod or a Service of its target's name."""
    target = entry.target
    for ref, _ in view.workloads():
        if ref.name == target and view.in_scope(ref.namespace) and entry.namespace in (None, ref.namespace):
            return ref
    for pod in view.live_pods:
        if name_of(pod) == target and entry.namespace in (None, namespace_of(pod)):
            return view.workload_of(pod)
    for service in view.snapshot.items("services"):
        if name_of(service) == target and entry.namespace in (None, namespace_of(service)):
            pods = view.pods_behind(service)
            if pods:
                return view.workload_of(pods[0])
    return None


def _is_saturated(entries: Sequence[Anomaly]) -> bool:
    """Throttled or far busier than before, and slow at the same time: busy alone is load."""
    kinds = {entry.behaviour for entry in entries}
    slow = bool(kinds & {Behaviour.SLOW, Behaviour.SLOW_TAIL})
    return slow and Behaviour.THROTTLED in kinds and Behaviour.BUSY in kinds


def _fails(entries: Sequence[Anomaly]) -> bool:
    return any(entry.behaviour is Behaviour.ERRORS for entry in entries)


def _slowest_kind(changed: Changed) -> list[ObjectRef]:
    """Workloads whose median rose; if there are none, those whose tail did. A delayed peer pulls the
    tails of its callees along, never their medians."""
    for behaviour in (Behaviour.SLOW, Behaviour.SLOW_TAIL):
        slow = [workload for workload, entries in changed.items() if any(e.behaviour is behaviour for e in entries)]
        if slow:
            return slow
    return []


def _deepest(view: ClusterView, workloads: Sequence[ObjectRef], changed: Changed) -> ObjectRef:
    inner = [ref for ref in workloads if not _is_edge(view, ref, changed[ref])] or list(workloads)
    graph = DependencyGraph(view)
    reached = {ref: graph.reach(ref) for ref in inner}
    callers = {ref for ref in inner if any(other in reached[ref] for other in inner if other != ref)}
    leaves = [ref for ref in inner if ref not in callers] or inner
    return min(leaves, key=lambda ref: (_latency(changed[ref]), str(ref)))


def _latency(entries: Sequence[Anomaly]) -> float:
    slow = [entry.after for entry in entries if entry.behaviour is Behaviour.SLOW]
    tail = [entry.after for entry in entries if entry.behaviour is Behaviour.SLOW_TAIL]
    return max(slow or tail, default=0.0)


def _is_edge(view: ClusterView, workload: ObjectRef, entries: Sequence[Anomaly]) -> bool:
    """Where users come in: a mix of all calls, slow with whatever is slow behind it."""
    names = {entry.target for entry in entries}
    return any(
        name_of(service) in names
        and namespace_of(service) == workload.namespace
        and spec_of(service).get("type") in ("NodePort", "LoadBalancer")
        for service in view.snapshot.items("services")
    )


def _node_network(view: ClusterView, nodes: Sequence[Anomaly], changed: Changed) -> Suspect:
    worst = max(nodes, key=lambda entry: entry.after)
    lossy = worst.after >= LOSSY
    name = worst.target if lossy else _most_affected(view, changed) or worst.target
    what = "loses packets" if lossy else "is slow"
    target = ObjectRef(kind="Node", name=name)
    evidence = [quotes.metric(ObjectRef(kind="Node", name=e.target), e.source, e.quote, e.time) for e in nodes]
    evidence.extend(_quote(workload, entries[0]) for workload, entries in list(changed.items())[:4])
    return suspect(
        "node_network_loss" if lossy else "node_network_delay",
        target,
        title=f"the network of node {name} {what}",
        explanation=f"Segments are retransmitted ({worst.quote}) and the pods of node {name} are affected most.",
        evidence=evidence,
        remediation=[
            quotes.look("On the node: see errors and drops of its interface", "ip -s link; tc qdisc show; ss -ti"),
            quotes.change("Move its pods away until it is repaired", f"kubectl drain {name} --ignore-daemonsets"),
        ],
        severity=Severity.HIGH,
        confidence=0.85 if lossy else 0.75,
    )


def _most_affected(view: ClusterView, changed: Changed) -> str | None:
    """The node with the largest share of workloads that changed for the worse."""
    placed: dict[str, set[ObjectRef]] = defaultdict(set)
    for pod in view.live_pods:
        node = pod_spec_of(pod).get("nodeName")
        if node and view.in_scope(namespace_of(pod)):
            placed[node].add(view.workload_of(pod))
    share = {node: len(refs & set(changed)) / len(refs) for node, refs in placed.items() if len(refs) >= 2}
    return max(share, key=lambda node: (share[node], node), default=None)


def _saturated(view: ClusterView, workload: ObjectRef, entries: Sequence[Anomaly]) -> Suspect:
    limits = _cpu_limits(view, workload)
    limit = f" (limit {limits})" if limits else ""
    return suspect(
        "cpu_saturated",
        workload,
        title=f"{workload.name} is slow because its CPU is saturated",
        explanation=f"{workload.short} is throttled and far busier than before{limit}; its answers are late.",
        evidence=[_quote(workload, entry) for entry in _distinct(entries)],
        remediation=[
            quotes.look("See its use", quotes.kubectl(workload.namespace, "top pods --containers --sort-by=cpu")),
            quotes.change(
                "Raise the CPU limit, or add replicas, and find what burns it",
                quotes.kubectl(workload.namespace, f"set resources {workload.short} --limits=cpu=<amount>"),
            ),
        ],
        severity=Severity.HIGH,
        confidence=0.9,
        first_seen=min((entry.time for entry in entries if entry.time), default=None),
    )


def _slow_network(
    view: ClusterView, workload: ObjectRef, entries: Sequence[Anomaly], slow: Sequence[ObjectRef]
) -> Suspect:
    others = [ref.name for ref in slow if ref != workload]
    address = next((name_of(service) for service in view.services_of_workload.get(workload, ())), workload.name)
    spread = f"; {quotes.list_names(others)} wait for it" if others else ""
    steps: list[Remediation] = [
        quotes.look(
            "Measure from a neighbour",
            quotes.kubectl(workload.namespace, f"exec <pod> -- time wget -qO- http://{address}:<port>/"),
        ),
        quotes.look("See where its pods run", quotes.kubectl(workload.namespace, "get pods -o wide")),
        quotes.change(
            "Start its pods anew on another node, then look at interface and qdisc of the old one",
            quotes.kubectl(workload.namespace, f"rollout restart {workload.short}"),
        ),
    ]
    return suspect(
        "pod_network_delay",
        workload,
        title=f"{workload.name} answers late without being busy: its network is slow, or what it waits for outside",
        explanation=f"The latency of {workload.short} rose while it has CPU to spare and reports no error{spread}.",
        evidence=[_quote(workload, entry) for entry in _distinct(entries)],
        remediation=steps,
        severity=Severity.HIGH,
        confidence=0.75,
        first_seen=min((entry.time for entry in entries if entry.time), default=None),
    )


def _failing(workload: ObjectRef, entries: Sequence[Anomaly]) -> Suspect:
    return suspect(
        "error_rate_increased",
        workload,
        title=f"{workload.name} fails more of its requests than before",
        explanation=f"The success rate of {workload.short} fell and nothing in its objects says why.",
        evidence=[_quote(workload, entry) for entry in _distinct(entries)],
        remediation=[
            quotes.look("Read its log", quotes.kubectl(workload.namespace, f"logs {workload.short} --tail=200")),
            quotes.look(
                "See what was rolled out last", quotes.kubectl(workload.namespace, f"rollout history {workload.short}")
            ),
        ],
        severity=Severity.MEDIUM,
        confidence=0.6,
        depth=Depth.SYMPTOM,
        first_seen=min((entry.time for entry in entries if entry.time), default=None),
    )


def _near_limit(view: ClusterView, pod: Mapping[str, object], container: str, used: float, limit: float) -> Suspect:
    workload, pod_ref = view.workload_of(pod), ref_of("Pod", pod)
    return suspect(
        "memory_near_limit",
        workload,
        title=f"{workload.name} uses nearly all of its memory limit",
        explanation=f"Container {container} of {pod_ref.name} uses {render_bytes(used)} of {render_bytes(limit)}.",
        evidence=[quotes.metric(pod_ref, "metrics.k8s.io memory", f"{render_bytes(used)} of {render_bytes(limit)}")],
        remediation=[
            quotes.look("Watch it", quotes.kubectl(workload.namespace, f"top pod {pod_ref.name} --containers")),
            quotes.change(
                "Raise the limit before the kernel kills it",
                quotes.kubectl(
                    workload.namespace,
                    f"set resources {workload.short} -c {container} --limits=memory={render_bytes(limit * 1.5)}",
                ),
            ),
        ],
        severity=Severity.LOW,
        confidence=0.8,
        depth=Depth.SYMPTOM,
    )


def _quote(workload: ObjectRef, entry: Anomaly) -> Evidence:
    return quotes.metric(workload, entry.source, entry.quote, entry.time)


def _distinct(entries: Sequence[Anomaly]) -> list[Anomaly]:
    return list({entry.quote: entry for entry in entries}.values())


def _cpu_limits(view: ClusterView, workload: ObjectRef) -> str:
    item = view.find(workload)
    limits = [
        str(((entry.get("resources") or {}).get("limits") or {}).get("cpu"))
        for entry in (containers_of(item) if item is not None else ())
        if ((entry.get("resources") or {}).get("limits") or {}).get("cpu")
    ]
    return ", ".join(limits)


RULES = (find_performance_faults, find_memory_near_limit)
