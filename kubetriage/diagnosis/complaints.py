"""What programs say of their peers: telling lines of logs with who wrote them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from kubetriage.contracts.diagnosis import Evidence, ObjectRef
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import ContainerRun, cached_hits, find_runs
from kubetriage.diagnosis.logs import LogHit
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import ref_of

# A running, ready program logs transient errors all the time; what matters goes on until the end
# of the log. The last fifth of what was read.
LATE = 0.8
# Fewer lines than this in a healthy program's log are noise.
OFTEN = 3
RECENT = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Complaint:
    """A line about a peer, or about names, and the container that wrote it."""

    run: ContainerRun
    workload: ObjectRef
    hit: LogHit
    previous: bool

    def evidence(self) -> Evidence:
        pod = ref_of("Pod", self.run.pod)
        line = quotes.log_line(pod, self.run.name, self.hit.line, previous=self.previous, time=self.hit.time)
        return line.model_copy(update={"count": self.hit.count})


def find_complaints(view: ClusterView) -> Sequence[Complaint]:
    """Telling lines of programs that are in trouble, and lasting ones of those that are not."""
    return view.derive_from_logs("complaints", lambda: list(_complaints(view)))


def _complaints(view: ClusterView) -> Iterator[Complaint]:
    for run in find_runs(view):
        workload = view.workload_of(run.pod)
        for previous in (True, False):
            log = view.log(run.pod, run.name, previous=previous)
            if log is None or (previous and run.ready):
                continue
            for hit in cached_hits(log.text):
                lasting = hit.count >= OFTEN and (hit.position >= LATE or log.samples_only)
                lasting = lasting and not _is_old(view, hit)
                if not run.ready or lasting:
                    yield Complaint(run, workload, hit, previous)


def _is_old(view: ClusterView, hit: LogHit) -> bool:
    return hit.time is not None and view.now - hit.time > RECENT
