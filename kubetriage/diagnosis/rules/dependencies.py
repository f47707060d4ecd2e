"""What logs say of databases, names and neighbours: whose fault a failing call is.

A refused connection is the fault of the callee when the callee has no ready pods, and of the
caller's settings when the callee is well. The same line in many callers blames the callee.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.complaints import Complaint, find_complaints
from kubetriage.diagnosis.containers import ContainerRun
from kubetriage.diagnosis.logs import Symptom
from kubetriage.diagnosis.peers import find_peers, find_server, find_service, is_server
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.rules.network_policies import find_dns_policy
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import is_ready, namespace_of, ref_of, spec_of
from kubetriage.state.snapshot import Object

_UNANSWERED = re.compile(r"timeout|timed out|refused|temporary failure|EAI_AGAIN|SERVFAIL|misbehaving", re.IGNORECASE)
_READS = (
    "pods", "services", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs",
    "configmaps", "endpoints",
)  # fmt: skip


@rule(*_READS)
def find_database_faults(view: ClusterView) -> Iterable[Suspect]:
    """Wrong credentials, a wrong port, a read-only or an exhausted database."""
    complaints = list(find_complaints(view))
    by_symptom: dict[Symptom, list[Complaint]] = defaultdict(list)
    for entry in complaints:
        by_symptom[entry.hit.symptom].append(entry)
    for entry in by_symptom[Symptom.DB_CREDENTIALS]:
        # A server notes whom it refuses, its own health checks included: the client has the fault.
        server = find_server(view, entry.hit.family, entry.run.pod)
        itself = server == entry.workload or (server is None and is_server(entry.run.pod, entry.hit.family))
        if not itself:
            yield _credentials(view, entry)
    for symptom in (Symptom.DB_CONNECTIONS, Symptom.DB_READ_ONLY):
        yield from _server_faults(view, symptom, by_symptom[symptom])
    for entry in by_symptom[Symptom.DB_UNREACHABLE]:
        yield from _unreachable_database(view, entry, complaints)


@rule(*_READS, "networkpolicies", "namespaces")
def find_name_faults(view: ClusterView) -> Iterable[Suspect]:
    """Names that do not resolve: a Service that is not there, or a DNS that does not answer."""
    for entry in find_complaints(view):
        # Where a policy keeps the caller from the DNS, the policy is the fault.
        if entry.hit.symptom is Symptom.DNS and find_dns_policy(view, entry) is None:
            yield _name(view, entry)


@rule(*_READS)
def find_unreachable_neighbours(view: ClusterView) -> Iterable[Suspect]:
    """Refused or timed-out calls: a symptom that blames the Service that the line names."""
    for entry in find_complaints(view):
        if entry.hit.symptom not in (Symptom.REFUSED, Symptom.TIMEOUT) or entry.hit.host in (
            None,
            "localhost",
        ):
            continue
        peers = tuple(find_peers(view, entry.run.pod, entry.run.spec, entry.hit))
        if peers and not _is_own(view, entry, peers):
            yield _unreachable(entry, peers)


def _credentials(view: ClusterView, entry: Complaint) -> Suspect:
    server = find_server(view, entry.hit.family, entry.run.pod)
    peer = server.short if server else f"the {entry.hit.family} server"
    workload = entry.workload
    return suspect(
        "database_credentials_rejected",
        workload,
        title=f"{workload.name} is refused by its database: wrong user or password",
        explanation=f"{peer} rejects the credentials of {workload.short}: {quotes.shorten(entry.hit.line, 200)}",
        evidence=[entry.evidence(), *_credential_sources(entry)],
        remediation=[
            quotes.look(
                "See where the credentials come from",
                quotes.kubectl(workload.namespace, f"set env {workload.short} --list"),
            ),
            quotes.change(
                "Correct the Secret (or the user in the database), then restart",
                quotes.kubectl(workload.namespace, f"rollout restart {workload.short}"),
            ),
        ],
        severity=_severity(entry.run),
        confidence=0.95,
    )


def _credential_sources(entry: Complaint) -> Iterator[Evidence]:
    pod = ref_of("Pod", entry.run.pod)
    for source in entry.run.spec.get("envFrom") or ():
        name = (source.get("secretRef") or {}).get("name")
        if name:
            yield quotes.field(pod, f"spec.containers[{entry.run.name}].envFrom", f"Secret {name}")
    for variable in entry.run.spec.get("env") or ():
        secret = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
        if secret.get("name"):
            text = f"{variable.get('name')} from Secret {secret['name']}, key {secret.get('key')}"
            yield quotes.field(pod, f"spec.containers[{entry.run.name}].env", text)


def _server_faults(view: ClusterView, symptom: Symptom, entries: list[Complaint]) -> Iterator[Suspect]:
    """Faults of the server, told by its clients (and by itself)."""
    by_server: dict[ObjectRef, list[Complaint]] = defaultdict(list)
    for entry in entries:
        named = find_service(view, entry.hit.host, namespace_of(entry.run.pod)) if entry.hit.host else None
        pods = view.pods_behind(named) if named is not None else []
        server = view.workload_of(pods[0]) if pods else find_server(view, entry.hit.family, entry.run.pod)
        by_server[server or entry.workload].append(entry)
    if len(by_server) > 1:  # one fault seen by clients of whom some do not tell which server
        most = max(by_server, key=lambda ref: len(by_server[ref]))
        by_server = {most: entries}
    for server, group in by_server.items():
        yield _server_fault(symptom, server, group)


def _server_fault(symptom: Symptom, server: ObjectRef, group: list[Complaint]) -> Suspect:
    exhausted = symptom is Symptom.DB_CONNECTIONS
    clients = list(dict.fromkeys(entry.workload.name for entry in group if entry.workload != server))
    what = "has no free connections" if exhausted else "is read-only"
    effect = "refuses" if exhausted else "refuses the writes of"
    return suspect(
        "database_connections_exhausted" if exhausted else "database_read_only",
        server,
        title=f"{server.name} {what}",
        explanation=f"{server.short} {effect} {quotes.list_names(clients) or 'its clients'}: "
        f"{quotes.shorten(group[0].hit.line, 200)}",
        evidence=[entry.evidence() for entry in group[:4]],
        remediation=[
            quotes.look(
                "See its log",
                quotes.kubectl(server.namespace, f"logs {server.short} --tail=100"),
            ),
            quotes.change(
                "Raise max_connections, shrink the clients' pools, or find the client that leaks"
                if exhausted
                else "End read-only mode on the primary (or fail over to a writable one)",
                quotes.kubectl(server.namespace, f"exec -it {server.short} -- <database shell>"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.94,
    )


def _unreachable_database(view: ClusterView, entry: Complaint, everybody: list[Complaint]) -> Iterator[Suspect]:
    """Down, or called at a wrong port or name? The database's own pods and its other clients tell."""
    if any(
        other.hit.symptom in (Symptom.DNS, Symptom.DB_CREDENTIALS) and other.workload == entry.workload
        for other in everybody
    ):
        return  # the line that says why is another one
    peers = tuple(find_peers(view, entry.run.pod, entry.run.spec, entry.hit))
    server = find_server(view, entry.hit.family, entry.run.pod)
    blames = tuple(dict.fromkeys((*peers, *((server,) if server else ()))))
    healthy = server is not None and any(is_ready(pod) for pod in view.pods_of(server))
    refused = any(other.hit.symptom is Symptom.REFUSED and other.workload == entry.workload for other in everybody)
    if healthy and not entry.run.ready:
        yield _wrong_port(view, entry, server, refused=refused, everybody=everybody)
    elif not entry.run.ready:
        yield _database_down(entry, blames)


