"""APIs that another server answers, such as metrics.k8s.io, and does not.

https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from kubetriage.contracts.diagnosis import ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import condition, created_at, name_of, ref_of, spec_of
from kubetriage.state.times import parse_time

PATIENCE = timedelta(minutes=1)  # the server behind it may be starting


@rule("apiservices")
def find_unavailable_apis(view: ClusterView) -> Iterable[Suspect]:
    """Registered, and its server does not answer: lists fail, namespaces do not go, nothing scales."""
    for item in view.snapshot.items("apiservices"):
        backend = spec_of(item).get("service") or {}
        available = condition(item, "Available") or {}
        if not backend.get("name") or available.get("status") != "False":
            continue
        since = parse_time(available.get("lastTransitionTime")) or created_at(item)
        waited = view.ago(since)
        if waited is not None and waited < PATIENCE:
            continue
        ref = ref_of("APIService", item)
        service = ObjectRef(kind="Service", name=str(backend["name"]), namespace=backend.get("namespace"))
        reason, message = available.get("reason"), str(available.get("message") or "")
        yield suspect(
            "api_service_unavailable",
            ref,
            title=f"the API {name_of(item)} does not answer ({reason})",
            explanation=f"{ref.name} is served by Service {service.namespace}/{service.name}: "
            f"{quotes.shorten(message, 200)}",
            evidence=[quotes.field(ref, "status.conditions[Available]", f"{reason}: {message}", since)],
            remediation=[
                quotes.look(
                    "See what is behind it", quotes.kubectl(service.namespace, f"get endpoints {service.name}")
                ),
                quotes.change(
                    "Repair that server; remove the APIService only when nothing serves it any more",
                    f"kubectl delete apiservice {name_of(item)}",
                ),
            ],
            severity=Severity.HIGH,
            confidence=0.9,
            depth=Depth.EFFECT,
            blames=(service,),
            first_seen=since,
        )


def api_behind(view: ClusterView, group: str) -> ObjectRef | None:
    """The APIService that answers for an API group, when it is registered."""
    for item in view.snapshot.items("apiservices"):
        if spec_of(item).get("group") == group and (spec_of(item).get("service") or {}).get("name"):
            return ref_of("APIService", item)
    return None


RULES = (find_unavailable_apis,)
