"""Which logs to read: those of containers that a rule asks about, and no more than needed."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.diagnosis.containers import ContainerRun, find_runs, is_in_trouble
from kubetriage.diagnosis.suspect import Depth, Suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.logs import LogKey
from kubetriage.state.objects import name_of, namespace_of

# Logs of containers in trouble: a crash-looping fleet shows the same line everywhere.
MOST_TROUBLED = 40
# Logs of healthy containers, when objects alone explain nothing.
MOST_HEALTHY = 120
MOST_PER_WORKLOAD = 2


def find_wanted_logs(view: ClusterView, suspects: list[Suspect]) -> list[LogKey]:
    """Containers in trouble first; all of a namespace when no deep cause was found without."""
    keys: dict[LogKey, None] = {}
    per_workload: dict[object, int] = {}
    for run in find_runs(view):
        if _is_troubled(run, view):
            workload = view.workload_of(run.pod)
            per_workload[workload] = per_workload.get(workload, 0) + 1
            if per_workload[workload] <= MOST_PER_WORKLOAD:
                keys.update(dict.fromkeys(_keys(run)))
    troubled = list(keys)[:MOST_TROUBLED]
    if view.snapshot.namespaces is None or any(entry.depth is Depth.CAUSE for entry in suspects):
        return troubled
    return [*troubled, *_healthy(view, set(troubled))]


def _is_troubled(run: ContainerRun, view: ClusterView) -> bool:
    started = bool(run.state.get("running") or run.last_end)
    # A kill by the kernel leaves no word in the log: not worth a request each in a whole cluster.
    silent = view.snapshot.namespaces is None and (run.last_end or {}).get("reason") == "OOMKilled"
    return started and not silent and (not run.ready or is_in_trouble(run, view.now))


def _keys(run: ContainerRun) -> Iterator[LogKey]:
    namespace, pod = namespace_of(run.pod) or "", name_of(run.pod)
    if run.restarts > 0:
        yield LogKey(namespace, pod, run.name, previous=True)
    if run.waiting_reason is None or run.restarts > 0:
        yield LogKey(namespace, pod, run.name)


def _healthy(view: ClusterView, known: set[LogKey]) -> list[LogKey]:
    found: list[LogKey] = []
    for run in find_runs(view):
        key = LogKey(namespace_of(run.pod) or "", name_of(run.pod), run.name)
        if not run.is_init and run.ready and key not in known:
            found.append(key)
    return found[:MOST_HEALTHY]
