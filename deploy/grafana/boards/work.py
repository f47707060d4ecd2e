"""What goes on without a caller: alerts, batches, notifications, and the audit log."""

from __future__ import annotations

from deploy.grafana.dashboard import build
from deploy.grafana.panels import lines, number
from deploy.grafana.queries import GATEWAY, increase, rate, series

_GROUPS = f"{GATEWAY}_alert_groups_total"
_DIAGNOSES = f"{GATEWAY}_incident_diagnoses_total"
_NOTIFICATIONS = f"{GATEWAY}_notifications_total"
_ITEMS = f"{GATEWAY}_batch_items_total"
_AUDIT = f"{GATEWAY}_audit_entries_total"
_WAITING = f"max by (queue) ({series(f'{GATEWAY}_work_queue_length')})"

DASHBOARD = build(
    "kubetriage-work",
    "Kubetriage alerts and batches",
    "What goes on without a caller: alerts, batches, notifications, and the audit log.",
    services=("gateway",),
    rows={
        "In the dashboard's time range": [
            number("Groups of alerts", "What Alertmanager told, repetitions included.", increase(_GROUPS), "short"),
            number("Diagnosed", "Incidents with a diagnosis.", increase(_DIAGNOSES, where='outcome="done"'), "short"),
            number(
                "Posted on", "Notifications that were taken.", increase(_NOTIFICATIONS, where='outcome="sent"'), "short"
            ),
            number("Items of batches", "With a result.", increase(_ITEMS), "short"),
            number("Audited", "Entries of the audit log.", increase(_AUDIT), "short"),
            number("Waiting", "Jobs in Redis that are not done.", f"sum({_WAITING})", "short", 50, 200),
        ],
        "Alerts": [
            lines(
                "Groups of alerts",
                "What became of Alertmanager's notifications; `refused` means that too many groups wait.",
                "ops",
                (rate(_GROUPS, "result"), "{{result}}"),
                stacked=True,
            ),
            lines(
                "Diagnoses of alerts",
                "By outcome; `retried` means that the agent could not answer yet.",
                "ops",
                (rate(_DIAGNOSES, "outcome"), "{{outcome}}"),
            ),
            lines(
                "Notifications",
                "Posts to the webhooks, by target and outcome; `failed` ones are given up.",
                "ops",
                (rate(_NOTIFICATIONS, "target, outcome"), "{{target}} {{outcome}}"),
            ),
        ],
        "Batches, queues and the audit log": [
            lines("Items of batches", "With a result, by outcome.", "ops", (rate(_ITEMS, "state"), "{{state}}")),
            lines("Waiting", "Jobs in Redis that are not done, by queue.", "short", (_WAITING, "{{queue}}")),
            lines("Audit log", "Entries written; `lost` must stay 0.", "ops", (rate(_AUDIT, "outcome"), "{{outcome}}")),
        ],
    },
)
