"""Init containers that fail or never finish: the app behind them never starts.

https://kubernetes.io/docs/concepts/workloads/pods/init-containers/
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from kubetriage.contracts.diagnosis import Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import ContainerRun, crash_evidence, find_runs, is_in_trouble, last_hits
from kubetriage.diagnosis.graph import find_services, service_names
from kubetriage.diagnosis.logs import Symptom
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import ref_of

_READS = ("pods", "events", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "services")
# Migrations take minutes; a wait for a neighbour that is well takes seconds.
PATIENCE = timedelta(minutes=3)


@rule(*_READS)
def find_init_faults(view: ClusterView) -> Iterable[Suspect]:
    for run in find_runs(view):
        if not run.is_init or run.spec.get("restartPolicy") == "Always":
            continue  # a native sidecar runs on by design
        ended = run.last_end
        if ended is not None and int(ended.get("exitCode") or 0) != 0 and is_in_trouble(run, view.now):
            if ended.get("reason") not in ("StartError", "ContainerCannotRun"):
                yield _failing(view, run)
        elif run.started_at is not None and view.now - run.started_at >= PATIENCE:
            yield _stuck(view, run)


def _failing(view: ClusterView, run: ContainerRun) -> Suspect:
    workload, pod = view.workload_of(run.pod), ref_of("Pod", run.pod)
    hits = last_hits(view, run)
    evidence = [crash_evidence(pod, run, run.last_end or {})]
    evidence += [quotes.log_line(pod, run.name, hit.line, previous=True, time=hit.time) for hit in hits[:2]]
    return suspect(
        "init_container_failing",
        workload,
        title=f"{workload.name} does not start: its init container {run.name} fails",
        explanation=f"Init container {run.name} of {pod.name} ends with exit code "
        f"{(run.last_end or {}).get('exitCode')}{': ' + quotes.shorten(hits[0].line, 160) if hits else ''}.",
        evidence=evidence,
        remediation=[
            quotes.look("Read its log", quotes.kubectl(workload.namespace, f"logs {pod.name} -c {run.name} --tail=50")),
            quotes.change("Correct what its log names", quotes.kubectl(workload.namespace, f"edit {workload.short}")),
        ],
        severity=Severity.CRITICAL,
        confidence=0.9,
    )


def _stuck(view: ClusterView, run: ContainerRun) -> Suspect:
    workload, pod = view.workload_of(run.pod), ref_of("Pod", run.pod)
    command = " ".join(map(str, (*(run.spec.get("command") or ()), *(run.spec.get("args") or ()))))
    waits_for = tuple(find_services(command, workload.namespace, service_names(view)))
    hits = [hit for hit in last_hits(view, run) if hit.symptom is not Symptom.CRASH]
    evidence = [quotes.field(pod, f"status.initContainerStatuses[{run.name}].state.running", "", run.started_at)]
    evidence = [entry.model_copy(update={"quote": f"running since {run.started_at}"}) for entry in evidence]
    if command:
        evidence.append(quotes.field(pod, f"spec.initContainers[{run.name}].command", command))
    evidence += [quotes.log_line(pod, run.name, hit.line, time=hit.time) for hit in hits[:1]]
    return suspect(
        "init_container_stuck",
        workload,
        title=f"{workload.name} does not start: its init container {run.name} does not finish",
        explanation=f"Init container {run.name} of {pod.name} runs since {run.started_at:%H:%M:%S}Z"
        f"{', waiting for ' + quotes.list_names([ref.name for ref in waits_for]) if waits_for else ''}.",
        evidence=evidence,
        remediation=[
            quotes.look("Read its log", quotes.kubectl(workload.namespace, f"logs {pod.name} -c {run.name} --tail=50")),
            quotes.change(
                "Repair what it waits for, or correct its condition",
                quotes.kubectl(workload.namespace, f"edit {workload.short}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.85,
        depth=Depth.EFFECT,
        blames=waits_for,
    )


RULES = (find_init_faults,)
