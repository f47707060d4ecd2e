"""Gateways and routes of the Gateway API: what their conditions say, and what they name that is not there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.diagnosis.build import at, causes, deployment, diagnosed, meta, pod, service

WELL: list[dict[str, Any]] = [
    {"type": kind, "status": "True", "reason": kind, "observedGeneration": 2} for kind in ("Accepted", "ResolvedRefs")
]


def condition(kind: str, reason: str, *, state: str = "False", generation: int = 2) -> dict[str, Any]:
    told = {"reason": reason, "message": f"{reason} it is", "lastTransitionTime": at(10)}
    return {"type": kind, "status": state, "observedGeneration": generation, **told}


def gateway(*conditions: dict[str, Any], listeners: list[dict[str, Any]] | None = None, age: float = 60) -> Any:
    spec = {"gatewayClassName": "example", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    status = {"conditions": list(conditions), "listeners": listeners or []}
    return {"kind": "Gateway", "metadata": meta("edge", age=age, generation=2), "spec": spec, "status": status}


def route(*conditions: dict[str, Any], parent: str = "edge", backend: str = "payments", age: float = 60) -> Any:
    spec = {"parentRefs": [{"name": parent}], "rules": [{"backendRefs": [{"name": backend, "port": 8080}]}]}
    status = {"parents": [{"parentRef": {"name": parent}, "conditions": list(conditions)}]}
    return {"kind": "HTTPRoute", "metadata": meta("web", age=age, generation=2), "spec": spec, "status": status}


def shop(*items: Any) -> list[tuple[str, str]]:
    return causes(diagnosed(*deployment(), pod(), service(), *items))


FAULTS = {
    "waiting-for-a-controller": (
        [gateway(condition("Accepted", "Pending", state="Unknown"))],
        ("gateway_not_programmed", "gateway/edge"),
    ),
    "no-address": (
        [gateway(condition("Programmed", "AddressNotAssigned"))],
        ("gateway_not_programmed", "gateway/edge"),
    ),
    "certificate-of-a-listener": (
        [gateway(listeners=[{"name": "https", "conditions": [condition("ResolvedRefs", "InvalidCertificateRef")]}])],
        ("gateway_not_programmed", "gateway/edge"),
    ),
    "no-such-gateway": ([route(parent="egde")], ("route_not_accepted", "httproute/web")),
    "not-let-in": (
        [gateway(), route(condition("Accepted", "NotAllowedByListeners"))],
        ("route_not_accepted", "httproute/web"),
    ),
    "no-such-service": ([gateway(), route(*WELL, backend="paymnets")], ("route_backend_missing", "httproute/web")),
    "reference-not-permitted": (
        [gateway(), route(condition("ResolvedRefs", "RefNotPermitted"))],
        ("route_backend_missing", "httproute/web"),
    ),
}
HEALTHY = {
    "served": [gateway(*WELL), route(*WELL)],
    "made-a-moment-ago": [
        gateway(condition("Accepted", "Pending", state="Unknown"), age=0.5),
        route(age=0.5, parent="x"),
    ],
    "condition-of-an-older-generation": [gateway(condition("Programmed", "Invalid", generation=1)), route(*WELL)],
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_first_incident(name: str) -> None:
    items, wanted = FAULTS[name]
    assert shop(*items)[:1] == [wanted]


@pytest.mark.parametrize("name", HEALTHY)
def test_what_is_served_or_just_made_is_no_fault(name: str) -> None:
    assert shop(*HEALTHY[name]) == []


def test_a_route_that_a_broken_gateway_does_not_serve_is_part_of_its_incident() -> None:
    items = [gateway(condition("Programmed", "Invalid")), route(condition("Accepted", "NoMatchingParent"))]
    assert shop(*items) == [("gateway_not_programmed", "gateway/edge")]


def test_gateways_that_were_not_read_are_not_missing() -> None:
    found = diagnosed(*deployment(), pod(), service(), route(*WELL), unread=("gateways",))
    assert causes(found) == []
