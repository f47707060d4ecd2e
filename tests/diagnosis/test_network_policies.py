"""Traffic dropped by order: the policy is named when somebody complains, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.contracts.diagnosis import Outcome
from tests.diagnosis.build import NAMESPACE, causes, container, deployment, diagnosed, meta, pod, service, status

TIMEOUT = '2026-11-23T11:59:50Z ERROR Get "http://payments:8080/charge": dial tcp 10.96.1.5:8080: i/o timeout\n'
LOOKUP = "2026-11-23T11:59:50Z ERROR lookup payments on 10.96.0.10:53: read udp 10.0.0.7:41234: i/o timeout\n"
ADDRESS = {"env": [{"name": "PAYMENTS_URL", "value": "http://payments:8080"}]}


def policy(name: str = "guard", selector: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    about = meta(name)
    return {"kind": "NetworkPolicy", "metadata": about, "spec": {"podSelector": selector or {}, **spec}}


def shop(*policies: dict[str, Any], log: str = TIMEOUT * 5, payments_ready: bool = True) -> Any:
    caller = pod("checkout", containers=[container(**ADDRESS)], statuses=[status(ready=False)])
    callee = pod("payments", statuses=[status(ready=payments_ready)])
    space = {"kind": "Namespace", "metadata": meta(NAMESPACE, None, labels={"team": "shop"})}
    return diagnosed(
        *deployment("checkout", available=0, containers=[container(**ADDRESS)]),
        *deployment("payments", available=int(payments_ready)),
        service("payments"),
        service("checkout"),
        caller,
        callee,
        space,
        *policies,
        logs={(caller["metadata"]["name"], "app"): log},
    )


FROM_X = {"from": [{"podSelector": {"matchLabels": {"app": "x"}}}]}
FROM_TENS = {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
FROM_CHECKOUT = {"from": [{"podSelector": {"matchLabels": {"app": "checkout"}}}]}
PAYMENTS = {"matchLabels": {"app": "payments"}}
CHECKOUT = {"matchLabels": {"app": "checkout"}}
BLOCKING = {
    "deny all": policy(policyTypes=["Ingress"]),
    "of another caller": policy(selector=PAYMENTS, ingress=[FROM_X]),
    "on another port": policy(selector=PAYMENTS, ingress=[FROM_CHECKOUT | {"ports": [{"port": 9090}]}]),
    "of another protocol": policy(
        selector=PAYMENTS, ingress=[FROM_CHECKOUT | {"ports": [{"port": 8080, "protocol": "UDP"}]}]
    ),
    "from another namespace": policy(
        selector=PAYMENTS, ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "other"}}}]}]
    ),
    "the caller's egress": policy(
        selector=CHECKOUT, policyTypes=["Egress"], egress=[{"ports": [{"port": 53, "protocol": "UDP"}]}]
    ),
}


@pytest.mark.parametrize("name", BLOCKING)
def test_a_policy_that_admits_no_such_call_is_the_cause(name: str) -> None:
    found = shop(BLOCKING[name])
    assert causes(found) == [("network_policy_blocks", "networkpolicy/guard")]
    incident = found.incidents[0]
    assert "checkout" in incident.title
    assert any("i/o timeout" in one.quote for one in incident.root_cause.evidence)
    assert "deployment/checkout" in [ref.short for ref in incident.affected]


ADMITTING = {
    "no policy": [],
    "admits everything": [policy(selector=PAYMENTS, ingress=[{}])],
    "admits the caller": [policy(selector=PAYMENTS, ingress=[FROM_CHECKOUT])],
    "admits its port": [policy(selector=PAYMENTS, ingress=[FROM_CHECKOUT | {"ports": [{"port": 8080}]}])],
    "admits a range": [
        policy(selector=PAYMENTS, ingress=[FROM_CHECKOUT | {"ports": [{"port": 8000, "endPort": 9000}]}])
    ],
    "admits the namespace": [
        policy(selector=PAYMENTS, ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}]}])
    ],
    "another one admits it": [policy("deny"), policy("allow", selector=PAYMENTS, ingress=[FROM_CHECKOUT])],
    "selects somebody else": [policy(selector={"matchLabels": {"app": "ledger"}})],
    "only egress of the callee": [policy(selector=PAYMENTS, policyTypes=["Egress"])],
    "an address block of unknown pods": [policy(selector=PAYMENTS, ingress=[FROM_TENS])],
}


@pytest.mark.parametrize("name", ADMITTING)
def test_a_policy_that_admits_the_call_is_not_blamed(name: str) -> None:
    assert "network_policy_blocks" not in [cause for cause, _ in causes(shop(*ADMITTING[name]))]


def test_when_the_callee_is_not_well_the_policy_is_not_blamed() -> None:
    found = shop(policy(policyTypes=["Ingress"]), payments_ready=False)
    assert "network_policy_blocks" not in [cause for cause, _ in causes(found)]


def test_a_policy_without_a_complaint_does_its_work() -> None:
    well = [*deployment("payments"), service("payments"), pod("payments")]
    found = diagnosed(*well, policy(policyTypes=["Ingress", "Egress"]))
    assert found.outcome is Outcome.NO_FAULT_FOUND


def test_an_egress_policy_without_dns_is_the_cause_of_names_that_do_not_resolve() -> None:
    to_payments = [{"to": [{"podSelector": PAYMENTS}]}]
    found = shop(policy(selector=CHECKOUT, policyTypes=["Egress"], egress=to_payments), log=LOOKUP * 5)
    assert causes(found) == [("network_policy_blocks", "networkpolicy/guard")]
    assert "DNS" in found.incidents[0].title


def test_an_egress_policy_that_admits_dns_is_not() -> None:
    dns = [{"ports": [{"port": 53, "protocol": "UDP"}]}, {"to": [{"podSelector": PAYMENTS}]}]
    found = shop(policy(selector=CHECKOUT, policyTypes=["Egress"], egress=dns), log=LOOKUP * 5)
    assert "network_policy_blocks" not in [cause for cause, _ in causes(found)]


def _local(policy_of_service: str, callee_node: str) -> list[tuple[str, str]]:
    caller = pod("checkout", containers=[container(**ADDRESS)], statuses=[status(ready=False)], nodeName="node-1")
    found = diagnosed(
        *deployment("checkout", available=0, containers=[container(**ADDRESS)]),
        *deployment("payments"),
        service("payments", internalTrafficPolicy=policy_of_service),
        caller,
        pod("payments", nodeName=callee_node),
        logs={(caller["metadata"]["name"], "app"): TIMEOUT * 5},
    )
    return causes(found)


def test_local_traffic_policy_with_no_pod_on_the_callers_node() -> None:
    assert ("traffic_policy_local", "service/payments") in _local("Local", "node-2")
    for well in (_local("Local", "node-1"), _local("Cluster", "node-2")):
        assert "traffic_policy_local" not in [cause for cause, _ in well]
