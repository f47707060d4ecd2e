"""Admission webhooks that must answer and cannot: the next object that they watch is refused.

https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import created_at, is_ready, ref_of, spec_of
from kubetriage.state.snapshot import Object

PATIENCE = timedelta(minutes=2)  # its pods may be starting
_KINDS = {
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
}


@rule(*_KINDS, "services", "pods", "deployments", "replicasets", "statefulsets", "daemonsets")
def find_unreachable_webhooks(view: ClusterView) -> Iterable[Suspect]:
    """failurePolicy Fail, and a Service that is not there or has no ready pod behind it."""
    for plural, kind in _KINDS.items():
        for item in view.snapshot.items(plural):
            for webhook in item.get("webhooks") or ():
                address = (webhook.get("clientConfig") or {}).get("service") or {}
                if webhook.get("failurePolicy", "Fail") == "Fail" and address.get("name"):
                    yield from _unreachable(view, ref_of(kind, item), webhook, address)


def _unreachable(
    view: ClusterView, config: ObjectRef, webhook: Mapping[str, Any], address: Mapping[str, Any]
) -> Iterator[Suspect]:
    namespace, name = str(address.get("namespace")), str(address["name"])
    target = ObjectRef(kind="Service", name=name, namespace=namespace)
    where = quotes.field(config, f"webhooks[{webhook.get('name')}].clientConfig.service", f"{namespace}/{name}")
    if not view.snapshot.was_read("services", namespace):
        return
    service = view.snapshot.get("services", namespace, name)
    if service is None:
        yield _suspect(config, webhook, target, f"its Service {namespace}/{name} does not exist", [where])
    elif _is_without_pods(view, service, namespace):
        evidence = [where, quotes.field(target, "spec.selector", spec_of(service).get("selector") or {})]
        said = f"its Service {namespace}/{name} has no ready pod"
        yield _suspect(config, webhook, target, said, evidence, blames=(target,))


def _is_without_pods(view: ClusterView, service: Object, namespace: str) -> bool:
    """Without a selector somebody else keeps the endpoints."""
    if not spec_of(service).get("selector") or not view.snapshot.was_read("pods", namespace):
        return False
    pods = view.pods_behind(service)
    if any(is_ready(pod) for pod in pods):
        return False
    ages = [view.ago(created_at(item)) for item in (service, *pods)]
    return all(age is None or age >= PATIENCE for age in ages)


def _suspect(
    config: ObjectRef,
    webhook: Mapping[str, Any],
    service: ObjectRef,
    what: str,
    evidence: list[Evidence],
    blames: tuple[ObjectRef, ...] = (),
) -> Suspect:
    watched = sorted({str(entry) for one in webhook.get("rules") or () for entry in one.get("resources") or ()})
    stops = f"{quotes.list_names(watched)} that it watches are refused" if watched else "what it watches is refused"
    command = f"kubectl get {config.kind.lower()} {config.name} -o yaml"
    return suspect(
        "webhook_unavailable",
        config,
        title=f"webhook {webhook.get('name')} cannot be reached: {what}",
        explanation=f"{config.kind} {config.name} has failurePolicy Fail, and {what}: {stops}.",
        evidence=[*evidence, quotes.field(config, f"webhooks[{webhook.get('name')}].failurePolicy", "Fail")],
        remediation=[
            quotes.look("See the webhook", command),
            quotes.look("See what is behind it", quotes.kubectl(service.namespace, f"get endpoints {service.name}")),
            quotes.change(
                "Repair its Service and pods; delete the configuration only when nothing serves it any more",
                f"kubectl delete {config.kind.lower()} {config.name}",
            ),
        ],
        severity=Severity.HIGH,
        confidence=0.92,
        depth=Depth.EFFECT if blames else Depth.CAUSE,
        blames=blames,
    )


RULES = (find_unreachable_webhooks,)
