"""Probes that fail although the program is well: wrong port, wrong protocol, too little time.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import (
    ContainerRun,
    crash_evidence,
    find_runs,
    last_hits,
    lived_until_verdict,
    time_to_verdict,
)
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView, EventNote
from kubetriage.state.objects import containers_of, ref_of, spec_of

# A server that speaks HTTP/2 (gRPC) to an HTTP/1 probe, TLS to plain, or the other way.
_WRONG_PROTOCOL = re.compile(
    r"malformed HTTP|HTTP/1\.x transport connection broken|server gave HTTP response to HTTPS|"
    r"first record does not look like a TLS|Client sent an HTTP request to an HTTPS|frame too large|"
    r"error reading server preface|http2:|Unimplemented|unknown service grpc\.health|bad protocol|"
    r"connection reset by peer.*(?:HTTP|preface)",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"connection refused|failed to connect service|connect: no route", re.IGNORECASE)
_TIMED_OUT = re.compile(r"deadline exceeded|timed? ?out|timeout", re.IGNORECASE)
_KINDS = ("Liveness", "Readiness", "Startup")
_FIELDS = {"Liveness": "livenessProbe", "Readiness": "readinessProbe", "Startup": "startupProbe"}
# A liveness probe that gives up within this time of the start leaves ordinary runtimes (JVM,
# interpreters that import much) no chance. Seconds.
SHORT_START = 30
# A failing probe is asked again every periodSeconds, 10 by default; a kubelet merges events for
# up to ten minutes. What failed before that is over.
RECENT = timedelta(minutes=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    kind: str
    probe: Mapping[str, Any]
    note: EventNote
    run: ContainerRun


@rule("pods", "events", "services", "deployments", "replicasets", "statefulsets", "daemonsets")
def find_probe_faults(view: ClusterView) -> Iterable[Suspect]:
    """Containers that are not ready, or are killed, for a probe that fails now."""
    for run in find_runs(view):
        if run.is_init:
            continue
        for kind in _KINDS:
            failure = _failure(view, run, kind)
            if failure is not None and _matters(view, failure):
                yield _classified(view, failure)


def _failure(view: ClusterView, run: ContainerRun, kind: str) -> _Failure | None:
    probe = run.spec.get(_FIELDS[kind])
    if not probe:
        return None
    notes = [
        note
        for note in view.events_of(ref_of("Pod", run.pod), "Unhealthy")
        if note.message.startswith(kind)
        and (not note.field_path or f"{{{run.name}}}" in note.field_path)
        and _is_about_this_probe(note, probe, run)
    ]
    recent = [note for note in notes if note.last is None or view.now - note.last <= RECENT]
    return _Failure(kind=kind, probe=probe, note=recent[-1], run=run) if recent else None


def _is_about_this_probe(note: EventNote, probe: Mapping[str, Any], run: ContainerRun) -> bool:
    """Without a field path, a pod's containers are told apart by the port in the message."""
    port = _port(probe, run.spec)
    told = re.search(r":(\d{2,5})\b", note.message)
    if note.field_path or port is None or told is None or len(containers_of(run.pod)) == 1:
        return True
    return int(told[1]) == port


def _matters(view: ClusterView, failure: _Failure) -> bool:
    """A readiness failure of a pod that is ready by now was its start. A liveness or startup
    failure matters when it killed the container and that is not long over."""
    run = failure.run
    if failure.kind == "Readiness":
        return not run.ready and run.state.get("running") is not None and not _just_started(view, failure)
    killed = run.restarts >= 1 and (run.last_end is not None or run.waiting_reason == "CrashLoopBackOff")
    if not killed:
        return failure.note.count >= 3 and not run.ready and not _just_started(view, failure)
    # A program that ends by itself before it refuses connections too, for a moment.
    if not lived_until_verdict(run, failure.probe):
        return False
    ended = run.ended_at
    if run.ready and run.restarts == 1 and failure.note.count <= int(failure.probe.get("failureThreshold") or 3):
        since = view.ago(run.started_at)
        return since is not None and since < timedelta(minutes=2)
    return ended is None or view.now - ended <= RECENT


