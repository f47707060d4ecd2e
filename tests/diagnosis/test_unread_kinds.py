"""What was not read is not absent: near misses of which one kind may not be read stay near misses."""

from __future__ import annotations

from typing import Any

from tests.diagnosis.build import at, causes, deployment, diagnosed, event, meta, pod
from tests.diagnosis.test_service_quota import shop


def read_without(plural: str, *items: Any) -> list[tuple[str, str]]:
    """The incidents when objects of this kind may not be read."""
    flat = [one for item in items for one in (item if isinstance(item, list) else [item])]
    kind = {"services": "Service", "pods": "Pod", "replicasets": "ReplicaSet", "jobs": "Job"}[plural]
    return causes(diagnosed(*(one for one in flat if one["kind"] != kind), unread=(plural,)))


def test_a_service_quota_without_services() -> None:
    assert read_without("services", *shop()) == []


def test_a_service_account_without_the_pods_that_use_it() -> None:
    running = [*deployment(serviceAccountName="robot"), pod(serviceAccountName="robot")]
    for plural in ("pods", "replicasets"):
        assert read_without(plural, *running) == []
    refused = deployment(serviceAccountName="robot", available=0)
    assert causes(diagnosed(*refused))[0][0] == "service_account_missing"


def test_a_schedule_without_the_run_that_may_hold_it_up() -> None:
    about = meta("report")
    status = {"active": [{"name": "report-2"}]}
    cron = {"kind": "CronJob", "metadata": about, "spec": {"schedule": "* * * * *"}, "status": status}
    skipped = event(cron, "JobAlreadyActive", "Not starting job because prior execution is running", ago=3, count=9)
    assert read_without("jobs", cron, skipped) == []
    run = {"kind": "Job", "metadata": {**meta("report-2"), "creationTimestamp": at(30)}, "spec": {}, "status": {}}
    assert causes(diagnosed(cron, run, skipped))[0][0] == "cron_job_blocked"
