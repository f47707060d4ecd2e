"""Name resolution: pods that ask a name server of their own, and a cluster DNS that is down.

https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
"""

from __future__ import annotations

from collections.abc import Iterable

from kubetriage.contracts.diagnosis import ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import is_in_trouble, last_hits, runs_of
from kubetriage.diagnosis.logs import Symptom
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import is_ready, labels_of, namespace_of, pod_spec_of, ref_of, spec_of
from kubetriage.state.snapshot import Object

_DNS_LABELS = ({"k8s-app": "kube-dns"}, {"k8s-app": "coredns"}, {"app.kubernetes.io/name": "coredns"})


@rule("pods", "deployments", "replicasets", "statefulsets", "daemonsets", "services")
def find_own_name_servers(view: ClusterView) -> Iterable[Suspect]:
    """dnsPolicy None with name servers that are not the cluster's, in a pod that is in trouble."""
    for pod in view.live_pods:
        spec = pod_spec_of(pod)
        servers = (spec.get("dnsConfig") or {}).get("nameservers") or ()
        if spec.get("dnsPolicy") != "None" or not servers or not _is_troubled(view, pod):
            continue
        if set(map(str, servers)) & _cluster_dns(view):
            continue
        yield _wrong_servers(view, pod, list(map(str, servers)))


@rule("pods")
def find_dead_cluster_dns(view: ClusterView) -> Iterable[Suspect]:
    """All pods of the cluster's DNS are down (only where kube-system could be read)."""
    pods = [pod for pod in view.live_pods if namespace_of(pod) == "kube-system" and _is_dns(pod)]
    if not pods or any(is_ready(pod) for pod in pods):
        return
    workload = view.workload_of(pods[0])
    yield suspect(
        "coredns_unavailable",
        workload,
        title="the cluster's DNS is down",
        explanation=f"None of the {len(pods)} pods of {workload.short} is ready; no name can be resolved.",
        evidence=[quotes.field(ref_of("Pod", pod), "status.conditions[Ready]", "False") for pod in pods[:3]],
        remediation=[
            quotes.look("See why", quotes.kubectl("kube-system", f"describe {workload.short}")),
            quotes.look("Read its log", quotes.kubectl("kube-system", f"logs {workload.short} --tail=50")),
        ],
        severity=Severity.CRITICAL,
        confidence=0.93,
    )


def _is_troubled(view: ClusterView, pod: Object) -> bool:
    if not is_ready(pod) or any(is_in_trouble(run, view.now) for run in runs_of(pod)):
        return True
    return any(hit.symptom is Symptom.DNS for run in runs_of(pod) for hit in last_hits(view, run))


def _is_dns(pod: Object) -> bool:
    labels = labels_of(pod)
    return any(all(labels.get(key) == value for key, value in wanted.items()) for wanted in _DNS_LABELS)


def _cluster_dns(view: ClusterView) -> set[str]:
    """Addresses of the cluster's DNS, where its Service was read."""
    return {
        str(address)
        for service in view.snapshot.in_namespace("services", "kube-system")
        for address in (spec_of(service).get("clusterIPs") or [spec_of(service).get("clusterIP")])
    }


def _wrong_servers(view: ClusterView, pod: Object, servers: list[str]) -> Suspect:
    workload, pod_ref = view.workload_of(pod), ref_of("Pod", pod)
    hits = [
        quotes.log_line(pod_ref, run.name, hit.line, previous=run.restarts > 0, time=hit.time)
        for run in runs_of(pod)
        for hit in last_hits(view, run)
        if hit.symptom is Symptom.DNS
    ]
    dns = ObjectRef(kind="Service", name="kube-dns", namespace="kube-system")
    return suspect(
        "dns_resolution_failing",
        workload,
        title=f"{workload.name} cannot resolve names: it asks {quotes.list_names(servers)}, not the cluster's DNS",
        explanation=f"The pods of {workload.short} have dnsPolicy None and use {quotes.list_names(servers)}, "
        f"which is not the address of {dns.short}.",
        evidence=[
            quotes.field(pod_ref, "spec.dnsPolicy", "None"),
            quotes.field(pod_ref, "spec.dnsConfig.nameservers", ", ".join(servers)),
            *hits[:2],
        ],
        remediation=[
            quotes.look("See the cluster's DNS", "kubectl -n kube-system get service kube-dns"),
            quotes.change(
                "Use the cluster's DNS again",
                quotes.kubectl(
                    workload.namespace,
                    f"patch {workload.short} --type=merge -p "
                    '\'{"spec":{"template":{"spec":{"dnsPolicy":"ClusterFirst","dnsConfig":null}}}}\'',
                ),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.93,
    )


RULES = (find_own_name_servers, find_dead_cluster_dns)
