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
    missing = [
        parent
        for parent in parents_of(route)
        if view.snapshot.was_read("gateways", parent.namespace) and view.find(parent) is None
    ]
    evidence = [quotes.field(ref, "spec.parentRefs", f"{parent.namespace}/{parent.name}") for parent in missing]
    said = f"Gateway {missing[0].namespace}/{missing[0].name} does not exist" if missing else ""
    for status in status_of(route).get("parents") or ():
        found = _bad(route, ref, "status.parents", status.get("conditions") or (), only=("Accepted",))
        evidence += found
        said = said or (found[0].quote if found else "")
    if evidence:
        yield _fault(
            "route_not_accepted",
            ref,
            f"route {ref.name} is attached to no gateway",
            f"HTTPRoute {ref.name} is not served: {said}",
            evidence,
            "Correct parentRefs and host names, or the allowedRoutes of the listener",
            blames=tuple(missing) or tuple(parents_of(route)),
        )


def _without_backend(view: ClusterView, route: Object, ref: ObjectRef) -> Iterator[Suspect]:
    missing = [
        target
        for target in backends_of(route)
        if view.snapshot.was_read("services", target.namespace) and view.find(target) is None
    ]
    evidence = [quotes.field(ref, "spec.rules[*].backendRefs", f"{one.namespace}/{one.name}") for one in missing]
    said = f"Service {missing[0].namespace}/{missing[0].name} does not exist" if missing else ""
    for status in status_of(route).get("parents") or ():
        found = _bad(route, ref, "status.parents", status.get("conditions") or (), only=("ResolvedRefs",))
        evidence += found
        said = said or (found[0].quote if found else "")
    if evidence:
        yield _fault(
            "route_backend_missing",
            ref,
            f"route {ref.name} leads to nothing: {quotes.shorten(said, 80)}",
            f"HTTPRoute {ref.name}: {said}",
            evidence,
            "Correct backendRefs; a Service of another namespace needs a ReferenceGrant there",
        )


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
