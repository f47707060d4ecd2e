"""Pods and Services that admission refuses: quota, limits, security level, missing account.

The controllers' FailedCreate messages are the API server's own words.
https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.graph import settings_of
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView, EventNote
from kubetriage.state.objects import (
    condition,
    name_of,
    namespace_of,
    owner_of,
    pod_spec_of,
    ref_of,
    spec_of,
    status_of,
)
from kubetriage.state.quantities import parse_quantity
from kubetriage.state.snapshot import Object

# Told by rules.endings, which knows the webhook's configuration.
_WEBHOOK = re.compile(r"admission webhook|failed calling webhook")
_QUOTA = re.compile(r"exceeded quota: (?P<quota>[^,]+), requested: (?P<requested>.+?), used: ", re.IGNORECASE)
_MUST_SPECIFY = re.compile(r"failed quota: (?P<quota>[^:]+): must specify (?P<what>.+)", re.IGNORECASE)
_ACCOUNT = re.compile(r"service ?account \"?(?:\S+/)?(?P<name>[^\"\s]+)\"? not found", re.IGNORECASE)
_SECURITY = re.compile(r"violates PodSecurity", re.IGNORECASE)
_LIMIT_RANGE = re.compile(r"(?:maximum|minimum) \S+ usage per|max limit to request ratio", re.IGNORECASE)
# The template alone was found valid, so admission has set that limit: a LimitRange's default, where there is one.
_ABOVE_DEFAULT = re.compile(r"must be less than or equal to \S+ limit", re.IGNORECASE)
_PRIORITY = re.compile(r"no PriorityClass with name (?P<name>\S+)", re.IGNORECASE)
# A refusal is retried with growing pauses up to 16 minutes: an older one says nothing of now.
STALE = timedelta(minutes=20)
# Without these nothing tells which pods a workload has.
_OF_PODS = ("pods", "replicasets")
MANY_SERVED = 5  # workloads with a Service of their name: then that is how this namespace does it


@rule(
    "pods", "events", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs",
    "resourcequotas", "serviceaccounts", "limitranges", "priorityclasses", "persistentvolumeclaims",
)  # fmt: skip
def find_refused_pods(view: ClusterView) -> Iterable[Suspect]:
    """Controllers that lack pods now and were refused when they tried."""
    for kind, item in _controllers(view):
        refusal = _refusal(view, kind, item)
        if refusal is not None:
            yield from _classified(view, view.workload_of(item, kind), *refusal)


@rule("deployments", "statefulsets", "daemonsets", "replicasets", "serviceaccounts", "pods")
def find_missing_service_accounts(view: ClusterView) -> Iterable[Suspect]:
    """Workloads without pods whose ServiceAccount is not there, also when no event tells any more."""
    for workload, item in view.workloads():
        name = pod_spec_of(item).get("serviceAccountName") or "default"
        if not all(view.snapshot.was_read(plural, workload.namespace) for plural in ("serviceaccounts", *_OF_PODS)):
            continue
        if view.snapshot.get("serviceaccounts", workload.namespace, name) is not None:
            continue
        lacking = _wanted(item) > len(view.pods_of(workload))
        if name == "default" or not lacking:
            continue  # pods that run keep running; the controller creates "default" by itself
        evidence = [quotes.field(workload, "spec.template.spec.serviceAccountName", name)]
        yield _missing_account(workload, name, evidence)


@rule("resourcequotas", "services", "deployments", "statefulsets", "persistentvolumeclaims", "pods")
def find_exhausted_object_quotas(view: ClusterView) -> Iterable[Suspect]:
    """A quota of Services that is used up while something calls a Service that is not there:
    nobody's controller reports that refusal, so no event tells."""
    for quota in view.snapshot.items("resourcequotas"):
        hard, used = status_of(quota).get("hard") or {}, status_of(quota).get("used") or {}
        limit, taken = parse_quantity(hard.get("services")), parse_quantity(used.get("services"))
        if limit is None or taken is None or taken < limit:
            continue
        if not view.snapshot.was_read("services", namespace_of(quota)):
            continue
        missing = _missing_services(view, namespace_of(quota))
        if missing:
            yield _service_quota(quota, missing, hard["services"], used["services"])


def _controllers(view: ClusterView) -> Iterator[tuple[str, Object]]:
    for plural, kind in (
        ("deployments", "Deployment"),
        ("replicasets", "ReplicaSet"),
        ("statefulsets", "StatefulSet"),
        ("daemonsets", "DaemonSet"),
        ("jobs", "Job"),
    ):
        for item in view.snapshot.items(plural):
            yield kind, item


