"""Alerts as Alertmanager sends them, and the incidents that the gateway makes of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from kubetriage.contracts.api import ClusterName, NamespaceName, ObjectName, Passage
from kubetriage.contracts.base import WireModel
from kubetriage.contracts.diagnosis import Diagnosis

IncidentId = Annotated[str, StringConstraints(pattern=r"^i_[0-9a-f]{24}$")]
IncidentStatus = Literal["firing", "resolved"]
DiagnosisState = Literal["queued", "running", "done", "failed"]
IncidentEvent = Literal["diagnosed", "failed", "resolved"]


class _Received(BaseModel):
    """A document of somebody else's: fields that a later version adds are no error."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Alert(_Received):
    """One alert of a notification."""

    status: IncidentStatus
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    generatorURL: str = ""  # noqa: N815 - Alertmanager's name


class AlertmanagerNotification(_Received):
    """The body of Alertmanager's ``webhook_config``, version 4
    (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config)."""

    version: Literal["4"]
    groupKey: Annotated[str, StringConstraints(min_length=1, max_length=8192)]  # noqa: N815
    status: IncidentStatus
    commonLabels: dict[str, str] = Field(default_factory=dict)  # noqa: N815
    commonAnnotations: dict[str, str] = Field(default_factory=dict)  # noqa: N815
    alerts: tuple[Alert, ...] = Field(min_length=1)
    truncatedAlerts: int = Field(default=0, ge=0)  # noqa: N815


class AlertAccepted(WireModel):
    """What became of a notification."""

    incident: IncidentId | None = Field(default=None, description="None: the group was not known, and is over")
    result: Literal["opened", "known", "requeued", "resolved", "ignored"]


class AlertedGroup(WireModel):
    """What a group of alerts is about. All text is cleaned, redacted and capped; labels are data."""

    alert: str = Field(description="the alert's name")
    severity: str = ""
    summary: str = Field(default="", description="the annotation of that name, else the description")
    cluster: ClusterName | None = None
    namespace: NamespaceName | None = None
    kind: str | None = None
    name: ObjectName | None = None
    firing: int = Field(default=0, description="alerts that fire")
    labels: dict[str, str] = Field(default_factory=dict, description="those that all alerts of the group share")
    links: tuple[str, ...] = Field(default=(), description="where Prometheus shows the alerts")


class NotificationState(WireModel):
    """Whether one version of an incident was posted on to one target."""

    target: Literal["slack", "webhook"]
    version: int
    state: Literal["waiting", "sent", "failed"]
    attempts: int = 0
    reason: str | None = None


class AlertIncidentSummary(WireModel):
    """An incident as lists show it. ``version`` grows with everything that is posted on."""

    id: IncidentId
    status: IncidentStatus
    alerts: AlertedGroup
    diagnosis_state: DiagnosisState
    reason: str | None = Field(default=None, description="why the diagnosis failed")
    headline: str | None = Field(default=None, description="the diagnosis in one line")
    version: int
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None = None
    diagnosed_at: datetime | None = None


class AlertIncident(AlertIncidentSummary):
    """The whole incident."""

    diagnosis: Diagnosis | None = None
    withheld: str | None = Field(default=None, description="why there is a diagnosis that you may not read")
    runbooks: tuple[Passage, ...] = ()
    notifications: tuple[NotificationState, ...] = ()


class AlertIncidentList(WireModel):
    """Newest first. ``next`` is the ``cursor`` of the following page; None: this was the last."""

    incidents: tuple[AlertIncidentSummary, ...]
    next: str | None = None


class IncidentNotification(WireModel):
    """What is posted on to the generic webhook."""

    event: IncidentEvent
    incident: AlertIncident
