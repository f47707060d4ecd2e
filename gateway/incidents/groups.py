"""What a group of alerts is about, read from its labels. Labels are somebody else's text: whatever
does not look like a name is not taken for one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from kubetriage.contracts.api import ClusterName, DiagnoseRequest, NamespaceName, ObjectName, SearchRequest
from kubetriage.contracts.incidents import AlertedGroup, AlertmanagerNotification
from kubetriage.safety.redaction import redact
from kubetriage.safety.untrusted import clean_text

_LABELS = 40  # kept of one group
_LINKS = 5
_URL_LENGTH = 2048
_LABEL_LENGTH = 256  # characters of a value
_SUMMARY_LENGTH = 500
_PASSAGES = 3

# Labels of kube-state-metrics and the kubernetes-mixin, the most specific first. `service` and `job`
# are the scraped target's, whatever the alert is about.
_KINDS = (
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("poddisruptionbudget", "PodDisruptionBudget"),
    ("ingress", "Ingress"),
    ("replicaset", "ReplicaSet"),
    ("pod", "Pod"),
    ("node", "Node"),
)
# They speak of others: `pod` and, on a node's series, `namespace` are where the exporter itself runs.
_EXPORTERS = ("kube-state-metrics", "node-exporter")

_Name = TypeVar("_Name")
_namespace: TypeAdapter[str] = TypeAdapter(NamespaceName)
_object: TypeAdapter[str] = TypeAdapter(ObjectName)
_cluster: TypeAdapter[str] = TypeAdapter(ClusterName)


def read_group(notification: AlertmanagerNotification, *, cluster_label: str) -> AlertedGroup:
    """What the alerts have in common: one namespace or object when all of them name it, else the cluster."""
    labels = notification.commonLabels
    kind, name = _object_of(labels)
    annotations = notification.commonAnnotations or notification.alerts[0].annotations
    alert = labels.get("alertname") or notification.alerts[0].labels.get("alertname") or "unnamed alert"
    return AlertedGroup(
        alert=_shown(alert, _LABEL_LENGTH),
        severity=_shown(labels.get("severity", ""), _LABEL_LENGTH),
        summary=_shown(annotations.get("summary") or annotations.get("description", ""), _SUMMARY_LENGTH),
        cluster=_valid(_cluster, labels.get(cluster_label)),
        namespace=None if kind == "Node" else _valid(_namespace, labels.get("namespace")),
        kind=kind,
        name=name,
        firing=sum(alert.status == "firing" for alert in notification.alerts) + notification.truncatedAlerts,
        labels={
            _shown(label, _LABEL_LENGTH): _shown(labels[label], _LABEL_LENGTH) for label in sorted(labels)[:_LABELS]
        },
        links=_links(notification),
    )


def identity_of(notification: AlertmanagerNotification, group: AlertedGroup) -> str:
    """Equal for all notifications of one group, whichever of a pair of Alertmanagers sent them.

    With the cluster: Alertmanagers of two clusters give the same key to the same alert.
    """
    return hashlib.sha256(f"{group.cluster or ''}\n{notification.groupKey}".encode()).hexdigest()


def request_for(group: AlertedGroup) -> DiagnoseRequest:
    """The diagnosis that the group asks for."""
    question = f"{group.alert}: {group.summary}" if group.summary else group.alert
    return DiagnoseRequest(
        cluster=group.cluster, namespace=group.namespace, kind=group.kind, name=group.name, question=question
    )


def runbooks_for(group: AlertedGroup) -> SearchRequest:
    """The search for the runbook that serves this alert."""
    return SearchRequest(
        query=f"{group.alert} {group.summary}".strip(), alert=group.alert[:200], namespace=group.namespace, k=_PASSAGES
    )


def _object_of(labels: Mapping[str, str]) -> tuple[str | None, str | None]:
    for label, kind in _KINDS:
        value = labels.get(label)
        if label == "pod" and any(exporter in (value or "") for exporter in _EXPORTERS):
            continue
        name = _valid(_object, value)
        if name is not None and (kind == "Node" or "namespace" in labels):
            return kind, name
    return None, None


def _valid(names: TypeAdapter[_Name], value: str | None) -> _Name | None:
    try:
        return names.validate_python(value)
    except ValidationError:
        return None


def _shown(text: str, length: int) -> str:
    """On one line, without what is invisible or secret, and not longer than ``length``."""
    return " ".join(redact(clean_text(text[: 4 * length])).split())[:length]


def _links(notification: AlertmanagerNotification) -> tuple[str, ...]:
    urls = dict.fromkeys(alert.generatorURL for alert in notification.alerts)
    return tuple(url for url in urls if _is_link(url))[:_LINKS]


def _is_link(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not set(url) & set(' <>|"\\') and "@" not in parts.netloc
    return plain and len(url) <= _URL_LENGTH and parts.scheme in {"http", "https"} and bool(parts.netloc)