def _just_started(view: ClusterView, failure: _Failure) -> bool:
    """Within the time that the probe itself allows for a start."""
    since = view.ago(failure.run.started_at)
    return since is not None and since < time_to_verdict(failure.probe)


def _classified(view: ClusterView, failure: _Failure) -> Suspect:
    kind, message = failure.kind.lower(), failure.note.message
    if _WRONG_PROTOCOL.search(message):
        return _suspect(view, failure, f"{kind}_probe_wrong_protocol" if kind != "startup" else "startup_probe_failing",
                        "speaks another protocol than the server", 0.95)  # fmt: skip
    port = _port(failure.probe, failure.run.spec)
    if (_REFUSED.search(message) or _TIMED_OUT.search(message)) and _is_foreign_port(view, failure.run, port):
        cause = f"{kind}_probe_wrong_port" if kind != "startup" else "startup_probe_failing"
        return _suspect(view, failure, cause, f"asks port {port}, where nothing listens", 0.95)
    other = _differs_in_type(failure)
    if other is not None and failure.run.ready:
        cause = f"{kind}_probe_wrong_protocol" if kind != "startup" else "startup_probe_failing"
        return _suspect(view, failure, cause, f"is a {other[0]} check, while a {other[1]} check passes", 0.85)
    if kind == "liveness" and _is_too_aggressive(view, failure):
        given = _given_time(failure.probe)
        return _suspect(view, failure, "liveness_probe_too_aggressive", f"gives up after {given}", 0.9)
    if kind == "startup":
        return _suspect(view, failure, "startup_probe_failing", f"fails for {_given_time(failure.probe)}", 0.85)
    # A program that answers and says no waits for something else: any fault of what it needs explains it.
    depth = Depth.SYMPTOM if kind == "readiness" and _answers(failure) else Depth.EFFECT
    return _suspect(view, failure, f"{kind}_probe_failing", "fails", 0.75, depth=depth)


def _answers(failure: _Failure) -> bool:
    """Whether the check was made and its answer was no; a command answers by its exit code."""
    message = failure.note.message
    unheard = _REFUSED.search(message) or _TIMED_OUT.search(message) or "probe errored" in message
    by_command = "exec" in failure.probe and not unheard
    return "statuscode" in message or "NOT_SERVING" in message or by_command


def _is_foreign_port(view: ClusterView, run: ContainerRun, port: int | None) -> bool:
    """Whether the probe's port is none that the pod declares or that a Service sends to."""
    if port is None:
        return True  # a named port that no container has
    declared = {int(entry["containerPort"]) for c in containers_of(run.pod) for entry in c.get("ports") or ()}
    if port in declared:
        return False
    targets = {
        entry.get("targetPort", entry.get("port"))
        for service in view.snapshot.in_namespace("services", run.pod["metadata"].get("namespace"))
        if run.pod in view.pods_behind(service)
        for entry in spec_of(service).get("ports") or ()
    }
    others = {_port(run.spec[name], run.spec) for name in _FIELDS.values() if run.spec.get(name)} - {port}
    return bool(declared or targets or others) and port not in targets


def _port(probe: Mapping[str, Any], container: Mapping[str, Any]) -> int | None:
    for kind in ("httpGet", "tcpSocket", "grpc"):
        port = (probe.get(kind) or {}).get("port")
        if port is None:
            continue
        if isinstance(port, int) or str(port).isdigit():
            return int(port)
        named = [entry for entry in container.get("ports") or () if entry.get("name") == port]
        return int(named[0]["containerPort"]) if named else None
    command = " ".join(map(str, (probe.get("exec") or {}).get("command") or ()))
    match = re.search(r":(\d{2,5})\b", command)
    return int(match[1]) if match else 0  # 0: a command that asks no port


def _type(probe: Mapping[str, Any]) -> str:
    for key, name in (("httpGet", "HTTP"), ("tcpSocket", "TCP"), ("grpc", "gRPC"), ("exec", "command")):
        if key in probe:
            return name
    return "?"


