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
from kubetriage.state.objects import (
    containers_of,
    name_of,
    namespace_of,
    pod_spec_of,
    ref_of,
    spec_of,
)
from kubetriage.state.quantities import parse_quantity

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
# Closer to the limit than this and the kernel kills at the next peak.
NEAR_LIMIT = 0.9


@rule(*_READS)
def find_performance_faults(view: ClusterView) -> Iterable[Suspect]:
    """One suspect: performance troubles spread, so the deepest is looked for, not all."""
    found = find_anomalies(view)
    if not found:
        return
    nodes = [entry for entry in found if entry.is_node and entry.behaviour is Behaviour.RETRANSMITS]
    by_target: dict[str, list[Anomaly]] = defaultdict(list)
    for entry in found:
        if not entry.is_node and _exists(view, entry.target):
            by_target[entry.target].append(entry)
    saturated = [target for target, entries in by_target.items() if _is_saturated(entries)]
    if nodes:
        yield _node_network(view, nodes, by_target)
    elif saturated:
        target = _deepest(view, saturated, by_target)
        yield _saturated(view, target, by_target[target])
    else:
        slow = _slowest_kind(by_target)
        if slow:
            target = _deepest(view, slow, by_target)
            yield _slow_network(view, target, by_target[target], slow)
            return
        failing = [target for target, entries in by_target.items() if _fails(entries)]
        if failing:
            target = _deepest(view, failing, by_target)
            yield _failing(view, target, by_target[target])


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


def _exists(view: ClusterView, target: str) -> bool:
    return _workload(view, target) is not None


def _workload(view: ClusterView, target: str) -> ObjectRef | None:
    """The workload that a metric's name is about: a workload, a pod or a Service of that name."""
    for ref, _ in view.workloads():
        if ref.name == target and view.in_scope(ref.namespace):
            return ref
    for pod in view.live_pods:
        if name_of(pod) == target:
            return view.workload_of(pod)
    for service in view.snapshot.items("services"):
        pods = view.pods_behind(service) if name_of(service) == target else []
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


def _slowest_kind(by_target: Mapping[str, Sequence[Anomaly]]) -> list[str]:
    """Targets whose median rose; if there are none, those whose tail did. A delayed peer pulls the
    tails of its callees along, never their medians."""
    for behaviour in (Behaviour.SLOW, Behaviour.SLOW_TAIL):
        slow = [target for target, entries in by_target.items() if any(e.behaviour is behaviour for e in entries)]
        if slow:
            return slow
    return []


def _deepest(view: ClusterView, targets: Sequence[str], by_target: Mapping[str, Sequence[Anomaly]]) -> str:
    inner = [target for target in targets if not _is_edge(view, target)] or list(targets)
    graph = DependencyGraph(view)
    refs = {target: _workload(view, target) for target in inner}
    callers = {
        target
        for target, ref in refs.items()
        if ref is not None
        and any(other in graph.reach(ref) for name, other in refs.items() if name != target and other is not None)
    }
    leaves = [target for target in inner if target not in callers] or inner
    return min(leaves, key=lambda target: (_latency(by_target[target]), target))


def _latency(entries: Sequence[Anomaly]) -> float:
    slow = [entry.after for entry in entries if entry.behaviour is Behaviour.SLOW]
    tail = [entry.after for entry in entries if entry.behaviour is Behaviour.SLOW_TAIL]
    return max(slow or tail, default=0.0)


def _is_edge(view: ClusterView, target: str) -> bool:
    """Where users come in: a mix of all calls, slow with whatever is slow behind it."""
    for service in view.snapshot.items("services"):
        if name_of(service) == target and spec_of(service).get("type") in ("NodePort", "LoadBalancer"):
            return True
    return False


def _node_network(view: ClusterView, nodes: Sequence[Anomaly], by_target: Mapping[str, Sequence[Anomaly]]) -> Suspect:
    worst = max(nodes, key=lambda entry: entry.after)
    lossy = worst.after >= LOSSY
    name = worst.target if lossy else _most_affected(view, by_target) or worst.target
    what = "loses packets" if lossy else "is slow"
    target = ObjectRef(kind="Node", name=name)
    evidence = [quotes.metric(ObjectRef(kind="Node", name=e.target), e.source, e.quote, e.time) for e in nodes]
    for service, entries in list(by_target.items())[:4]:
        evidence.append(_quote(view, service, entries[0]))
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


def _most_affected(view: ClusterView, by_target: Mapping[str, Sequence[Anomaly]]) -> str | None:
    """The node with the largest share of workloads that changed for the worse."""
    placed: dict[str, set[str]] = defaultdict(set)
    for pod in view.live_pods:
        node = pod_spec_of(pod).get("nodeName")
        if node and view.in_scope(namespace_of(pod)):
            placed[node].add(view.workload_of(pod).name)
    share = {node: len(names & set(by_target)) / len(names) for node, names in placed.items() if len(names) >= 2}
    return max(share, key=lambda node: (share[node], node), default=None)


def _saturated(view: ClusterView, target: str, entries: Sequence[Anomaly]) -> Suspect:
    workload = _workload(view, target) or ObjectRef(kind="Service", name=target)
    limits = _cpu_limits(view, workload)
    limit = f" (limit {limits})" if limits else ""
    return suspect(
        "cpu_saturated",
        workload,
        title=f"{workload.name} is slow because its CPU is saturated",
        explanation=f"{workload.short} is throttled and far busier than before{limit}; its answers are late.",
        evidence=[_quote(view, target, entry) for entry in _distinct(entries)],
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


def _slow_network(view: ClusterView, target: str, entries: Sequence[Anomaly], slow: Sequence[str]) -> Suspect:
    workload = _workload(view, target) or ObjectRef(kind="Service", name=target)
    others = [name for name in slow if name != target]
    spread = f"; {quotes.list_names(others)} wait for it" if others else ""
    steps: list[Remediation] = [
        quotes.look(
            "Measure from a neighbour",
            quotes.kubectl(workload.namespace, f"exec <pod> -- time wget -qO- http://{target}:<port>/"),
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
        title=f"{workload.name} answers late without being busy: its network is slow",
        explanation=f"The latency of {workload.short} rose while it has CPU to spare and reports no error{spread}.",
        evidence=[_quote(view, target, entry) for entry in _distinct(entries)],
        remediation=steps,
        severity=Severity.HIGH,
        confidence=0.75,
        first_seen=min((entry.time for entry in entries if entry.time), default=None),
    )


def _failing(view: ClusterView, target: str, entries: Sequence[Anomaly]) -> Suspect:
    workload = _workload(view, target) or ObjectRef(kind="Service", name=target)
    return suspect(
        "error_rate_increased",
        workload,
        title=f"{workload.name} fails more of its requests than before",
        explanation=f"The success rate of {workload.short} fell and nothing in its objects says why.",
        evidence=[_quote(view, target, entry) for entry in _distinct(entries)],
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
    from kubetriage.state.quantities import render_bytes  # noqa: PLC0415 - one use

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


def _quote(view: ClusterView, target: str, entry: Anomaly) -> Evidence:
    source = _workload(view, target) or ObjectRef(kind="Service", name=target)
    return quotes.metric(source, entry.source, entry.quote, entry.time)


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