def _refusal(view: ClusterView, kind: str, item: Object) -> tuple[str, list[Evidence]] | None:
    """What admission said, when the controller still lacks pods: an old refusal is history."""
    if kind == "Deployment":
        return _refused_replica_set(item)
    if not lacks_pods(kind, item):
        return None
    failure = condition(item, "ReplicaFailure")
    evidence: list[Evidence] = []
    text = ""
    if failure is not None and failure.get("status") == "True":
        text = str(failure.get("message") or "")
        evidence.append(quotes.field(ref_of(kind, item), "status.conditions[ReplicaFailure].message", text))
    notes = [note for note in view.events_of(ref_of(kind, item), "FailedCreate") if _is_recent(view, note)]
    if notes:
        evidence.append(quotes.event(notes[-1]))
        text = text or notes[-1].message
    return (text, evidence) if text else None


def _refused_replica_set(deployment: Object) -> tuple[str, list[Evidence]] | None:
    """What admission said when the Deployment itself was refused: its condition tells of now, and of nothing else."""
    found = condition(deployment, "Progressing") or {}
    if found.get("reason") != "ReplicaSetCreateError":
        return None
    text = str(found.get("message") or "")
    path = "status.conditions[Progressing].message"
    return text, [quotes.field(ref_of("Deployment", deployment), path, text)]


def _is_recent(view: ClusterView, note: EventNote) -> bool:
    return note.last is None or view.now - note.last <= STALE


def lacks_pods(kind: str, item: Object) -> bool:
    """Whether a controller has fewer pods than it wants: else a refusal is history."""
    if kind == "Job":
        status = status_of(item)
        return not status.get("active") and not status.get("succeeded") and not status.get("failed")
    if kind == "ReplicaSet" and owner_of(item) is not None and _wanted(item) == 0:
        return False  # an old revision
    have = status_of(item).get("replicas") or status_of(item).get("currentNumberScheduled") or 0
    return _wanted(item) > int(have)


def _wanted(item: Object) -> int:
    replicas = spec_of(item).get("replicas")
    if replicas is not None:
        return int(replicas)
    desired = status_of(item).get("desiredNumberScheduled")
    return int(desired) if desired is not None else 1


def _classified(view: ClusterView, workload: ObjectRef, text: str, evidence: list[Evidence]) -> Iterator[Suspect]:
    quota, unspecified = _QUOTA.search(text), _MUST_SPECIFY.search(text)
    account, priority = _ACCOUNT.search(text), _PRIORITY.search(text)
    if quota:
        yield _quota(view, workload, quota["quota"], quota["requested"], text, evidence)
    elif unspecified:
        yield _simple(
            "quota_requires_resources",
            workload,
            f"quota {unspecified['quota']} wants {unspecified['what']} to be set",
            evidence,
            "Set them on every container, or give the namespace a LimitRange with defaults",
        )
    elif account:
        yield _missing_account(workload, account["name"], evidence)
    elif _SECURITY.search(text):
        yield _simple(
            "pod_security_violation",
            workload,
            "the namespace's Pod Security level refuses its pods",
            evidence,
            "Set the securityContext that the message names in the pod template",
        )
    elif _LIMIT_RANGE.search(text) or _is_above_default(view, workload, text):
        yield _simple(
            "limit_range_violation",
            workload,
            "its resources are outside the namespace's LimitRange",
            evidence,
            "Change requests and limits to what the message allows, or the LimitRange",
        )
    elif priority:
        yield _simple(
            "priority_class_missing",
            workload,
            f"PriorityClass {priority['name']} does not exist",
            evidence,
            f"Create PriorityClass {priority['name']}, or correct priorityClassName",
        )
    elif not _WEBHOOK.search(text):
        yield _simple(
            "controller_not_creating_pods",
            workload,
            f"the API server refuses them: {quotes.shorten(text, 120)}",
            evidence,
            "Correct what the message names in the pod template",
        )


def _is_above_default(view: ClusterView, workload: ObjectRef, text: str) -> bool:
    ranges = view.snapshot.in_namespace("limitranges", workload.namespace)
    return _ABOVE_DEFAULT.search(text) is not None and bool(ranges)


def _simple(cause: str, workload: ObjectRef, what: str, evidence: list[Evidence], fix: str) -> Suspect:
    return suspect(
        cause,
        workload,
        title=f"{workload.short} gets no pods: {what}",
        explanation=f"The API server refuses the pods of {workload.short}: {what}.",
        evidence=evidence,
        remediation=[
            quotes.look("See the refusals", quotes.kubectl(workload.namespace, f"describe {workload.short}")),
            quotes.change(fix, quotes.kubectl(workload.namespace, f"edit {workload.short}")),
        ],
        severity=Severity.CRITICAL,
        confidence=0.95,
    )


