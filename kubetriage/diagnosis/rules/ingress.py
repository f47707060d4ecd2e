"""Ingresses that lead nowhere. https://kubernetes.io/docs/concepts/services-networking/ingress/"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubetriage.contracts.diagnosis import Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import annotations_of, name_of, namespace_of, ref_of, spec_of
from kubetriage.state.snapshot import Object

_CLASS = "kubernetes.io/ingress.class"
_DEFAULT = "ingressclass.kubernetes.io/is-default-class"


@rule("ingresses", "services", "ingressclasses", "secrets")
def find_ingress_faults(view: ClusterView) -> Iterable[Suspect]:
    for ingress in view.snapshot.items("ingresses"):
        yield from _backends(view, ingress)
        yield from _class(view, ingress)
        yield from _tls(view, ingress)


def _backends(view: ClusterView, ingress: Object) -> Iterator[Suspect]:
    if not view.snapshot.was_read("services", namespace_of(ingress)):
        return
    for path, backend in _all_backends(ingress):
        name = str(backend.get("name"))
        service = view.snapshot.get("services", namespace_of(ingress), name)
        port = backend.get("port") or {}
        if service is None:
            yield _fault(ingress, "ingress_backend_missing", path, name, f"Service {name}, which does not exist")
        elif not _has_port(service, port):
            wanted = port.get("number", port.get("name"))
            yield _fault(ingress, "ingress_backend_missing", path, name, f"port {wanted}, which {name} does not have")


def _all_backends(ingress: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    default = (spec_of(ingress).get("defaultBackend") or {}).get("service")
    if default:
        yield "spec.defaultBackend", default
    for index, entry in enumerate(spec_of(ingress).get("rules") or ()):
        for number, path in enumerate((entry.get("http") or {}).get("paths") or ()):
            service = (path.get("backend") or {}).get("service")
            if service:
                yield f"spec.rules[{index}].http.paths[{number}].backend", service


def _has_port(service: Object, port: Mapping[str, Any]) -> bool:
    if spec_of(service).get("type") == "ExternalName" or not port:
        return True
    return any(
        entry.get("port") == port.get("number") or (port.get("name") and entry.get("name") == port["name"])
        for entry in spec_of(service).get("ports") or ()
    )


def _class(view: ClusterView, ingress: Object) -> Iterator[Suspect]:
    if not view.snapshot.was_read("ingressclasses"):
        return
    classes = view.snapshot.items("ingressclasses")
    name = spec_of(ingress).get("ingressClassName")
    if name and view.snapshot.get("ingressclasses", None, str(name)) is None:
        yield _fault(
            ingress, "ingress_class_missing", "spec.ingressClassName", str(name), f"class {name}, which is none"
        )
    has_default = any(annotations_of(entry).get(_DEFAULT) == "true" for entry in classes)
    if not name and not annotations_of(ingress).get(_CLASS) and not has_default:
        what = "no class, and there is no default one"
        yield _fault(ingress, "ingress_class_missing", "spec.ingressClassName", "unset", what)


def _tls(view: ClusterView, ingress: Object) -> Iterator[Suspect]:
    if not view.snapshot.was_read("secrets", namespace_of(ingress)):
        return
    for index, entry in enumerate(spec_of(ingress).get("tls") or ()):
        name = entry.get("secretName")
        if name and view.snapshot.get("secrets", namespace_of(ingress), str(name)) is None:
            path = f"spec.tls[{index}].secretName"
            yield _fault(ingress, "ingress_tls_secret_missing", path, str(name), f"TLS Secret {name}, which is missing")


def _fault(ingress: Object, cause: str, path: str, value: str, what: str) -> Suspect:
    ref = ref_of("Ingress", ingress)
    return suspect(
        cause,
        ref,
        title=f"ingress {ref.name} names {what}",
        explanation=f"Ingress {ref.name}: {path} names {what}.",
        evidence=[quotes.field(ref, path, value)],
        remediation=[
            quotes.look("See it", quotes.kubectl(ref.namespace, f"describe ingress {name_of(ingress)}")),
            quotes.change("Correct the reference", quotes.kubectl(ref.namespace, f"edit ingress {name_of(ingress)}")),
        ],
        severity=Severity.HIGH,
        confidence=0.93,
    )


RULES = (find_ingress_faults,)
