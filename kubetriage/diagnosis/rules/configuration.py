"""ConfigMaps, Secrets, keys and commands that a container needs and does not find.

https://kubernetes.io/docs/concepts/configuration/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Remediation, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import crash_evidence, find_runs, is_in_trouble, last_hits
from kubetriage.diagnosis.logs import Symptom
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import (
    container_statuses,
    created_at,
    init_container_statuses,
    is_ready,
    phase_of,
    ref_of,
)
from kubetriage.state.snapshot import Object

_MISSING = re.compile(r"(?P<kind>secret|configmap)s? \"?(?P<name>[^\"\s]+)\"? not found", re.IGNORECASE)
_MISSING_KEY = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?:\S+/)?(?P<name>[^\s/]+)", re.IGNORECASE
)
_MISSING_KEY_IN_VOLUME = re.compile(r"references non-existent (?:secret|config) key: (?P<key>\S+)", re.IGNORECASE)
_ROOT = re.compile(r"runAsNonRoot|run as root|non-numeric user", re.IGNORECASE)
# Of the program itself: runc's 'exec: "serve": ...', crun's "executable file". A mount, a device or a working
# directory that is not there is worded alike, and no fault of the command.
_COMMAND = re.compile(
    r"\bexec(?:utable)?\b.*(?:not found|no such file or directory|permission denied|is a directory)",
    re.IGNORECASE,
)
# How a POSIX shell ends when it finds no such command, or may not run it.
_OF_A_SHELL = {127: (Symptom.COMMAND_MISSING,), 126: (Symptom.COMMAND_MISSING, Symptom.PERMISSION)}
_EXEC_FORMAT = re.compile(r"exec format error", re.IGNORECASE)
_OOM = re.compile(r"OOM-killed|memory limit too low", re.IGNORECASE)
_NOT_MADE = ("ContainerCreating", "PodInitializing")
_WAITING = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


@rule(
    "pods",
    "events",
    "deployments",
    "replicasets",
    "statefulsets",
    "daemonsets",
    "jobs",
    "cronjobs",
    "configmaps",
)
def find_configuration_faults(view: ClusterView) -> Iterable[Suspect]:
    """Containers that the kubelet cannot create, and volumes that it cannot fill."""
    for pod in view.live_pods:
        for status in (*init_container_statuses(pod), *container_statuses(pod)):
            found = _said_about(view, pod, status)
            if found is not None:
                yield from _classified(view, pod, str(status.get("name")), *found)
        if phase_of(pod) == "Pending" and not is_ready(pod) and waits_for_volumes(pod):
            yield from _unmounted(view, pod)


@rule("pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs")
def find_missing_commands(view: ClusterView) -> Iterable[Suspect]:
    """Commands that a shell does not find: it says so in the log and by its exit code."""
    for run in find_runs(view):
        ended = run.last_end or {}
        symptoms = _OF_A_SHELL.get(int(ended.get("exitCode") or 0), ())
        if not symptoms or run.ready or not is_in_trouble(run, view.now):
            continue
        hit = next((hit for hit in last_hits(view, run) if hit.symptom in symptoms), None)
        if hit is not None:
            pod_ref = ref_of("Pod", run.pod)
            line = quotes.log_line(pod_ref, run.name, hit.line, previous=run.restarts > 0, time=hit.time)
            evidence = [line, crash_evidence(pod_ref, run, ended)]
            yield _start_fault(
                run.pod, view.workload_of(run.pod), run.name, "command_not_found", evidence, _COMMAND_FIX
            )


def waits_for_volumes(pod: Object) -> bool:
    """Whether the kubelet may still be mounting: it mounts all volumes before it makes the first container."""
    states = [status.get("state") or {} for status in (*init_container_statuses(pod), *container_statuses(pod))]
    return all(not state or (state.get("waiting") or {}).get("reason") in _NOT_MADE for state in states)


def _said_about(view: ClusterView, pod: Object, status: Mapping[str, Any]) -> tuple[str, list[Evidence]] | None:
    """The kubelet's message for a container that cannot be created or started."""
    pod_ref, name = ref_of("Pod", pod), str(status.get("name"))
    waiting = (status.get("state") or {}).get("waiting") or {}
    ended = (status.get("lastState") or {}).get("terminated") or (status.get("state") or {}).get("terminated") or {}
    path = f"status.containerStatuses[{name}]"
    if waiting.get("reason") in _WAITING:
        text = str(waiting.get("message") or "")
        evidence = [quotes.field(pod_ref, f"{path}.state.waiting", f"{waiting['reason']}: {text}")]
    elif ended.get("reason") in ("StartError", "ContainerCannotRun") and not status.get("ready"):
        text = str(ended.get("message") or "")
        evidence = [quotes.field(pod_ref, f"{path}.lastState.terminated", f"{ended['reason']}: {text}")]
    else:
        return None
    notes = [
        note
        for note in view.events_of(pod_ref, "Failed", "FailedCreate")
        if (not note.field_path or f"{{{name}}}" in note.field_path) and "pull" not in note.message.lower()
    ]
    if notes:
        evidence.append(quotes.event(notes[-1]))
        text = f"{text} {notes[-1].message}"
    return text, evidence