def _wrong_port(
    view: ClusterView,
    entry: Complaint,
    server: ObjectRef | None,
    *,
    refused: bool,
    everybody: list[Complaint],
) -> Suspect:
    workload, name = entry.workload, server.name if server else "the database"
    ports = [
        str(port.get("port"))
        for service in (view.services_of_workload.get(server, ()) if server else ())
        for port in spec_of(service).get("ports") or ()
    ]
    also = [
        other.evidence() for other in everybody if other.workload == workload and other.hit.symptom is Symptom.REFUSED
    ][:1]
    listens = f" ({name} listens on {', '.join(dict.fromkeys(ports))})" if ports else ""
    return suspect(
        "database_port_wrong",
        workload,
        title=f"{workload.name} cannot reach its database, which is well: wrong port or address",
        explanation=f"{workload.short} cannot connect while {name} is ready and serves others: "
        f"{quotes.shorten(entry.hit.line, 160)}",
        evidence=[entry.evidence(), *also, *_credential_sources(entry)],
        remediation=[
            quotes.look(
                "See the settings of the workload",
                quotes.kubectl(workload.namespace, f"set env {workload.short} --list"),
            ),
            quotes.change(
                f"Correct host and port{listens} in its Secret or ConfigMap, then restart",
                quotes.kubectl(workload.namespace, f"rollout restart {workload.short}"),
            ),
        ],
        severity=_severity(entry.run),
        confidence=0.9 if refused else 0.8,
    )


def _database_down(entry: Complaint, blames: tuple[ObjectRef, ...]) -> Suspect:
    workload = entry.workload
    return suspect(
        "database_unreachable",
        workload,
        title=f"{workload.name} cannot reach its database",
        explanation=f"{workload.short}: {quotes.shorten(entry.hit.line, 200)}",
        evidence=[entry.evidence()],
        remediation=[quotes.look("See whether it runs", quotes.kubectl(workload.namespace, "get pods,endpoints"))],
        severity=_severity(entry.run),
        confidence=0.7,
        depth=Depth.EFFECT if blames else Depth.CAUSE,  # outside the cluster nothing can say more
        blames=blames,
    )