def _missing_account(workload: ObjectRef, name: str, evidence: list[Evidence]) -> Suspect:
    return suspect(
        "service_account_missing",
        workload,
        title=f"{workload.short} gets no pods: ServiceAccount {name} does not exist",
        explanation=f"The pod template of {workload.short} names ServiceAccount {name}, which is not in "
        f"{workload.namespace}, so every pod is refused.",
        evidence=evidence,
        remediation=[
            quotes.look("See the accounts", quotes.kubectl(workload.namespace, "get serviceaccounts")),
            quotes.change(
                "Create it, or correct spec.template.spec.serviceAccountName",
                quotes.kubectl(workload.namespace, f"create serviceaccount {name}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.95,
    )


def find_quota_cause(requested: str) -> str:
    """The cause code of a refusal, by the resource that was asked for: ``requests.cpu=1``."""
    resource = requested.split("=", maxsplit=1)[0].strip()
    if resource.endswith("cpu"):
        return "cpu_quota_exceeded"
    if resource.endswith("memory"):
        return "memory_quota_exceeded"
    if resource in ("pods", "count/pods"):
        return "pods_quota_exceeded"
    if resource.startswith(("services", "count/services")):
        return "services_quota_exceeded"
    if "storage" in resource or resource.endswith("persistentvolumeclaims"):
        return "storage_quota_exceeded"
    return "quota_exceeded"


def _quota(
    view: ClusterView, workload: ObjectRef, quota: str, requested: str, text: str, evidence: list[Evidence]
) -> Suspect:
    namespace = workload.namespace or ""
    target = ObjectRef(kind="Namespace", name=namespace)
    found = view.snapshot.get("resourcequotas", namespace, quota)
    if found is not None:
        quota_ref = ref_of("ResourceQuota", found)
        evidence.append(quotes.field(quota_ref, "status.used", status_of(found).get("used") or {}))
        evidence.append(quotes.field(quota_ref, "status.hard", status_of(found).get("hard") or {}))
    told = text[text.lower().find("exceeded quota") :]
    return suspect(
        find_quota_cause(requested),
        target,
        title=f"quota {quota} of namespace {namespace} is used up, so {workload.short} gets no pods",
        explanation=f"ResourceQuota {quota} refuses the pods of {workload.short}: {told}",
        evidence=evidence,
        remediation=[
            quotes.look("See what is used", quotes.kubectl(namespace, f"describe resourcequota {quota}")),
            quotes.change(
                f"Raise the quota (it is asked for {requested} more), or free what is not needed",
                quotes.kubectl(namespace, f"edit resourcequota {quota}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.95,
        blames=(),
    )


def _missing_services(view: ClusterView, namespace: str | None) -> list[str]:
    """Workloads with ports whose own Service is missing while somebody's settings name it, or while all their
    neighbours have one of their own name: what a Service quota leaves behind. A worker that shows its metrics
    needs none."""
    served: list[ObjectRef] = []
    without: list[ObjectRef] = []
    for workload, item in view.workloads():
        ports = [port for c in pod_spec_of(item).get("containers") or () for port in c.get("ports") or ()]
        if ports and workload.namespace == namespace:
            services = view.services_of_workload.get(workload, ())
            (served if any(name_of(one) == workload.name for one in services) else without).append(workload)
    without = [workload for workload in without if not view.services_of_workload.get(workload)]
    # Where programs find each other through a registry no setting names a neighbour.
    is_rule = len(served) >= MANY_SERVED and len(without) * 5 <= len(served)
    return [workload.name for workload in without if is_rule or _is_called(view, workload)]


def _is_called(view: ClusterView, workload: ObjectRef) -> bool:
    """Whether another workload of the namespace has this name among its settings, as a host."""
    host = re.compile(rf"(?<![\w.-]){re.escape(workload.name)}(?![\w-])", re.IGNORECASE)
    return any(
        host.search(text)
        for other, item in view.workloads()
        if other.namespace == workload.namespace and other != workload
        for text in settings_of(view, item)
    )


def _service_quota(quota: Object, missing: list[str], hard: str, used: str) -> Suspect:
    namespace, quota_ref = namespace_of(quota) or "", ref_of("ResourceQuota", quota)
    names = quotes.list_names(missing)
    return suspect(
        "services_quota_exceeded",
        ObjectRef(kind="Namespace", name=namespace),
        title=f"Service quota {name_of(quota)} of namespace {namespace} is used up; {names} has no Service",
        explanation=f"{used} of {hard} Services are used, so the API server refuses another one; "
        f"{names} listens on a port and has none.",
        evidence=[
            quotes.field(quota_ref, "status.used.services", used),
            quotes.field(quota_ref, "status.hard.services", hard),
        ],
        remediation=[
            quotes.look("See the Services that use it", quotes.kubectl(namespace, "get services")),
            quotes.change(
                "Raise the quota and create the missing Service, or remove one that is not needed",
                quotes.kubectl(namespace, f"edit resourcequota {name_of(quota)}"),
            ),
        ],
        severity=Severity.HIGH,
        confidence=0.85,
    )


RULES = (find_refused_pods, find_missing_service_accounts, find_exhausted_object_quotas)
