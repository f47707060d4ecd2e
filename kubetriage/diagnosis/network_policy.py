"""What NetworkPolicies admit. Pure; what a policy says in addresses is judged where the pod's address is known.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubetriage.state.objects import container_ports, labels_of, matches, namespace_of, spec_of, status_of
from kubetriage.state.snapshot import Object

# Of kube-system's DNS, for those who may not read kube-system.
_DNS_LABELS = {"k8s-app": "kube-dns"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One side of a connection."""

    namespace: str | None
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    address: str | None = None

    @staticmethod
    def of(pod: Object, namespace_labels: Mapping[str, str]) -> Endpoint:
        own = namespace_of(pod)
        # The API server sets this label on every namespace.
        known = {"kubernetes.io/metadata.name": own or "", **namespace_labels}
        return Endpoint(
            namespace=own,
            labels=labels_of(pod),
            namespace_labels=known,
            address=status_of(pod).get("podIP"),
        )


CLUSTER_DNS = Endpoint(
    namespace="kube-system", labels=_DNS_LABELS, namespace_labels={"kubernetes.io/metadata.name": "kube-system"}
)


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the pod that is called, by number and, where it has one, by name."""

    number: int
    protocol: str = "TCP"
    name: str | None = None


def find_blocking(
    policies: Iterable[Object], caller: Endpoint, callee: Endpoint, ports: Sequence[Port]
) -> tuple[Object, str] | None:
    """A policy that keeps ``caller`` from every one of the callee's ``ports``, and the direction
    (``Ingress`` at the callee, ``Egress`` at the caller); None when some port is admitted."""
    known = list(policies)
    for direction, subject, peer in (("Ingress", callee, caller), ("Egress", caller, callee)):
        selecting = [policy for policy in known if _selects(policy, subject, direction)]
        if selecting and not any(_admits(policy, direction, peer, port) for policy in selecting for port in ports):
            # The one that admits least is the one to look at first: a deny-all has no rules.
            return min(selecting, key=lambda policy: len(_rules(policy, direction))), direction
    return None


def ports_of(service: Object, pod: Object) -> list[Port]:
    """The ports of ``pod`` that a Service sends to."""
    found = []
    for entry in spec_of(service).get("ports") or ():
        protocol = str(entry.get("protocol") or "TCP")
        target = entry.get("targetPort", entry.get("port"))
        for declared in container_ports(pod):
            number, name = declared.get("containerPort"), declared.get("name")
            if target in {number, name} and target is not None:
                found.append(Port(int(number or 0), protocol, name))
                break
        else:
            if isinstance(target, int):
                found.append(Port(target, protocol))
    return found


def _selects(policy: Object, subject: Endpoint, direction: str) -> bool:
    spec = spec_of(policy)
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])
    same = namespace_of(policy) == subject.namespace
    return same and direction in types and matches(spec.get("podSelector") or {}, subject.labels)


def _rules(policy: Object, direction: str) -> Sequence[Mapping[str, Any]]:
    return spec_of(policy).get(direction.lower()) or ()


def _admits(policy: Object, direction: str, peer: Endpoint, port: Port) -> bool:
    key = "from" if direction == "Ingress" else "to"
    for rule in _rules(policy, direction):
        peers, wanted = rule.get(key) or (), rule.get("ports") or ()
        from_here = not peers or any(_is_peer(policy, entry, peer) for entry in peers)
        if from_here and (not wanted or any(_is_port(entry, port) for entry in wanted)):
            return True
    return False


def _is_peer(policy: Object, entry: Mapping[str, Any], peer: Endpoint) -> bool:
    block = entry.get("ipBlock")
    if block is not None:
        return _is_in_block(block, peer.address)
    spaces, pods = entry.get("namespaceSelector"), entry.get("podSelector")
    if spaces is None and peer.namespace != namespace_of(policy):
        return False
    if spaces is not None and not matches(spaces, peer.namespace_labels):
        return False
    return pods is None or matches(pods, peer.labels)


def _is_in_block(block: Mapping[str, Any], address: str | None) -> bool:
    """An address that is not known counts as admitted: nothing is claimed without knowing."""
    if address is None:
        return True
    try:
        own = ipaddress.ip_address(address)
        inside = own in ipaddress.ip_network(str(block.get("cidr")), strict=False)
        return inside and not any(
            own in ipaddress.ip_network(str(one), strict=False) for one in block.get("except") or ()
        )
    except ValueError:
        return True


def _is_port(entry: Mapping[str, Any], port: Port) -> bool:
    if str(entry.get("protocol") or "TCP") != port.protocol:
        return False
    wanted, last = entry.get("port"), entry.get("endPort")
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return wanted <= port.number <= int(last or wanted)
    return bool(wanted == port.name)
