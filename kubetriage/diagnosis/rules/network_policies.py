"""Traffic that the cluster drops by order: NetworkPolicies, and traffic policies that want a local pod.

Both need a complaint: a policy that keeps away whoever never calls is doing its work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kubetriage.contracts.diagnosis import ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.complaints import Complaint, find_complaints
from kubetriage.diagnosis.logs import Symptom
from kubetriage.diagnosis.network_policy import CLUSTER_DNS, Endpoint, Port, find_blocking, ports_of
from kubetriage.diagnosis.peers import find_service
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import is_ready, labels_of, name_of, namespace_of, ref_of, spec_of
from kubetriage.state.snapshot import Object

_READS = ("pods", "services", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs")
# Most plug-ins drop (a timeout), some reject (a refusal).
_LOST = frozenset({Symptom.TIMEOUT, Symptom.REFUSED, Symptom.DB_UNREACHABLE})
_DNS_PORTS = (Port(53, "UDP", "dns"), Port(53, "TCP", "dns-tcp"))


@rule(*_READS, "networkpolicies", "namespaces")
def find_blocking_policies(view: ClusterView) -> Iterable[Suspect]:
    """Calls that are lost although the callee is well, and a policy that admits them nowhere."""
    policies = view.snapshot.items("networkpolicies")
    if not policies:
        return
    for entry in find_complaints(view):
        if entry.hit.symptom is Symptom.DNS:
            found = find_dns_policy(view, entry)
            if found is not None:
                yield _blocked(entry, found, "the cluster's DNS", None)
            continue
        for service, pod in _well_callees(view, entry):
            caller, callee = _endpoint(view, entry.run.pod), _endpoint(view, pod)
            found = find_blocking(policies, caller, callee, ports_of(service, pod))
            if found is not None:
                yield _blocked(entry, found, name_of(service), ref_of("Service", service))


def find_dns_policy(view: ClusterView, entry: Complaint) -> tuple[Object, str] | None:
    """The policy that keeps the writer of a line about names from the cluster's DNS."""
    policies = view.snapshot.items("networkpolicies")
    return find_blocking(policies, _endpoint(view, entry.run.pod), CLUSTER_DNS, _DNS_PORTS) if policies else None


@rule(*_READS)
def find_local_traffic_policies(view: ClusterView) -> Iterable[Suspect]:
    """internalTrafficPolicy Local, a caller on a node without a pod of the Service.

    https://kubernetes.io/docs/concepts/services-networking/service-traffic-policy/
    """
    for entry in find_complaints(view):
        for service, _ in _well_callees(view, entry):
            if spec_of(service).get("internalTrafficPolicy") != "Local":
                continue
            here = spec_of(entry.run.pod).get("nodeName")
            nodes = {str(spec_of(pod).get("nodeName")) for pod in view.pods_behind(service) if is_ready(pod)}
            if here and here not in nodes:
                yield _not_local(entry, service, str(here), sorted(nodes))


def _well_callees(view: ClusterView, entry: Complaint) -> Iterator[tuple[Object, Object]]:
    """The Service that a lost call was for with one of its pods, when that pod is ready."""
    if entry.hit.symptom not in _LOST or not entry.hit.host or entry.hit.host == "localhost":
        return
    service = find_service(view, entry.hit.host, namespace_of(entry.run.pod))
    if service is None:
        return
    ready = next((pod for pod in view.pods_behind(service) if is_ready(pod)), None)
    if ready is not None:
        yield service, ready


def _endpoint(view: ClusterView, pod: Object) -> Endpoint:
    space = view.snapshot.get("namespaces", None, namespace_of(pod) or "")
    labels: Mapping[str, str] = labels_of(space) if space is not None else {}
    return Endpoint.of(pod, labels)


def _blocked(entry: Complaint, found: tuple[Object, str], peer: str, service: ObjectRef | None) -> Suspect:
    policy, direction = found
    ref, caller = ref_of("NetworkPolicy", policy), entry.workload
    spec = spec_of(policy)
    side = "from" if direction == "Ingress" else "to"
    what = f"traffic {side} {caller.name}" if direction == "Ingress" else f"traffic of {caller.name} to {peer}"
    rules = spec.get(direction.lower())
    return suspect(
        "network_policy_blocks",
        ref,
        title=f"{caller.name} cannot reach {peer}: network policy {ref.name} does not admit it",
        explanation=f"{ref.short} selects the pods at one end and has no rule for {what}, so packets are dropped; "
        f"{caller.short} says: {quotes.shorten(entry.hit.line, 160)}",
        evidence=[
            entry.evidence(),
            quotes.field(ref, f"spec.{direction.lower()}", rules or []),
            quotes.field(ref, "spec.podSelector", spec.get("podSelector") or {}),
        ],
        remediation=[
            quotes.look("See what it admits", quotes.kubectl(ref.namespace, f"describe networkpolicy {ref.name}")),
            quotes.change(
                f"Add an {direction.lower()} rule that admits {caller.name}"
                + (f" to {peer}" if direction == "Egress" else ""),
                quotes.kubectl(ref.namespace, f"edit networkpolicy {ref.name}"),
            ),
        ],
        severity=Severity.HIGH if entry.run.ready else Severity.CRITICAL,
        confidence=0.93,
        blames=(service,) if service else (),
    )


def _not_local(entry: Complaint, service: Object, here: str, nodes: list[str]) -> Suspect:
    ref, caller = ref_of("Service", service), entry.workload
    return suspect(
        "traffic_policy_local",
        ref,
        title=f"{caller.name} cannot reach {ref.name}: its traffic policy is Local and no pod of it runs there",
        explanation=f"internalTrafficPolicy Local drops calls from {here}; ready pods of {ref.name} run on "
        f"{quotes.list_names(nodes)}.",
        evidence=[
            quotes.field(ref, "spec.internalTrafficPolicy", "Local"),
            quotes.field(ref_of("Pod", entry.run.pod), "spec.nodeName", here),
            entry.evidence(),
        ],
        remediation=[
            quotes.change(
                "Let calls go to any node",
                quotes.kubectl(
                    ref.namespace, f'patch {ref.short} -p \'{{"spec":{{"internalTrafficPolicy":"Cluster"}}}}\''
                ),
            )
        ],
        severity=Severity.HIGH if entry.run.ready else Severity.CRITICAL,
        confidence=0.92,
    )


RULES = (find_blocking_policies, find_local_traffic_policies)
