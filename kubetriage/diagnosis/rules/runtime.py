"""Containers that end: killed for memory, crashed with an error, or simply finished.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Remediation, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import (
    ContainerRun,
    crash_evidence,
    find_runs,
    is_in_trouble,
    last_hits,
    runs_of,
    was_killed_by_probe,
)
from kubetriage.diagnosis.logs import LogHit, Symptom
from kubetriage.diagnosis.peers import find_peers
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView, EventNote
from kubetriage.state.objects import (
    containers_of,
    init_containers_of,
    namespace_of,
    owner_of,
    pod_spec_of,
    ref_of,
)
from kubetriage.state.quantities import parse_quantity, render_bytes
from kubetriage.state.snapshot import Object

_READS = (
    "pods",
    "events",
    "deployments",
    "replicasets",
    "statefulsets",
    "daemonsets",
    "jobs",
    "cronjobs",
    "services",
)
# "128Mi" for a program that used 121Mi: a third more leaves room for the peak that killed it.
HEADROOM = 4 / 3
_OF_A_PEER = {
    Symptom.REFUSED,
    Symptom.TIMEOUT,
    Symptom.DNS,
    Symptom.DB_UNREACHABLE,
    Symptom.DB_CONNECTIONS,
    Symptom.DB_READ_ONLY,
}


@rule(*_READS)
def find_oom_kills(view: ClusterView) -> Iterable[Suspect]:
    """OOMKilled now, again and again, or so recently that it will happen again."""
    for run in find_runs(view):
        ended = _oom(run)
        if ended is not None and is_in_trouble(run, view.now, grace=timedelta(hours=1)):
            yield _oom_suspect(view, run, ended)


@rule(*_READS)
def find_crashes(view: ClusterView) -> Iterable[Suspect]:
    """Main containers that crash, with the line that says why."""
    for run in find_runs(view):
        if run.is_init or not is_in_trouble(run, view.now) or _oom(run) is not None:
            continue
        ended = run.last_end
        if ended is None or _is_job(view, run):
            continue
        if int(ended.get("exitCode") or 0) == 0 and ended.get("reason") in ("Completed", None):
            # Between two restarts it is "terminated" for a moment, and not yet waiting.
            repeated = run.waiting_reason == "CrashLoopBackOff" or (run.state.get("terminated") and run.restarts >= 2)
            if repeated and not was_killed_by_probe(view, run):
                yield _clean_exit(view, run, ended)
        elif ended.get("reason") not in ("StartError", "ContainerCannotRun"):
            yield _crash(view, run, ended)


@rule(*_READS)
def find_port_conflicts(view: ClusterView) -> Iterable[Suspect]:
    """ "address already in use": two programs of one pod want one port."""
    for run in find_runs(view):
        if run.is_init or run.ready or not is_in_trouble(run, view.now):
            continue
        hit = next((hit for hit in last_hits(view, run) if hit.symptom is Symptom.PORT_IN_USE), None)
        if hit is not None:
            yield _port_conflict(view, run, hit)


def _is_job(view: ClusterView, run: ContainerRun) -> bool:
    return view.workload_of(run.pod).kind in ("Job", "CronJob")


def _oom(run: ContainerRun) -> Mapping[str, Any] | None:
    for ended in (run.state.get("terminated"), run.last_state.get("terminated")):
        if not ended:
            continue
        message = str(ended.get("message") or "")
        if ended.get("reason") == "OOMKilled" or "OOM-killed" in message or "memory limit too low" in message:
            return dict(ended)
    return None


def _oom_suspect(view: ClusterView, run: ContainerRun, ended: Mapping[str, Any]) -> Suspect:
    workload, pod_ref = view.workload_of(run.pod), ref_of("Pod", run.pod)
    limit_text = ((run.spec.get("resources") or {}).get("limits") or {}).get("memory")
    limit = parse_quantity(limit_text)
    evidence = [crash_evidence(pod_ref, run, ended)]
    if limit_text:
        evidence.append(quotes.field(pod_ref, f"spec.containers[{run.name}].resources.limits.memory", limit_text))
    else:
        evidence.append(
            quotes.field(pod_ref, f"spec.containers[{run.name}].resources", run.spec.get("resources") or {})
        )
    evidence += [quotes.event(note) for note in view.events_of(pod_ref, "OOMKilling", "Failed", "BackOff")[-1:]]
    previous = _previous_limit(view, workload, run.name)
    wanted = _suggested_limit(limit, previous)
    asked = _asked_limit(view, run)
    changed = limit is not None and asked is not None and asked[1] != limit
    if changed and asked is not None:
        path = f"spec.template.spec.containers[{run.name}].resources.limits.memory"
        evidence.append(quotes.field(asked[0], path, render_bytes(asked[1]) if asked[1] else "none"))
    of = f"its {limit_text} memory limit" if limit_text else "the memory that its node has"
    times = f" {run.restarts} times" if run.restarts > 1 else ""
    steps = [
        quotes.look("See what it uses", quotes.kubectl(workload.namespace, f"top pod {pod_ref.name} --containers"))
    ]
    if changed:
        steps += _given_by_somebody_else(view, workload, run)
    elif limit:
        was = f" (it was {render_bytes(previous)} before the last change)" if previous and previous > limit else ""
        steps.append(
            quotes.change(
                f"Raise the limit of {run.name} from {limit_text} to {wanted}{was}",
                quotes.kubectl(
                    workload.namespace,
                    f"set resources {workload.short} -c {run.name} --limits=memory={wanted}",
                ),
            )
        )
        if previous and previous > limit and workload.kind == "Deployment":
            steps.append(
                quotes.change(
                    "Or undo the rollout that lowered it",
                    quotes.kubectl(workload.namespace, f"rollout undo {workload.short}"),
                )
            )
    return suspect(
        "oom_killed",
        workload,
        title=f"{workload.name} is OOMKilled",
        explanation=f"Container {run.name} of {pod_ref.name} needs more than {of}; "
        f"the kernel killed it{times}, exit code {ended.get('exitCode', 137)}."
        + (f" That limit is not of {workload.short}: it was set when the pod was made." if changed else ""),
        evidence=evidence,
        remediation=steps,
        severity=Severity.CRITICAL if not run.ready else Severity.HIGH,
        confidence=0.97,
        runbook_query="OOMKilled exit code 137 memory limit too low",
    )


def _suggested_limit(limit: float | None, previous: float | None) -> str:
    if previous and limit and previous > limit:
        return render_bytes(previous)
    return render_bytes((limit or 0) * 2) if limit else "<amount>"


def _asked_limit(view: ClusterView, run: ContainerRun) -> tuple[ObjectRef, float | None] | None:
    """The memory limit in the template that this pod was made from; None when that was not read. A Deployment's own
    template may be of a later revision."""
    owner = owner_of(run.pod)
    found = view.snapshot.get("replicasets", namespace_of(run.pod), owner[1]) if owner else None
    if owner is None or owner[0] != "ReplicaSet" or found is None:
        return None
    for entry in containers_of(found):
        if entry.get("name") == run.name:
            limit = ((entry.get("resources") or {}).get("limits") or {}).get("memory")
            return ref_of("ReplicaSet", found), parse_quantity(limit)
    return None


def _given_by_somebody_else(view: ClusterView, workload: ObjectRef, run: ContainerRun) -> list[Remediation]:
    """A limit that a LimitRange, a vertical autoscaler or a mutating webhook gave the pod: what the template says
    changes nothing, or wins over a default."""
    ranges = view.snapshot.in_namespace("limitranges", workload.namespace)
    return [
        quotes.look(
            "See who set it: a LimitRange, a VerticalPodAutoscaler or a mutating webhook",
            quotes.kubectl(workload.namespace, "get limitranges,mutatingwebhookconfigurations -o yaml"),
        ),
        quotes.change(
            f"Set a limit of its own for {run.name}; when a webhook overwrites it, correct the webhook"
            if ranges
            else f"Correct what overwrites the limit of {run.name}; the workload's own setting does not count",
            quotes.kubectl(
                workload.namespace, f"set resources {workload.short} -c {run.name} --limits=memory=<amount>"
            ),
        ),
    ]


def _previous_limit(view: ClusterView, workload: ObjectRef, container: str) -> float | None:
    """The memory limit of the ReplicaSet revision before the current one."""
    deployment = view.find(workload) if workload.kind == "Deployment" else None
    sets = view.replica_sets_of(deployment) if deployment is not None else []
    if len(sets) < 2:
        return None
    for entry in containers_of(sets[-2]):
        if entry.get("name") == container:
            return parse_quantity(((entry.get("resources") or {}).get("limits") or {}).get("memory"))
    return None


def _crash(view: ClusterView, run: ContainerRun, ended: Mapping[str, Any]) -> Suspect:
    workload, pod_ref = view.workload_of(run.pod), ref_of("Pod", run.pod)
    hits = last_hits(view, run)
    evidence = [crash_evidence(pod_ref, run, ended)]
    evidence += [_line(pod_ref, run, hit) for hit in hits[:2] if hit is hits[0] or not _is_heading(hit)]
    evidence += [quotes.event(note) for note in view.events_of(pod_ref, "BackOff")[-1:]]
    blames = tuple(
        peer for hit in hits if hit.symptom in _OF_A_PEER for peer in find_peers(view, run.pod, run.spec, hit)
    )
    why = f": {quotes.shorten(hits[0].line, 160)}" if hits else ""
    said = f": {quotes.shorten(hits[0].line, 80)}" if hits else ""
    code = int(ended.get("exitCode") or 0)
    return suspect(
        "crash_loop",
        workload,
        title=f"{workload.name} crashes with exit code {code}{_signal(code)}{said}",
        explanation=f"Container {run.name} of {pod_ref.name} ended with exit code {code} and was restarted "
        f"{run.restarts} times{why}.",
        evidence=evidence,
        remediation=[
            quotes.look(
                "Read the end of its last run",
                quotes.kubectl(workload.namespace, f"logs {pod_ref.name} -c {run.name} --previous --tail=50"),
            ),
            _way_out(view, workload),
        ],
        severity=Severity.CRITICAL if not run.ready else Severity.MEDIUM,
        confidence=0.85 if hits else 0.7,
        depth=Depth.EFFECT,
        blames=blames,
        runbook_query=f"CrashLoopBackOff {hits[0].line[:160] if hits else ''}",
    )


def _is_heading(hit: LogHit) -> bool:
    """What stands above a stack trace says nothing beside the error itself."""
    return hit.line.strip().lower().startswith(("traceback (most recent call last)", "stack trace"))


def _way_out(view: ClusterView, workload: ObjectRef) -> Remediation:
    """There is nothing to go back to before the second revision."""
    item = view.find(workload) if workload.kind == "Deployment" else None
    if item is not None and len(view.replica_sets_of(item)) > 1:
        return quotes.change(
            "Correct what the fatal line names, or undo the last rollout",
            quotes.kubectl(workload.namespace, f"rollout undo {workload.short}"),
        )
    return quotes.change(
        "Correct what the fatal line names: the image, its command or its settings",
        quotes.kubectl(workload.namespace, f"edit {workload.short}"),
    )


def _line(pod: ObjectRef, run: ContainerRun, hit: LogHit) -> Evidence:
    return quotes.log_line(pod, run.name, hit.line, previous=run.restarts > 0, time=hit.time)


def _signal(code: int) -> str:
    """137 is 128 + signal 9: POSIX shells' way to say it."""
    names = {134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}
    return f" ({names[code]})" if code in names else ""