def _unmounted(view: ClusterView, pod: Object) -> Iterator[Suspect]:
    """FailedMount names a ConfigMap or Secret that is not there."""
    notes = view.events_of(ref_of("Pod", pod), "FailedMount")
    for note in reversed(notes):
        if _MISSING.search(note.message) or _MISSING_KEY_IN_VOLUME.search(note.message):
            yield from _classified(view, pod, "", note.message, [quotes.event(note)])
            return


def _classified(
    view: ClusterView, pod: Object, container: str, text: str, evidence: list[Evidence]
) -> Iterator[Suspect]:
    workload = view.workload_of(pod)
    if _OOM.search(text) or _EXEC_FORMAT.search(text):
        return  # rules.runtime: the limit is too low even to start; rules.architectures
    key, missing = _MISSING_KEY.search(text), _MISSING.search(text)
    volume_key = _MISSING_KEY_IN_VOLUME.search(text)
    if key:
        yield _missing_key(pod, workload, key["kind"], key["name"], key["key"], evidence)
    elif missing:
        yield _missing_object(view, pod, workload, missing["kind"], missing["name"], evidence)
    elif volume_key:
        kind = "Secret" if "secret key" in text else "ConfigMap"
        yield _missing_key(pod, workload, kind, "", volume_key["key"], evidence)
    elif _ROOT.search(text):
        yield _start_fault(pod, workload, container, "run_as_non_root_violation", evidence, _AS_USER)
    elif _COMMAND.search(text):
        yield _start_fault(pod, workload, container, "command_not_found", evidence, _COMMAND_FIX)
    else:
        yield _start_fault(pod, workload, container, "container_start_error", evidence, "Correct what it names")


_AS_USER = "Set securityContext.runAsUser to a user of the image, or build the image with a numeric USER"
_COMMAND_FIX = "Correct command and args in the pod template, or use an image that has the program"


def _missing_object(
    view: ClusterView, pod: Object, workload: ObjectRef, kind: str, name: str, evidence: list[Evidence]
) -> Suspect:
    is_secret = kind.lower() == "secret"
    display = "Secret" if is_secret else "ConfigMap"
    command = "create secret generic" if is_secret else "create configmap"
    similar = _similar(view, workload.namespace, name) if not is_secret else ""
    hint = f" There is a {display} {similar!r}; the reference may be a slip." if similar else ""
    return suspect(
        "secret_missing" if is_secret else "config_map_missing",
        workload,
        title=f"{workload.short} cannot start: {display} {name} does not exist",
        explanation=f"Its pods refer to {display} {name}, which is not in {workload.namespace}.{hint}",
        evidence=evidence,
        remediation=[
            quotes.look("See what exists", quotes.kubectl(workload.namespace, f"get {display.lower()}s")),
            quotes.change(
                f"Create {display} {name}, or correct the reference in {workload.short}",
                quotes.kubectl(workload.namespace, f"{command} {name} --from-literal=<key>=<value>"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.96,
        first_seen=created_at(pod),
    )


def _missing_key(pod: Object, workload: ObjectRef, kind: str, name: str, key: str, evidence: list[Evidence]) -> Suspect:
    is_secret = kind.lower() == "secret"
    display = f"{'Secret' if is_secret else 'ConfigMap'} {name}".strip()
    return suspect(
        "secret_key_missing" if is_secret else "config_key_missing",
        workload,
        title=f"{workload.short} cannot start: {display} has no key {key}",
        explanation=f"Its pods take {key!r} from {display}; the object is there, the key is not.",
        evidence=evidence,
        remediation=[
            quotes.look(
                "See the keys that exist",
                quotes.kubectl(workload.namespace, f"describe {'secret' if is_secret else 'configmap'} {name}".strip()),
            ),
            quotes.change(
                f"Add key {key}, or correct the reference in {workload.short}",
                quotes.kubectl(workload.namespace, f"edit {workload.short}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.96,
        first_seen=created_at(pod),
    )


def _start_fault(
    pod: Object, workload: ObjectRef, container: str, cause: str, evidence: list[Evidence], fix: str
) -> Suspect:
    what = {
        "run_as_non_root_violation": "its image would run as root, which is forbidden",
        "command_not_found": "its command does not exist in the image or may not be executed",
        "container_start_error": "the runtime refuses to start its container",
    }[cause]
    steps: list[Remediation] = [
        quotes.look(
            "See the runtime's message",
            quotes.kubectl(workload.namespace, f"describe pod {pod['metadata']['name']}"),
        ),
        quotes.change(fix, quotes.kubectl(workload.namespace, f"edit {workload.short}")),
    ]
    return suspect(
        cause,
        workload,
        title=f"{workload.short} cannot start: {what}",
        explanation=f"Container {container or '(init)'} of {pod['metadata']['name']}: {what}.",
        evidence=evidence,
        remediation=steps,
        severity=Severity.CRITICAL,
        confidence=0.93 if cause != "container_start_error" else 0.8,
        first_seen=created_at(pod),
    )


def _similar(view: ClusterView, namespace: str | None, name: str) -> str:
    import difflib  # noqa: PLC0415 - only for the hint

    names = [item["metadata"]["name"] for item in view.snapshot.in_namespace("configmaps", namespace)]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    return close[0] if close else ""


RULES = (find_configuration_faults, find_missing_commands)