def _differs_in_type(failure: _Failure) -> tuple[str, str] | None:
    """(type of the failing probe, type of the other): one of two probes of another type than its
    twin on the same port, while the twin passes."""
    twin = failure.run.spec.get("readinessProbe" if failure.kind == "Liveness" else "livenessProbe")
    if not twin:
        return None
    mine, other = _type(failure.probe), _type(twin)
    same_port = _port(twin, failure.run.spec) == _port(failure.probe, failure.run.spec)
    return (mine, other) if mine != other and same_port and {mine, other} <= {"HTTP", "gRPC"} else None


def _is_too_aggressive(view: ClusterView, failure: _Failure) -> bool:
    """The right port and protocol, but killed before it could start or answer: the time allowed is
    short and the program's own log names no fault."""
    probe, run = failure.probe, failure.run
    if run.spec.get("startupProbe"):
        return False
    if "statuscode" in failure.note.message:
        return False  # it answers, and says no
    own_faults = [hit for hit in last_hits(view, run) if hit.weight >= 75]
    allowed, short = time_to_verdict(probe), timedelta(seconds=SHORT_START)
    lived = run.lifetime
    slow = _TIMED_OUT.search(failure.note.message) and int(probe.get("timeoutSeconds") or 1) <= 1
    short_lived = lived is not None and lived <= allowed + short
    return not own_faults and (allowed <= short or bool(slow)) and (short_lived or allowed <= timedelta(seconds=10))


def _given_time(probe: Mapping[str, Any]) -> str:
    delay, period = int(probe.get("initialDelaySeconds") or 0), int(probe.get("periodSeconds") or 10)
    threshold, timeout = int(probe.get("failureThreshold") or 3), int(probe.get("timeoutSeconds") or 1)
    return f"{delay}s + {threshold} × {period}s (timeout {timeout}s)"


def _suspect(
    view: ClusterView,
    failure: _Failure,
    cause: str,
    what: str,
    confidence: float,
    *,
    depth: Depth = Depth.CAUSE,
) -> Suspect:
    run, kind = failure.run, failure.kind.lower()
    workload, pod_ref = view.workload_of(run.pod), ref_of("Pod", run.pod)
    evidence: list[Evidence] = [
        quotes.event(failure.note),
        quotes.field(pod_ref, f"spec.containers[{run.name}].{_FIELDS[failure.kind]}", dict(failure.probe)),
    ]
    if run.spec.get("ports"):
        ports = ", ".join(str(entry.get("containerPort")) for entry in run.spec["ports"])
        evidence.append(quotes.field(pod_ref, f"spec.containers[{run.name}].ports", ports))
    if run.last_end is not None and failure.kind != "Readiness":
        evidence.append(crash_evidence(pod_ref, run, run.last_end))
    result = "gets no traffic" if failure.kind == "Readiness" else "is restarted"
    return suspect(
        cause,
        workload,
        title=f"{workload.name} {result}: its {kind} probe {what}",
        explanation=f"The {kind} probe of container {run.name} in {pod_ref.name} {what}: "
        f"{quotes.shorten(failure.note.message, 200)}",
        evidence=evidence,
        remediation=_steps(failure, cause, workload, pod_ref),
        severity=Severity.HIGH if run.ready else Severity.CRITICAL,
        confidence=confidence,
        depth=depth,
        runbook_query=f"{failure.kind} probe failed {quotes.shorten(failure.note.message, 120)}",
    )


def _steps(failure: _Failure, cause: str, workload: ObjectRef, pod: ObjectRef) -> list[Any]:
    ports = [str(entry.get("containerPort")) for entry in failure.run.spec.get("ports") or ()]
    listens = f" (the container declares {', '.join(ports)})" if ports else ""
    fix = {
        "wrong_port": f"Set the probe to the port where the program listens{listens}",
        "wrong_protocol": "Use the probe type that the server answers (grpc, httpGet, tcpSocket; scheme HTTPS)",
        "too_aggressive": "Add a startupProbe, or raise initialDelaySeconds, timeoutSeconds and failureThreshold",
    }
    text = next((step for key, step in fix.items() if cause.endswith(key)), "Correct the probe or what it checks")
    return [
        quotes.look("See the failures", quotes.kubectl(workload.namespace, f"describe pod {pod.name}")),
        quotes.change(text, quotes.kubectl(workload.namespace, f"edit {workload.short}")),
    ]


RULES = (find_probe_faults,)