def _clean_exit(view: ClusterView, run: ContainerRun, ended: Mapping[str, Any]) -> Suspect:
    workload, pod_ref = view.workload_of(run.pod), ref_of("Pod", run.pod)
    command = [*(run.spec.get("command") or ()), *(run.spec.get("args") or ())]
    evidence = [crash_evidence(pod_ref, run, ended)]
    if command:
        evidence.append(quotes.field(pod_ref, f"spec.containers[{run.name}].command", command))
    return suspect(
        "container_exits_cleanly",
        workload,
        title=f"{workload.name} ends with success and is restarted again and again",
        explanation=f"The command of container {run.name} finishes with exit code 0 "
        f"({run.restarts} restarts); a {workload.kind} needs one that keeps running.",
        evidence=evidence,
        remediation=[
            quotes.look("See what it did", quotes.kubectl(workload.namespace, f"logs {pod_ref.name} --previous")),
            quotes.change(
                "Set a command that keeps running, or make it a Job",
                quotes.kubectl(workload.namespace, f"edit {workload.short}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.92,
    )


def _port_conflict(view: ClusterView, run: ContainerRun, hit: LogHit) -> Suspect:
    workload, pod_ref = view.workload_of(run.pod), ref_of("Pod", run.pod)
    # A native sidecar is an init container; the other ones have ended.
    together = [c for c in init_containers_of(run.pod) if c.get("restartPolicy") == "Always"]
    names = [str(c.get("name")) for c in (*containers_of(run.pod), *together)]
    others = [name for name in names if name != run.name]
    proxies = [name for name in names if name in _MESH_PROXIES]
    holders = list(_declared_elsewhere(run.pod, run.name, run.spec))
    suspect_of = [name for name in proxies if name != run.name] or [name for name, _ in holders] or others
    beside = f" beside {quotes.list_names(suspect_of)}" if suspect_of else ""
    evidence = [_line(pod_ref, run, hit)]
    evidence += [quotes.field(pod_ref, f"spec.containers[{name}].ports", str(port)) for name, port in holders[:2]]
    return suspect(
        "sidecar_port_conflict" if proxies and others else "port_conflict",
        workload,
        title=f"{workload.name} cannot start: its port is already in use inside the pod",
        explanation=f"Container {run.name} of {pod_ref.name} cannot listen{beside}: {quotes.shorten(hit.line, 160)}",
        evidence=evidence,
        remediation=[
            quotes.look(
                "See the ports of all containers of the pod",
                quotes.kubectl(workload.namespace, f"describe pod {pod_ref.name}"),
            ),
            quotes.change(
                "Give one of them another port (and change the Service's targetPort with it)",
                quotes.kubectl(workload.namespace, f"edit {workload.short}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.94,
    )


_MESH_PROXIES = ("istio-proxy", "linkerd-proxy", "envoy", "consul-dataplane", "kuma-sidecar")


def _declared_elsewhere(pod: Object, container: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    wanted = {port.get("containerPort") for port in spec.get("ports") or ()}
    for other in containers_of(pod):
        for port in other.get("ports") or ():
            if other.get("name") != container and port.get("containerPort") in wanted:
                yield str(other.get("name")), port.get("containerPort")


@rule(*_READS)
def find_volume_permission_faults(view: ClusterView) -> Iterable[Suspect]:
    """A program that ends because it may not read or write below one of its mounts."""
    for run in find_runs(view):
        mounts = [str(mount.get("mountPath")) for mount in run.spec.get("volumeMounts") or ()]
        mounts = [path for path in mounts if not path.startswith("/var/run/secrets/")]
        if not mounts or run.ready or not is_in_trouble(run, view.now):
            continue
        hit = next((hit for hit in last_hits(view, run) if hit.symptom is Symptom.PERMISSION), None)
        if hit is not None and (find_mount(hit.line, mounts) or not _PATH.search(hit.line)):
            yield _volume_permission(view, run, hit, mounts)


# An absolute path in a line; neither a URL nor the middle of a relative one.
_PATH = re.compile(r"(?<![\w.:/-])/[\w.@%+-]+(?:/[\w.@%+-]+)*")


def find_mount(line: str, mounts: Iterable[str]) -> str | None:
    """The mount that a path of this line is below; the deepest such."""
    paths = _PATH.findall(line)
    holding = [mount for mount in mounts for path in paths if f"{path}/".startswith(f"{mount.rstrip('/')}/")]
    return max(holding, key=len, default=None)


def _volume_permission(view: ClusterView, run: ContainerRun, hit: LogHit, mounts: list[str]) -> Suspect:
    workload, pod_ref = view.workload_of(run.pod), ref_of("Pod", run.pod)
    found = find_mount(hit.line, mounts)
    below = found or mounts[0]
    security = {
        "pod": pod_spec_of(run.pod).get("securityContext") or {},
        "container": run.spec.get("securityContext") or {},
    }
    return suspect(
        "volume_permission_denied",
        workload,
        title=f"{workload.name} ends because it may not use its volume at {below}",
        explanation=f"Container {run.name} of {pod_ref.name}: {quotes.shorten(hit.line, 200)}",
        evidence=[
            _line(pod_ref, run, hit),
            quotes.field(pod_ref, f"spec.containers[{run.name}].volumeMounts", ", ".join(mounts)),
            quotes.field(pod_ref, "spec.securityContext", security),
        ],
        remediation=[
            quotes.look(
                "See owner and mode of the mount",
                quotes.kubectl(workload.namespace, f"exec {pod_ref.name} -c {run.name} -- ls -ldn {below}"),
            ),
            quotes.change(
                "Set securityContext.fsGroup (or runAsUser) to the group that owns the volume's files",
                quotes.kubectl(workload.namespace, f"edit {workload.short}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.92 if found else 0.86,
    )


@rule(*_READS)
def find_sandbox_failures(view: ClusterView) -> Iterable[Suspect]:
    """Pods whose sandbox cannot be created: too little memory even to start, or no pod network."""
    for pod in view.live_pods:
        if any(run.state.get("running") or run.ready for run in runs_of(pod)):
            continue
        notes = view.events_of(ref_of("Pod", pod), "FailedCreatePodSandBox")
        if notes and not has_come_further(view, pod, notes[-1]):
            yield _sandbox(view, pod, notes[-1])


def has_come_further(view: ClusterView, pod: Object, note: EventNote, *signs: str) -> bool:
    """Whether the pod's start has come further since: images are pulled when volumes and sandbox are there.
    ``signs``: other reasons of events that say so."""
    later = view.events_of(ref_of("Pod", pod), "Pulling", "Pulled", "Created", "Started", *signs)
    return any(sign.last is not None and note.last is not None and sign.last > note.last for sign in later)


def _sandbox(view: ClusterView, pod: Object, note: EventNote) -> Suspect:
    workload, pod_ref = view.workload_of(pod), ref_of("Pod", pod)
    node = ObjectRef(kind="Node", name=str(pod_spec_of(pod).get("nodeName")))
    evidence = [quotes.event(note)]
    if "OOM-killed" in note.message or "memory limit too low" in note.message:
        limits = {
            str(entry.get("name")): ((entry.get("resources") or {}).get("limits") or {}).get("memory")
            for entry in containers_of(pod)
        }
        evidence.append(quotes.field(pod_ref, "spec.containers[*].resources.limits.memory", limits))
        name = min(limits, key=lambda key: parse_quantity(limits[key]) or float("inf"))
        return suspect(
            "oom_killed",
            workload,
            title=f"{workload.name} is OOMKilled before it starts",
            explanation=f"The memory limit of {pod_ref.name} ({limits[name]}) is too low even to start it.",
            evidence=evidence,
            remediation=[
                quotes.change(
                    f"Raise the limit of {name} from {limits[name]} to what the program needs",
                    quotes.kubectl(
                        workload.namespace,
                        f"set resources {workload.short} -c {name} --limits=memory=<amount>",
                    ),
                )
            ],
            severity=Severity.CRITICAL,
            confidence=0.96,
        )
    return suspect(
        "pod_sandbox_failed",
        workload,
        title=f"{workload.name} cannot start: the node cannot create its pod sandbox",
        explanation=f"{pod_ref.name} on {node.name}: {quotes.shorten(note.message, 200)}",
        evidence=evidence,
        remediation=[quotes.look("See the node's network plugin and runtime", f"kubectl describe node {node.name}")],
        severity=Severity.CRITICAL,
        confidence=0.8,
        depth=Depth.EFFECT,
        blames=(node,),
    )


RULES = (
    find_oom_kills,
    find_crashes,
    find_port_conflicts,
    find_volume_permission_faults,
    find_sandbox_failures,
)
