"""Autoscalers that cannot decide or may not grow, and budgets that never allow a disruption.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

from kubetriage.contracts.diagnosis import ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.rules.aggregation import api_behind
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import condition, created_at, ref_of, spec_of, status_of
from kubetriage.state.snapshot import Object

# metrics-server scrapes every 15 s and a new pod has no figures for a minute or two.
PATIENCE = timedelta(minutes=2)
# There are no figures of pods that are not there or not ready: what keeps them from it is the reason.
_OF_PODS = re.compile(r"pods might be unready|no metrics returned", re.IGNORECASE)
_METRICS = ("custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io")


@rule("horizontalpodautoscalers", "events", "deployments", "statefulsets", "apiservices")
def find_autoscaler_faults(view: ClusterView) -> Iterable[Suspect]:
    for scaler in view.snapshot.items("horizontalpodautoscalers"):
        able, active = condition(scaler, "AbleToScale") or {}, condition(scaler, "ScalingActive") or {}
        limited = condition(scaler, "ScalingLimited") or {}
        target = spec_of(scaler).get("scaleTargetRef") or {}
        name = f"{target.get('kind')} {target.get('name')}"
        if able.get("status") == "False" and able.get("reason") == "FailedGetScale":
            yield _fault(scaler, "hpa_target_missing", f"its target {name} cannot be found", str(able.get("message")))
        elif active.get("status") == "False" and active.get("reason") != "ScalingDisabled":
            message = str(active.get("message"))
            age = view.ago(created_at(scaler))
            if "missing request" in message:
                yield _fault(scaler, "hpa_missing_requests", f"pods of {name} set no requests", message)
            elif age is None or age >= PATIENCE:
                group = next((group for group in _METRICS if group in message), None)
                why = api_behind(view, group) if group else None
                if why is None and _OF_PODS.search(message):
                    why = _target(scaler)
                yield _fault(scaler, "hpa_metrics_unavailable", f"it gets no metrics of {name}", message, why=why)
        elif limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
            yield _fault(
                scaler,
                "hpa_at_maximum",
                f"{name} needs more than maxReplicas {spec_of(scaler).get('maxReplicas')}",
                str(limited.get("message")),
                severity=Severity.MEDIUM,
            )


@rule("poddisruptionbudgets", "pods")
def find_blocking_budgets(view: ClusterView) -> Iterable[Suspect]:
    """All pods are well and still none may go: nodes cannot be drained."""
    for budget in view.snapshot.items("poddisruptionbudgets"):
        status, spec = status_of(budget), spec_of(budget)
        expected, healthy = int(status.get("expectedPods") or 0), int(status.get("currentHealthy") or 0)
        if expected == 0 or healthy < expected or int(status.get("disruptionsAllowed") or 0) > 0:
            continue
        ref = ref_of("PodDisruptionBudget", budget)
        rule_text = {key: spec[key] for key in ("minAvailable", "maxUnavailable") if key in spec}
        yield suspect(
            "pdb_blocks_eviction",
            ref,
            title=f"budget {ref.name} never allows a disruption",
            explanation=f"All {expected} pods are healthy and {rule_text} still allows none to be evicted.",
            evidence=[
                quotes.field(ref, "spec", rule_text),
                quotes.field(ref, "status", f"{healthy} of {expected} healthy, 0 disruptions allowed"),
            ],
            remediation=[
                quotes.change(
                    "Lower minAvailable (or raise maxUnavailable), or add a replica",
                    quotes.kubectl(ref.namespace, f"edit pdb {ref.name}"),
                )
            ],
            severity=Severity.LOW,
            confidence=0.9,
        )


def _target(scaler: Object) -> ObjectRef:
    ref, target = ref_of("HorizontalPodAutoscaler", scaler), spec_of(scaler).get("scaleTargetRef") or {}
    return ObjectRef(kind=str(target.get("kind")), name=str(target.get("name")), namespace=ref.namespace)


def _fault(
    scaler: Object,
    cause: str,
    what: str,
    message: str,
    *,
    severity: Severity = Severity.HIGH,
    why: ObjectRef | None = None,
) -> Suspect:
    ref = ref_of("HorizontalPodAutoscaler", scaler)
    return suspect(
        cause,
        ref,
        title=f"autoscaler {ref.name}: {what}",
        explanation=f"HorizontalPodAutoscaler {ref.name}: {what}. {quotes.shorten(message, 200)}",
        evidence=[quotes.field(ref, "status.conditions", message)],
        remediation=[
            quotes.look("See its conditions", quotes.kubectl(ref.namespace, f"describe hpa {ref.name}")),
            quotes.change(_FIX[cause], quotes.kubectl(ref.namespace, f"edit hpa {ref.name}")),
        ],
        severity=severity,
        confidence=0.92,
        depth=Depth.CAUSE if why is None else Depth.EFFECT,
        blames=() if why is None else (why,),
    )


_FIX = {
    "hpa_target_missing": "Correct spec.scaleTargetRef",
    "hpa_missing_requests": "Set resources.requests on every container of the target",
    "hpa_metrics_unavailable": "Repair metrics-server or the metrics adapter",
    "hpa_at_maximum": "Raise maxReplicas, or make the work cheaper",
}

RULES = (find_autoscaler_faults, find_blocking_budgets)
