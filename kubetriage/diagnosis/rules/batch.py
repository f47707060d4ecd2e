"""Jobs that failed and CronJobs that do not run.

https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import cached_hits
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView, EventNote
from kubetriage.state.objects import (
    condition,
    container_statuses,
    created_at,
    name_of,
    namespace_of,
    owner_of,
    ref_of,
    spec_of,
    status_of,
)
from kubetriage.state.snapshot import Object
from kubetriage.state.times import parse_time

# Reasons of events, and the field of the CronJob that they quote.
_OF_FIELD = {"UnparseableSchedule": "schedule", "InvalidSchedule": "schedule", "UnknownTimeZone": "timeZone"}


@rule("jobs", "cronjobs", "pods", "events")
def find_failed_jobs(view: ClusterView) -> Iterable[Suspect]:
    """Failed for good; a CronJob's failure that a later run made good is history."""
    for job in view.snapshot.items("jobs"):
        failed = condition(job, "Failed") or {}
        if failed.get("status") == "True" and not _was_made_good(view, job):
            yield _failed(view, job, failed)


@rule("cronjobs", "jobs", "events")
def find_unkeepable_schedules(view: ClusterView) -> Iterable[Suspect]:
    """Told by the controller, and neither corrected nor kept since."""
    for cron_job in view.snapshot.items("cronjobs"):
        ref = ref_of("CronJob", cron_job)
        told = view.events_of(ref, *_OF_FIELD, "TooManyMissedTimes")
        notes = [note for note in told if _is_as_told(cron_job, note) and not _has_run_since(view, cron_job, note)]
        if notes:
            yield suspect(
                "cron_job_invalid_schedule",
                ref,
                title=f"{ref.name} cannot keep its schedule",
                explanation=f"{ref.short}: {quotes.shorten(notes[-1].message, 200)}",
                evidence=[quotes.event(notes[-1])],
                remediation=[
                    quotes.change("Correct schedule and time zone", quotes.kubectl(ref.namespace, f"edit {ref.short}"))
                ],
                severity=Severity.HIGH,
                confidence=0.93,
            )


def _is_as_told(cron_job: Object, note: EventNote) -> bool:
    """The controller quotes the field: what is another by now was corrected."""
    field = _OF_FIELD.get(note.reason)
    return field is None or '"' not in note.message or str(spec_of(cron_job).get(field)) in note.message


def _has_run_since(view: ClusterView, cron_job: Object, note: EventNote) -> bool:
    runs = [
        created_at(job)
        for job in view.snapshot.in_namespace("jobs", namespace_of(cron_job))
        if owner_of(job) == ("CronJob", name_of(cron_job))
    ]
    times = [*runs, parse_time(status_of(cron_job).get("lastScheduleTime"))]
    return note.last is not None and any(time is not None and time >= note.last for time in times)


def _was_made_good(view: ClusterView, job: Object) -> bool:
    owner = owner_of(job)
    if owner is None:
        return False
    born = created_at(job)
    for other in view.snapshot.in_namespace("jobs", namespace_of(job)):
        later = created_at(other)
        complete = (condition(other, "Complete") or {}).get("status") == "True"
        if owner_of(other) == owner and complete and born is not None and later is not None and later > born:
            return True
    return False


def _failed(view: ClusterView, job: Object, failed: Mapping[str, Any]) -> Suspect:
    ref, target = ref_of("Job", job), view.workload_of(job, "Job")
    reason = str(failed.get("reason") or "Failed")
    pods = [pod for pod in view.pods if owner_of(pod) == ("Job", name_of(job)) and namespace_of(pod) == ref.namespace]
    evidence = [
        quotes.field(
            ref,
            "status.conditions[Failed]",
            f"{reason}: {failed.get('message') or ''}",
            parse_time(failed.get("lastTransitionTime")),
        )
    ]
    half_done = [pod for pod in pods if _is_half_done(pod)]
    evidence.extend(entry for pod in pods[-2:] for entry in _last_words(view, pod))
    never = reason == "DeadlineExceeded" and bool(half_done)
    return suspect(
        "job_never_completes" if never else "job_failed",
        target,
        title=f"{target.name} has failed: {reason}",
        explanation=f"{ref.short} failed after {status_of(job).get('failed') or 0} pods ({reason}): "
        f"{failed.get('message') or ''}",
        evidence=evidence,
        remediation=_steps(ref),
        severity=Severity.HIGH,
        confidence=0.9,
        depth=Depth.CAUSE,
    )


def _last_words(view: ClusterView, pod: Object) -> Iterator[Evidence]:
    """The heaviest line of each container's log."""
    for status in container_statuses(pod):
        name = str(status.get("name"))
        log = view.log(pod, name)
        for hit in (cached_hits(log.text) if log is not None else [])[:1]:
            yield quotes.log_line(ref_of("Pod", pod), name, hit.line, time=hit.time)


def _is_half_done(pod: Object) -> bool:
    """One container ended well and another did not end by itself: a sidecar that keeps the pod."""
    codes = [((s.get("state") or {}).get("terminated") or {}).get("exitCode") for s in container_statuses(pod)]
    return len(codes) > 1 and 0 in codes and any(code != 0 for code in codes)


def _steps(ref: ObjectRef) -> list[Any]:
    return [
        quotes.look("Read its log", quotes.kubectl(ref.namespace, f"logs {ref.short} --tail=50")),
        quotes.change(
            "Correct what the log names, then run it again",
            quotes.kubectl(ref.namespace, f"delete {ref.short}"),
        ),
    ]


RULES = (find_failed_jobs, find_unkeepable_schedules)
