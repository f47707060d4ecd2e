"""Gateways that nobody serves, and routes that lead nowhere.

https://gateway-api.sigs.k8s.io/reference/spec/ and https://gateway-api.sigs.k8s.io/geps/gep-1364/ (conditions)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.graph import backends_of, parents_of
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import created_at, ref_of, spec_of, status_of
from kubetriage.state.snapshot import Object
from kubetriage.state.times import parse_time

PATIENCE = timedelta(minutes=2)  # a load balancer's address may take that long
# Conditions whose False is a fault; of a listener also Conflicted, whose True is.
_GOOD = ("Accepted", "Programmed", "ResolvedRefs")


@rule("gateways", "services")
def find_gateway_faults(view: ClusterView) -> Iterable[Suspect]:
    for gateway in view.snapshot.items("gateways"):
        ref, age = ref_of("Gateway", gateway), view.ago(created_at(gateway))
        if age is not None and age < PATIENCE:
            continue
        bad = [*_bad(gateway, ref, "status", status_of(gateway).get("conditions") or (), unheard="Unknown")]
        for entry in status_of(gateway).get("listeners") or ():
            bad += _bad(gateway, ref, f"status.listeners[{entry.get('name')}]", entry.get("conditions") or ())
        if bad:
            yield _fault(
                "gateway_not_programmed",
                ref,
                f"gateway {ref.name} is not served",
                f"Gateway {ref.name} of class {spec_of(gateway).get('gatewayClassName')}: {bad[0].quote}",
                bad,
                "Correct what the condition names: class, certificate, address or listener",
            )


@rule("httproutes", "gateways", "services")
def find_route_faults(view: ClusterView) -> Iterable[Suspect]:
    for route in view.snapshot.items("httproutes"):
        ref, age = ref_of("HTTPRoute", route), view.ago(created_at(route))
        if age is None or age >= PATIENCE:
            yield from _unattached(view, route, ref)
            yield from _without_backend(view, route, ref)


def _unattached(view: ClusterView, route: Object, ref: ObjectRef) -> Iterator[Suspect]:
    parents = tuple(parents_of(route))
    missing = _absent(view, "gateways", parents)
    evidence = [*_named(ref, "spec.parentRefs", missing), *_refused(route, ref, "Accepted")]
    if evidence:
        yield _fault(
            "route_not_accepted",
            ref,
            f"route {ref.name} is attached to no gateway",
            f"HTTPRoute {ref.name} is not served: {_said(missing, evidence)}",
            evidence,
            "Correct parentRefs and host names, or the allowedRoutes of the listener",
            blames=missing or parents,
        )


def _without_backend(view: ClusterView, route: Object, ref: ObjectRef) -> Iterator[Suspect]:
    missing = _absent(view, "services", backends_of(route))
    evidence = [*_named(ref, "spec.rules[*].backendRefs", missing), *_refused(route, ref, "ResolvedRefs")]
    if evidence:
        said = _said(missing, evidence)
        yield _fault(
            "route_backend_missing",
            ref,
            f"route {ref.name} leads to nothing: {quotes.shorten(said, 80)}",
            f"HTTPRoute {ref.name}: {said}",
            evidence,
            "Correct backendRefs; a Service of another namespace needs a ReferenceGrant there",
        )


def _absent(view: ClusterView, plural: str, named: Iterable[ObjectRef]) -> tuple[ObjectRef, ...]:
    """Those that are not there, as far as that was read."""
    return tuple(ref for ref in named if view.snapshot.was_read(plural, ref.namespace) and view.find(ref) is None)


def _named(ref: ObjectRef, path: str, missing: Iterable[ObjectRef]) -> Iterator[Evidence]:
    for one in missing:
        yield quotes.field(ref, path, f"{one.namespace}/{one.name}")


def _refused(route: Object, ref: ObjectRef, condition: str) -> Iterator[Evidence]:
    """What the Gateways that the route names say against it."""
    for status in status_of(route).get("parents") or ():
        yield from _bad(route, ref, "status.parents", status.get("conditions") or (), only=(condition,))


def _said(missing: Sequence[ObjectRef], evidence: Sequence[Evidence]) -> str:
    if not missing:
        return evidence[0].quote
    return f"{missing[0].kind} {missing[0].namespace}/{missing[0].name} does not exist"


def _bad(
    item: Object,
    ref: ObjectRef,
    path: str,
    conditions: Sequence[Mapping[str, Any]],
    *,
    only: tuple[str, ...] = _GOOD,
    unheard: str = "",
) -> list[Evidence]:
    """Conditions of the current generation that say that something is wrong."""
    found = []
    for entry in conditions:
        kind, state = str(entry.get("type")), entry.get("status")
        wrong = (kind in only and state in ("False", unheard)) or (kind == "Conflicted" and state == "True")
        generation = item["metadata"].get("generation")
        stale = generation is not None and int(entry.get("observedGeneration") or generation) < int(generation)
        if wrong and not stale:
            text = f"{entry.get('reason')}: {entry.get('message') or ''}".strip()
            time = parse_time(entry.get("lastTransitionTime"))
            found.append(quotes.field(ref, f"{path}.conditions[{kind}]", text, time))
    return found


def _fault(
    cause: str,
    ref: ObjectRef,
    title: str,
    explanation: str,
    evidence: list[Evidence],
    fix: str,
    blames: tuple[ObjectRef, ...] = (),
) -> Suspect:
    name = f"{ref.kind.lower()} {ref.name}"
    return suspect(
        cause,
        ref,
        title=title,
        explanation=explanation,
        evidence=evidence,
        remediation=[
            quotes.look("See its conditions", quotes.kubectl(ref.namespace, f"describe {name}")),
            quotes.change(fix, quotes.kubectl(ref.namespace, f"edit {name}")),
        ],
        severity=Severity.HIGH,
        confidence=0.92,
        depth=Depth.EFFECT if blames else Depth.CAUSE,
        blames=blames,
    )


RULES = (find_gateway_faults, find_route_faults)