def _name(view: ClusterView, entry: Complaint) -> Suspect:
    workload, host = entry.workload, entry.hit.host or "a name"
    service = find_service(view, host, namespace_of(entry.run.pod)) if entry.hit.host else None
    if service is not None and spec_of(service).get("type") == "ExternalName":
        return _external_name(entry, service)
    # No answer is not the answer that there is no such name.
    unanswered = _UNANSWERED.search(entry.hit.line) is not None
    exists = service is not None or "." in host or entry.hit.host is None or unanswered
    if exists or not view.snapshot.was_read("services", namespace_of(entry.run.pod)):
        return suspect(
            "dns_resolution_failing",
            workload,
            title=f"{workload.name} cannot resolve {host}",
            explanation=f"{workload.short} gets no address for {host}"
            f"{', although that Service exists' if service is not None else ''}: "
            f"{quotes.shorten(entry.hit.line, 160)}",
            evidence=[entry.evidence(), *_dns_settings(entry)],
            remediation=[
                quotes.look(
                    "See whether the cluster's DNS is well",
                    "kubectl -n kube-system get pods -l k8s-app=kube-dns",
                ),
                quotes.change(
                    "Correct dnsPolicy and dnsConfig of the pod template, or the host name",
                    quotes.kubectl(workload.namespace, f"edit {workload.short}"),
                ),
            ],
            severity=_severity(entry.run),
            confidence=0.93 if service is not None else 0.8,
        )
    return suspect(
        "service_address_wrong",
        workload,
        title=f"{workload.name} calls {host}, which does not exist",
        explanation=f"{workload.short} uses the host {host}; there is no such Service in {workload.namespace}: "
        f"{quotes.shorten(entry.hit.line, 160)}",
        evidence=[entry.evidence()],
        remediation=[
            quotes.look("See the Services that exist", quotes.kubectl(workload.namespace, "get services")),
            quotes.change(
                "Correct the host in the workload's settings, or create the Service",
                quotes.kubectl(workload.namespace, f"set env {workload.short} <NAME>=<host>"),
            ),
        ],
        severity=_severity(entry.run),
        confidence=0.88,
    )


def _external_name(entry: Complaint, service: Object) -> Suspect:
    ref, target = ref_of("Service", service), str(spec_of(service).get("externalName"))
    return suspect(
        "service_external_name_unresolvable",
        ref,
        title=f"service {ref.name} stands for {target}, which does not resolve",
        explanation=f"{entry.workload.short} calls {ref.name}; that Service is an alias of {target}, "
        f"for which no address is found.",
        evidence=[quotes.field(ref, "spec.externalName", target), entry.evidence()],
        remediation=[
            quotes.look("See what it points to", quotes.kubectl(ref.namespace, f"get service {ref.name} -o yaml")),
            quotes.change("Correct spec.externalName", quotes.kubectl(ref.namespace, f"edit service {ref.name}")),
        ],
        severity=_severity(entry.run),
        confidence=0.9,
    )


def _dns_settings(entry: Complaint) -> Iterator[Evidence]:
    pod, spec = ref_of("Pod", entry.run.pod), spec_of(entry.run.pod)
    if spec.get("dnsPolicy") not in (None, "ClusterFirst", "ClusterFirstWithHostNet"):
        yield quotes.field(pod, "spec.dnsPolicy", spec["dnsPolicy"])
    if spec.get("dnsConfig"):
        yield quotes.field(pod, "spec.dnsConfig", spec["dnsConfig"])


def _unreachable(entry: Complaint, peers: tuple[ObjectRef, ...]) -> Suspect:
    workload, peer = entry.workload, peers[0]
    return suspect(
        "dependency_unreachable",
        workload,
        title=f"{workload.name} cannot reach {peer.name}",
        explanation=f"{workload.short}: {quotes.shorten(entry.hit.line, 200)}",
        evidence=[entry.evidence()],
        remediation=[
            quotes.look(
                f"See whether {peer.name} has ready pods",
                quotes.kubectl(peer.namespace, f"get endpoints {peer.name}"),
            )
        ],
        severity=_severity(entry.run),
        confidence=0.6,
        depth=Depth.SYMPTOM,
        blames=peers,
    )


def _is_own(view: ClusterView, entry: Complaint, peers: tuple[ObjectRef, ...]) -> bool:
    own = {ref_of("Service", service) for service in view.services_of_workload.get(entry.workload, ())}
    return all(peer in own or peer == entry.workload for peer in peers)


def _severity(run: ContainerRun) -> Severity:
    return Severity.HIGH if run.ready else Severity.CRITICAL


RULES = (find_database_faults, find_name_faults, find_unreachable_neighbours)
