"""Programs built for another CPU than the node's.

https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-arch
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import ContainerRun, find_runs, is_in_trouble, last_hits
from kubetriage.diagnosis.logs import Symptom
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import pod_spec_of, ref_of, status_of

_EXEC_FORMAT = re.compile(r"exec format error", re.IGNORECASE)
# containerd's and docker's words for an image index without this platform.
NO_PLATFORM = re.compile(r"no match(?:ing manifest)? for (?:platform|linux/)", re.IGNORECASE)


@rule("pods", "nodes", "events", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs")
def find_wrong_architectures(view: ClusterView) -> Iterable[Suspect]:
    """The kernel refuses the program, or the registry has no image for the node's platform."""
    for run in find_runs(view):
        if run.ready or not (run.waiting_reason or is_in_trouble(run, view.now)):
            continue
        evidence = list(_refusals(view, run))
        if evidence:
            yield _wrong(view, run, [*evidence[:2], *_platform(view, run)])


def _refusals(view: ClusterView, run: ContainerRun) -> Iterator[Evidence]:
    pod_ref = ref_of("Pod", run.pod)
    for field, said in (
        ("lastState.terminated", (run.last_end or {}).get("message")),
        ("state.waiting", (run.state.get("waiting") or {}).get("message")),
    ):
        if said and (_EXEC_FORMAT.search(str(said)) or NO_PLATFORM.search(str(said))):
            yield quotes.field(pod_ref, f"status.containerStatuses[{run.name}].{field}.message", str(said))
    for hit in last_hits(view, run):
        if hit.symptom is Symptom.EXEC_FORMAT:
            yield quotes.log_line(pod_ref, run.name, hit.line, previous=run.restarts > 0, time=hit.time)
    for note in view.events_of(pod_ref, "Failed"):
        if NO_PLATFORM.search(note.message) and (not note.field_path or f"{{{run.name}}}" in note.field_path):
            yield quotes.event(note)


def _platform(view: ClusterView, run: ContainerRun) -> Iterator[Evidence]:
    name = str(pod_spec_of(run.pod).get("nodeName") or "")
    node = view.snapshot.get("nodes", None, name)
    architecture = (status_of(node).get("nodeInfo") or {}).get("architecture") if node is not None else None
    if architecture:
        yield quotes.field(ObjectRef(kind="Node", name=name), "status.nodeInfo.architecture", str(architecture))


def _wrong(view: ClusterView, run: ContainerRun, evidence: list[Evidence]) -> Suspect:
    workload = view.workload_of(run.pod)
    image = str(run.spec.get("image") or "")
    return suspect(
        "image_arch_mismatch",
        workload,
        title=f"{workload.name} cannot run: {image} is not built for its node's CPU",
        explanation=f"The node refuses the program of container {run.name}: {quotes.shorten(evidence[0].quote, 160)}. "
        "It is made for another CPU architecture (or is a script without its #! line).",
        evidence=evidence,
        remediation=[
            quotes.look("See the architectures of the nodes", "kubectl get nodes -L kubernetes.io/arch"),
            quotes.look("See which platforms the image has", f"docker buildx imagetools inspect {image}"),
            quotes.change(
                "Build the image for the node's platform, or let the pods run only where it fits",
                quotes.kubectl(
                    workload.namespace,
                    f"patch {workload.short} -p "
                    '\'{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/arch":"<amd64|arm64>"}}}}}\'',
                ),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.95,
        runbook_query="exec format error image architecture arm64 amd64",
    )


RULES = (find_wrong_architectures,)
