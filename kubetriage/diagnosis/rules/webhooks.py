"""Admission webhooks that must answer and cannot, and those that have refused pods.

https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.rules.admission import lacks_pods
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import created_at, is_ready, ref_of, spec_of
from kubetriage.state.snapshot import Object

PATIENCE = timedelta(minutes=2)  # its pods may be starting
RECENT = timedelta(minutes=30)  # of a refusal
_CALLING = re.compile(r"failed calling webhook \"(?P<name>[^\"]+)\"")
_DENIED = re.compile(r"admission webhook \"(?P<name>[^\"]+)\" denied the request")
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


@rule("events", *_KINDS, "replicasets", "statefulsets", "daemonsets", "jobs")
def find_webhook_refusals(view: ClusterView) -> Iterable[Suspect]:
    for note in view.all_events("FailedCreate"):
        since = view.ago(note.last)
        if since is not None and since > RECENT:
            continue
        called, denied = _CALLING.search(note.message), _DENIED.search(note.message)
        match = called or denied
        if match is None:
            continue
        about = ObjectRef(kind=note.kind, name=note.name, namespace=note.namespace)
        owner = view.find(about)
        gone = owner is None and view.snapshot.was_read(f"{note.kind.lower()}s", note.namespace)
        if gone or (owner is not None and not lacks_pods(note.kind, owner)):
            continue
        cause = "webhook_denied" if denied else "webhook_unavailable"
        if called and "x509" in note.message:
            cause = "webhook_certificate_invalid"
        config = next(iter(_configurations(view, match["name"])), None)
        target = config or (view.workload_of(owner, note.kind) if owner is not None else about)
        yield suspect(
            cause,
            target,
            title=f"webhook {match['name']} lets no pods in",
            explanation=f"The pods of {note.name} are refused: {quotes.shorten(note.message, 240)}",
            evidence=[quotes.event(note)],
            remediation=[
                quotes.look("See the webhook", f"kubectl get {target.kind.lower()} {target.name} -o yaml"),
                quotes.change("Repair its Service and certificate, or narrow what it applies to"),
            ],
            severity=Severity.CRITICAL,
            confidence=0.93,
        )


def _configurations(view: ClusterView, webhook: str) -> Iterator[ObjectRef]:
    for plural, kind in _KINDS.items():
        for item in view.snapshot.items(plural):
            if any(entry.get("name") == webhook for entry in item.get("webhooks") or ()):
                yield ref_of(kind, item)


RULES = (find_unreachable_webhooks, find_webhook_refusals)
