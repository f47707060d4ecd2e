"""The runs of a container: what it does now, how the last run ended, and whether that is trouble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.logs import LogHit, find_hits
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import container_statuses, init_container_statuses, ref_of, spec_of_container
from kubetriage.state.snapshot import Object
from kubetriage.state.times import parse_time

# The kubelet forgets a crash after ten minutes of running (the back-off is reset then):
# https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
SETTLED = timedelta(minutes=10)
_ROUNDING = timedelta(seconds=2)  # the API's times are whole seconds, at both ends


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRun:
    """A container of a live pod, by spec and status."""

    pod: Object
    name: str
    spec: Mapping[str, Any]
    state: Mapping[str, Any]
    last_state: Mapping[str, Any]
    ready: bool
    restarts: int
    is_init: bool

    @property
    def waiting_reason(self) -> str | None:
        return (self.state.get("waiting") or {}).get("reason")

    @property
    def last_end(self) -> Mapping[str, Any] | None:
        """How the latest run that ended did so."""
        return self.state.get("terminated") or self.last_state.get("terminated")

    @property
    def ended_at(self) -> datetime | None:
        return parse_time((self.last_end or {}).get("finishedAt"))

    @property
    def lifetime(self) -> timedelta | None:
        """Of the latest run that ended; None when its times are not known."""
        begun, ended = parse_time((self.last_end or {}).get("startedAt")), self.ended_at
        return None if begun is None or ended is None else ended - begun

    @property
    def started_at(self) -> datetime | None:
        return parse_time((self.state.get("running") or {}).get("startedAt"))


def find_runs(view: ClusterView) -> Sequence[ContainerRun]:
    """Every container of every live pod."""
    return view.derive("runs", lambda: [run for pod in view.live_pods for run in runs_of(pod)])


def runs_of(pod: Object) -> Iterator[ContainerRun]:
    for is_init, statuses in ((True, init_container_statuses(pod)), (False, container_statuses(pod))):
        for status in statuses:
            yield ContainerRun(
                pod=pod,
                name=str(status.get("name")),
                spec=spec_of_container(pod, str(status.get("name"))),
                state=status.get("state") or {},
                last_state=status.get("lastState") or {},
                ready=bool(status.get("ready")),
                restarts=int(status.get("restartCount") or 0),
                is_init=is_init,
            )


def is_in_trouble(run: ContainerRun, now: datetime, *, grace: timedelta = SETTLED) -> bool:
    """Whether crashes of this container matter now: it waits to be restarted, has just ended, or
    was restarted more than once and not long enough ago. One restart that it recovered from is
    how start-up races end well."""
    if run.waiting_reason == "CrashLoopBackOff":
        return True
    if run.last_end is None:
        return False
    if run.state.get("terminated"):
        return True
    ended = run.ended_at
    recent = ended is None or now - ended <= grace
    return recent and (not run.ready or run.restarts >= 2)


def was_killed_by_probe(view: ClusterView, run: ContainerRun) -> bool:
    """Whether the kubelet itself ended the container for a failed probe."""
    for note in view.events_of(ref_of("Pod", run.pod), "Killing", "Unhealthy"):
        if "failed liveness probe" in note.message or "failed startup probe" in note.message:
            return True
        for kind, field in (("Liveness", "livenessProbe"), ("Startup", "startupProbe")):
            if note.message.startswith(f"{kind} probe") and lived_until_verdict(run, run.spec.get(field) or {}):
                return True
    return False


def start_allowance(pod: Object) -> timedelta:
    """How long the startup probes of a pod that has not restarted yet let it start."""
    waiting = [
        run.spec.get("startupProbe") or {}
        for run in runs_of(pod)
        if not run.is_init and not run.ready and not run.restarts
    ]
    return max((time_to_verdict(probe) for probe in waiting if probe), default=timedelta())


def time_to_verdict(probe: Mapping[str, Any], *, spared: int = 0) -> timedelta:
    """From the start of a container to the failure that decides; ``spared``: so many failures fewer."""
    failures = int(probe.get("failureThreshold") or 3) - spared
    delay, period = int(probe.get("initialDelaySeconds") or 0), int(probe.get("periodSeconds") or 10)
    return timedelta(seconds=delay + failures * period)


def lived_until_verdict(run: ContainerRun, probe: Mapping[str, Any]) -> bool:
    """Whether the run that ended could have been ended by this probe: it takes failureThreshold failures,
    periodSeconds apart. True when its times are not known."""
    lived = run.lifetime
    if lived is None:
        return True
    return lived >= time_to_verdict(probe, spared=1) - _ROUNDING  # the first is asked at once


def last_hits(view: ClusterView, run: ContainerRun) -> list[LogHit]:
    """What the log of the run that ended says; of the current run when that one has ended or
    there is no other. Heaviest first."""
    hits: list[LogHit] = []
    for previous in (True, False):
        log = view.log(run.pod, run.name, previous=previous)
        if log is not None:
            hits += cached_hits(log.text)
    best: dict[tuple[str, str | None], LogHit] = {}
    for hit in hits:
        best.setdefault((hit.symptom, hit.host), hit)
    return sorted(best.values(), key=lambda hit: -hit.weight)


def cached_hits(text: str) -> list[LogHit]:
    """``find_hits``, once per text: several rules ask for the same log."""
    found = _CACHE.get(text)
    if found is None:
        if len(_CACHE) > 512:
            _CACHE.clear()
        found = _CACHE[text] = find_hits(text)
    return found


_CACHE: dict[str, list[LogHit]] = {}


def crash_evidence(pod: ObjectRef, run: ContainerRun, ended: Mapping[str, Any]) -> Evidence:
    """``OOMKilled, exit code 137, 6 restarts`` with the field's path and time."""
    where = "state" if run.state.get("terminated") else "lastState"
    parts = [str(ended.get("reason") or "Error"), f"exit code {ended.get('exitCode', '?')}"]
    if ended.get("message"):
        parts.append(str(ended["message"]).strip())
    if run.restarts:
        parts.append(f"{run.restarts} restarts")
    return quotes.field(
        pod,
        f"status.containerStatuses[{run.name}].{where}.terminated",
        ", ".join(parts),
        parse_time(ended.get("finishedAt")),
    )
