"""Jobs and CronJobs that do not run because of their own settings or of a run that does not end.

https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import ContainerRun, runs_of
from kubetriage.diagnosis.incidents import names_in
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView, EventNote
from kubetriage.state.objects import created_at, name_of, namespace_of, owner_of, ref_of, spec_of, status_of
from kubetriage.state.snapshot import Object
from kubetriage.state.times import parse_time

# A suspension is somebody's decision: it answers a question about jobs, and is no fault otherwise.
_ABOUT_JOBS = {"job", "jobs", "cronjob", "cronjobs", "cron", "schedule", "scheduled", "suspended", "batch"}
# Helpers that serve the other containers of a pod and never end by themselves.
_HELPER = re.compile(r"proxy|sidecar|envoy|agent|exporter|fluent|vector|collector", re.IGNORECASE)
HELPER_PATIENCE = timedelta(minutes=1)
# Containers of one Job may share its work and end at different times.
PATIENCE = timedelta(minutes=15)
MANY_SKIPPED = 3


@rule("jobs", "cronjobs")
def find_suspended(view: ClusterView) -> Iterable[Suspect]:
    """Suspended Jobs and CronJobs that were asked about."""
    for plural, kind, cause in (("jobs", "Job", "job_suspended"), ("cronjobs", "CronJob", "cron_job_suspended")):
        for item in view.snapshot.items(plural):
            if spec_of(item).get("suspend") is True and _is_asked(view, item):
                yield _suspended(kind, cause, item)


@rule("cronjobs", "jobs", "events")
def find_blocked_schedules(view: ClusterView) -> Iterable[Suspect]:
    """Forbid, and a run that goes on when the next ones are due."""
    for item in view.snapshot.items("cronjobs"):
        ref = ref_of("CronJob", item)
        active = [str(entry.get("name")) for entry in status_of(item).get("active") or ()]
        job = view.snapshot.get("jobs", ref.namespace, active[0]) if active else None
        begun = created_at(job) if job is not None else None
        # What an earlier run held up is over.
        notes = [
            note
            for note in view.events_of(ref, "JobAlreadyActive")
            if begun is None or note.last is None or note.last > begun
        ]
        known = view.snapshot.was_read("jobs", ref.namespace)
        if notes and active and known and sum(note.count for note in notes) >= MANY_SKIPPED:
            yield _blocked(view, ref, active[0], notes[-1])


@rule("jobs", "cronjobs", "pods", "events")
def find_half_done_jobs(view: ClusterView) -> Iterable[Suspect]:
    """The work is done and a helper keeps the pod, so the Job is never complete."""
    for pod in view.live_pods:
        owner = owner_of(pod)
        if owner is None or owner[0] != "Job":
            continue
        runs = [run for run in runs_of(pod) if not run.is_init]
        done = [run for run in runs if (run.state.get("terminated") or {}).get("exitCode") == 0]
        left = [run for run in runs if run.state.get("running")]
        if done and left and len(done) + len(left) == len(runs) and _waits_in_vain(view, done, left):
            yield _half_done(view, pod, done, left)


def _is_asked(view: ClusterView, item: Object) -> bool:
    words = names_in(view.scope.question)
    name = name_of(item)
    return view.scope.name == name or name.lower() in words or bool(words & _ABOUT_JOBS)


def _suspended(kind: str, cause: str, item: Object) -> Suspect:
    ref = ref_of(kind, item)
    last = status_of(item).get("lastScheduleTime")
    evidence = [quotes.field(ref, "spec.suspend", "true")]
    if last:
        evidence.append(quotes.field(ref, "status.lastScheduleTime", str(last), parse_time(last)))
    return suspect(
        cause,
        ref,
        title=f"{ref.name} does not run: it is suspended",
        explanation=f"{ref.short} has spec.suspend true{f'; its last run was at {last}' if last else ''}.",
        evidence=evidence,
        remediation=[
            quotes.look(
                "See who suspended it",
                quotes.kubectl(ref.namespace, f"get {ref.short} -o yaml --show-managed-fields"),
            ),
            quotes.change(
                "Resume it when nobody needs it suspended",
                quotes.kubectl(ref.namespace, f'patch {ref.short} -p \'{{"spec":{{"suspend":false}}}}\''),
            ),
        ],
        severity=Severity.LOW,
        confidence=0.9,
    )


def _blocked(view: ClusterView, ref: ObjectRef, job: str, note: EventNote) -> Suspect:
    active = ObjectRef(kind="Job", name=job, namespace=ref.namespace)
    started = created_at(found) if (found := view.snapshot.get("jobs", ref.namespace, job)) is not None else None
    return suspect(
        "cron_job_blocked",
        ref,
        title=f"{ref.name} skips its runs: {job} does not end",
        explanation=f"{ref.short} has concurrencyPolicy Forbid, and {active.short} is still running.",
        evidence=[quotes.event(note), quotes.field(ref, "status.active", job, started)],
        remediation=[
            quotes.look("See what it does", quotes.kubectl(ref.namespace, f"logs {active.short} --tail=50")),
            quotes.change("End that run", quotes.kubectl(ref.namespace, f"delete {active.short}")),
            quotes.change(
                "Give its Jobs an end (activeDeadlineSeconds)", quotes.kubectl(ref.namespace, f"edit {ref.short}")
            ),
        ],
        severity=Severity.HIGH,
        confidence=0.88,
        depth=Depth.EFFECT,
        blames=(active,),
    )


def _waits_in_vain(view: ClusterView, done: list[ContainerRun], left: list[ContainerRun]) -> bool:
    patience = HELPER_PATIENCE if all(_HELPER.search(run.name) for run in left) else PATIENCE
    ended = [run.ended_at for run in done]
    return all(time is not None and view.now - time >= patience for time in ended)


def _half_done(view: ClusterView, pod: Object, done: list[ContainerRun], left: list[ContainerRun]) -> Suspect:
    target, pod_ref = view.workload_of(pod), ref_of("Pod", pod)
    helpers = quotes.list_names([run.name for run in left])
    return suspect(
        "job_never_completes",
        target,
        title=f"{target.name} never completes: {helpers} keeps running after the work is done",
        explanation=f"In {pod_ref.name} container {done[0].name} ended with success and {helpers} did not end.",
        evidence=list(_states(pod_ref, done, left)),
        remediation=[
            quotes.look("See the pod", quotes.kubectl(namespace_of(pod), f"describe pod {pod_ref.name}")),
            quotes.change(
                f"Make {helpers} an init container with restartPolicy: Always (a native sidecar), "
                "which Kubernetes ends with the work",
                quotes.kubectl(target.namespace, f"edit {target.short}"),
            ),
        ],
        severity=Severity.MEDIUM,
        confidence=0.9,
    )


def _states(pod: ObjectRef, done: list[ContainerRun], left: list[ContainerRun]) -> Iterator[Evidence]:
    for run in done:
        path = f"status.containerStatuses[{run.name}].state.terminated"
        yield quotes.field(pod, path, f"{run.state['terminated'].get('reason')}, exit code 0", run.ended_at)
    for run in left:
        yield quotes.field(pod, f"status.containerStatuses[{run.name}].state", "running", run.started_at)


RULES = (find_suspended, find_blocked_schedules, find_half_done_jobs)
