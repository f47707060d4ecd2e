"""Settings that name an address that does not exist: a wrong host or a port that no Service has.

The value is compared with the Services of the namespace; a value that is nearly right is a slip.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from kubetriage.contracts.diagnosis import ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.peers import find_service
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import containers_of, name_of, ref_of, spec_of
from kubetriage.state.snapshot import Object

_ADDRESS = re.compile(
    r"^(?:[a-z][a-z0-9+.-]*://)?(?:[^/@\s]*@)?(?P<host>[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?):(?P<port>\d{2,5})(?:/\S*)?$",
    re.IGNORECASE,
)
_ADDRESS_NAME = re.compile(r"ADDR|HOST|URL|URI|ENDPOINT|SERVICE|SERVER|BROKER", re.IGNORECASE)
# How alike a host must be to an existing Service to be taken for a slip of the pen.
ALIKE = 0.8


@rule("deployments", "statefulsets", "daemonsets", "services", "pods", "replicasets", "configmaps")
def find_wrong_addresses(view: ClusterView) -> Iterable[Suspect]:
    """Env variables of workloads whose ``host:port`` is no Service's, but nearly one's."""
    for workload, item in view.workloads():
        if not view.snapshot.was_read("services", workload.namespace) or spec_of(item).get("replicas") == 0:
            continue
        for container in containers_of(item):
            for variable in container.get("env") or ():
                found = _check(view, workload, str(container.get("name")), variable)
                if found is not None:
                    yield found


def _check(view: ClusterView, workload: ObjectRef, container: str, variable: Mapping[str, Any]) -> Suspect | None:
    name, value = str(variable.get("name")), str(variable.get("value") or "")
    match = _ADDRESS.match(value.strip())
    if match is None or not _ADDRESS_NAME.search(name):
        return None
    host, port = match["host"].lower(), int(match["port"])
    if host in ("localhost", "0.0.0.0") or host.replace(".", "").isdigit():  # noqa: S104 - read, not bound
        return None
    service = find_service(view, host, workload.namespace)
    if service is None:
        return _wrong_host(view, workload, container, (name, value, host))
    ports = [int(entry["port"]) for entry in spec_of(service).get("ports") or () if entry.get("port")]
    if port in ports or not ports or spec_of(service).get("type") == "ExternalName":
        return None
    wanted = value.replace(f":{port}", f":{ports[0]}")
    return _wrong(
        workload,
        container,
        (name, value, wanted),
        f"Service {name_of(service)} has port {', '.join(map(str, ports))}, not {port}",
        quotes.field(ref_of("Service", service), "spec.ports", spec_of(service).get("ports") or []),
    )


def _wrong_host(
    view: ClusterView, workload: ObjectRef, container: str, setting: tuple[str, str, str]
) -> Suspect | None:
    name, value, host = setting
    first = host.split(".", maxsplit=1)[0]
    if "." in host and not re.search(r"\.svc(\.|$)", host) and not _is_namespace(view, host):
        return None  # a host outside of the cluster
    near = _nearest(view.snapshot.in_namespace("services", workload.namespace), first)
    if near is None:
        return None
    return _wrong(
        workload,
        container,
        (name, value, value.replace(first, near, 1)),
        f"there is no Service {first} in {workload.namespace}; {near} is there",
        None,
    )


def _is_namespace(view: ClusterView, host: str) -> bool:
    second = host.split(".")[1]
    return view.snapshot.get("namespaces", None, second) is not None


def _nearest(services: Iterable[Object], host: str) -> str | None:
    names = [name_of(service) for service in services]
    close = difflib.get_close_matches(host, names, n=1, cutoff=ALIKE)
    if close:
        return close[0]
    # "redis-cart-old" for "redis-cart", "payments" for "payments-v2": one is the other with a part more.
    extended = [name for name in names if f"{name}-" in f"{host}-" or f"{host}-" in f"{name}-"]
    return max(extended, key=len, default=None)


def _wrong(workload: ObjectRef, container: str, setting: tuple[str, str, str], why: str, extra: Any) -> Suspect:
    name, value, wanted = setting
    evidence = [quotes.field(workload, f"spec.template.spec.containers[{container}].env[{name}]", value)]
    if extra is not None:
        evidence.append(extra)
    return suspect(
        "service_address_wrong",
        workload,
        title=f"{workload.name} calls a wrong address: {name}={value}",
        explanation=f"{name} of {workload.short} is {value!r}, but {why}.",
        evidence=evidence,
        remediation=[
            quotes.look("See the Services that exist", quotes.kubectl(workload.namespace, "get services")),
            quotes.change(
                f"Set {name} to {wanted}",
                quotes.kubectl(workload.namespace, f"set env {workload.short} {name}={wanted}"),
            ),
        ],
        severity=Severity.HIGH,
        confidence=0.9,
    )


RULES = (find_wrong_addresses,)
