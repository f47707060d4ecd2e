"""Gateways that send a path to the wrong service: the odd one out in a table of routes.

Routes live in ConfigMaps (Spring Cloud Gateway, nginx). In such a table the target nearly always
resembles the path; a route whose path resembles one Service and whose target is another is a slip.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kubetriage.contracts.diagnosis import ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import name_of, namespace_of, ref_of
from kubetriage.state.snapshot import Object

_SPRING = re.compile(
    r"-\s+id:\s*(?P<id>\S+)\s+uri:\s*(?P<uri>\S+)\s+predicates:\s+-\s*Path=(?P<path>\S+)", re.MULTILINE
)
_NGINX = re.compile(
    r"location\s+(?:[~^=*]+\s+)?(?P<path>/\S*)\s*\{[^{}]*?proxy_pass\s+(?P<uri>https?://[^;\s]+)", re.DOTALL
)
# Fewer routes show no habit; and the habit must be nearly a rule for an exception to mean anything.
FEWEST_ROUTES = 5
HABIT = 0.7


@dataclass(frozen=True, slots=True)
class _Route:
    path: str
    uri: str
    target: str
    wanted: str | None  # the Service whose name the path resembles, when it is clearly one


@rule("configmaps", "services", "deployments", "replicasets", "statefulsets", "pods")
def find_misroutes(view: ClusterView) -> Iterable[Suspect]:
    """Routes whose target is another Service than the path is for."""
    for config_map in view.snapshot.items("configmaps"):
        services = [name_of(entry) for entry in view.snapshot.in_namespace("services", namespace_of(config_map))]
        for key, text in (config_map.get("data") or {}).items():
            if not isinstance(text, str) or len(text) > 500_000:
                continue
            routes = list(find_routes(text, services))
            usual = [route for route in routes if route.wanted == route.target]
            if len(routes) < FEWEST_ROUTES or len(usual) < HABIT * len(routes):
                continue
            for route in routes:
                if route.wanted is not None and route.wanted != route.target:
                    yield _misroute(view, config_map, key, route)


def find_routes(text: str, services: list[str]) -> Iterator[_Route]:
    """Routes of a gateway's configuration whose target is a known Service."""
    for pattern in (_SPRING, _NGINX):
        for match in pattern.finditer(text):
            target = _target(match["uri"], services)
            if target is not None:
                yield _Route(match["path"], match["uri"], target, _resembled(match["path"], services))


def _target(uri: str, services: list[str]) -> str | None:
    names = re.findall(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?", uri.lower())
    return next((name for name in reversed(names) if name in services), None)


def _resembled(path: str, services: list[str]) -> str | None:
    """The one Service whose name, without punctuation and common affixes, is a segment of the path."""
    segments = {_plain(part) for part in path.split("/") if part and "*" not in part}
    found = [service for service in services if _cores(service) & segments]
    return found[0] if len(found) == 1 else None


def _cores(service: str) -> set[str]:
    """``ts-order-service`` as ``tsorderservice``, ``orderservice``, ``order``."""
    parts = service.split("-")
    variants = [parts, parts[1:], parts[:-1], parts[1:-1]]
    return {_plain("".join(variant)) for variant in variants if len("".join(variant)) >= 3}


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _misroute(view: ClusterView, config_map: Object, key: str, route: _Route) -> Suspect:
    ref = ref_of("ConfigMap", config_map)
    wanted = ObjectRef(kind="Service", name=str(route.wanted), namespace=ref.namespace)
    alerts = [alert for alert in view.snapshot.alerts if alert.labels.get("target") == route.wanted]
    evidence = [quotes.field(ref, f"data[{key}]", f"{route.path} → {route.uri}")]
    evidence += [quotes.metric(wanted, alert.name, " ".join(alert.annotations.values())) for alert in alerts[:2]]
    return suspect(
        "gateway_misrouted",
        wanted,
        title=f"the route {route.path} goes to {route.target} instead of {route.wanted}",
        explanation=f"ConfigMap {ref.name} sends {route.path} to {route.uri}; the other routes of the table go "
        f"to the service that the path names, here {route.wanted}.",
        evidence=evidence,
        remediation=[
            quotes.look("See the table", quotes.kubectl(ref.namespace, f"get configmap {ref.name} -o yaml")),
            quotes.change(
                f"Send {route.path} to {route.wanted}, then restart the gateway",
                quotes.kubectl(ref.namespace, f"edit configmap {ref.name}"),
            ),
        ],
        severity=Severity.HIGH,
        confidence=0.9,
    )


RULES = (find_misroutes,)
