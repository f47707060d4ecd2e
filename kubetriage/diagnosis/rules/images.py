"""Images that cannot be pulled, and why: the message tells tag, registry and credentials apart.

https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.rules.architectures import NO_PLATFORM
from kubetriage.diagnosis.rules.full_disks import NO_SPACE
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import (
    container_statuses,
    created_at,
    init_container_statuses,
    namespace_of,
    pod_spec_of,
    ref_of,
    spec_of_container,
)
from kubetriage.state.snapshot import Object

_WAITING = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
# The order matters: a registry that cannot be reached says nothing about the tag, and
# "pull access denied, repository does not exist or may require authorization" is a refusal first.
_UNREACHABLE = re.compile(
    r"no such host|i/o timeout|connection refused|no route to host|network is unreachable|"
    r"server misbehaving|temporary failure in name resolution|context deadline exceeded|TLS handshake|"
    r"x509|connection reset|EOF$|server gave HTTP response to HTTPS client|502 Bad Gateway|"
    r"503 Service Unavailable|toomanyrequests|429 Too Many",
    re.IGNORECASE,
)
_UNAUTHORIZED = re.compile(
    r"unauthorized|authentication required|authorization failed|401|403 Forbidden|access denied|denied:|"
    r"insufficient_scope|no basic auth credentials",
    re.IGNORECASE,
)
# A refusal of the token is about credentials; a refused manifest without any challenge is how
# mirrors and Docker Hub answer for a repository that does not exist.
_TOKEN_REFUSED = re.compile(r"authorize|token|unauthorized|401|no basic auth", re.IGNORECASE)
_NOT_FOUND = re.compile(r"not found|manifest unknown|name unknown|repository .* not known|404", re.IGNORECASE)
_PULL_FAILED = re.compile(r"pull|resolve reference|manifest", re.IGNORECASE)


@rule(
    "pods",
    "events",
    "deployments",
    "replicasets",
    "statefulsets",
    "daemonsets",
    "jobs",
    "cronjobs",
    "secrets",
)
def find_image_faults(view: ClusterView) -> Iterable[Suspect]:
    """One suspect per waiting container of a live pod."""
    for pod in view.live_pods:
        for status in (*container_statuses(pod), *init_container_statuses(pod)):
            reason = ((status.get("state") or {}).get("waiting") or {}).get("reason")
            found = _image_suspect(view, pod, status, reason) if reason in _WAITING else None
            if found is not None:
                yield found


def _image_suspect(view: ClusterView, pod: Object, status: Mapping[str, Any], reason: str) -> Suspect | None:
    container = str(status.get("name"))
    image = str(spec_of_container(pod, container).get("image") or status.get("image") or "")
    pod_ref, workload = ref_of("Pod", pod), view.workload_of(pod)
    message, evidence = _what_was_said(view, pod_ref, status, container, reason)
    if NO_PLATFORM.search(message) or NO_SPACE.search(message):
        return None  # rules.architectures; rules.full_disks
    missing = list(_missing_pull_secrets(view, pod, pod_ref))
    cause = _classify(
        reason,
        message,
        has_missing_secret=bool(missing),
        is_public=_is_on_docker_hub(image) and not pod_spec_of(pod).get("imagePullSecrets"),
    )
    if cause in ("image_pull_unauthorized", "image_pull_secret_missing"):
        evidence += missing
    explanation = {
        "image_reference_invalid": f"{image!r} is not a valid image reference.",
        "image_never_pull": f"imagePullPolicy is Never and the node has no {image}.",
        "image_registry_unreachable": f"The node cannot reach the registry of {image}.",
        "image_pull_unauthorized": f"The registry refuses to give {image} with the credentials of the pod.",
        "image_pull_secret_missing": f"The pull secret of {workload.short} does not exist; {image} needs it.",
        "image_not_found": f"The registry has no {image}.",
    }[cause]
    kind_name = workload.short
    return suspect(
        cause,
        workload,
        title=f"{kind_name} cannot start: {_SHORT[cause]} ({image})",
        explanation=f"{explanation} Container {container} of {pod_ref.name} waits with {reason}.",
        evidence=evidence,
        remediation=[
            quotes.look(
                "See what the kubelet was told",
                quotes.kubectl(namespace_of(pod), f"describe pod {pod_ref.name}"),
            ),
            quotes.change(_FIX[cause], _fix_command(cause, workload, container, image)),
        ],
        severity=Severity.CRITICAL,
        confidence=0.95 if message else 0.7,
        first_seen=created_at(pod),
        runbook_query=f"{reason} {_SHORT[cause]} {message[:160]}",
    )


_SHORT = {
    "image_reference_invalid": "its image reference is malformed",
    "image_never_pull": "its image is not on the node and must not be pulled",
    "image_registry_unreachable": "its image registry cannot be reached",
    "image_pull_unauthorized": "its image registry refuses the credentials",
    "image_pull_secret_missing": "its image pull secret does not exist",
    "image_not_found": "its image or tag does not exist",
}
_FIX = {
    "image_reference_invalid": "Correct the image reference",
    "image_never_pull": "Let the node pull it, or load the image into the node",
    "image_registry_unreachable": "Correct the registry's host name, or repair the nodes' way to it",
    "image_pull_unauthorized": "Give the pods a pull secret that the registry accepts",
    "image_pull_secret_missing": "Create the pull secret, or correct its name in imagePullSecrets",
    "image_not_found": "Set an image that exists, or push this one",
}


def _fix_command(cause: str, workload: ObjectRef, container: str, image: str) -> str:
    if cause in ("image_pull_unauthorized", "image_pull_secret_missing"):
        host = image.split("/", maxsplit=1)[0] if "/" in image else "<registry>"
        return quotes.kubectl(
            workload.namespace,
            f"create secret docker-registry <name> --docker-server={host} "
            "--docker-username=<user> --docker-password=<token>",
        )
    if workload.kind in ("Deployment", "StatefulSet", "DaemonSet"):
        return quotes.kubectl(
            workload.namespace, f"set image {workload.short} {container}=<registry>/<repository>:<tag>"
        )
    return quotes.kubectl(workload.namespace, f"edit {workload.short}")


def _is_on_docker_hub(image: str) -> bool:
    """No registry host: https://distribution.github.io/reference/ (a host has a dot, a colon or is
    localhost)."""
    first, slash, _ = image.partition("/")
    return not slash or not ("." in first or ":" in first or first == "localhost") or first == "docker.io"


def _classify(reason: str, message: str, *, has_missing_secret: bool, is_public: bool) -> str:
    if reason == "InvalidImageName":
        return "image_reference_invalid"
    if reason == "ErrImageNeverPull":
        return "image_never_pull"
    if _UNREACHABLE.search(message):
        return "image_registry_unreachable"
    if _UNAUTHORIZED.search(message):
        if is_public and not has_missing_secret and not _TOKEN_REFUSED.search(message):
            return "image_not_found"
        return "image_pull_secret_missing" if has_missing_secret else "image_pull_unauthorized"
    if _NOT_FOUND.search(message):
        return "image_not_found"
    return "image_pull_secret_missing" if has_missing_secret else "image_not_found"


def _what_was_said(
    view: ClusterView, pod: ObjectRef, status: Mapping[str, Any], container: str, reason: str
) -> tuple[str, list[Evidence]]:
    """The registry's answer: in the pull events; the waiting message is often only "Back-off"."""
    notes = [
        note
        for note in view.events_of(pod, "Failed", "InspectFailed", "ErrImageNeverPull")
        if _PULL_FAILED.search(note.message) and _is_about(note.field_path, container)
    ]
    telling = [note for note in notes if len(note.message) > len("Error: ImagePullBackOff") + 8]
    waiting = (status.get("state") or {}).get("waiting") or {}
    path = f"status.containerStatuses[{container}].state.waiting"
    said = str(waiting.get("message") or "")
    evidence = [quotes.field(pod, path, f"{reason}: {said}" if said else reason)]
    if telling:
        evidence.append(quotes.event(telling[-1]))
        return f"{said} {telling[-1].message}", evidence
    return said, evidence


def _is_about(field_path: str, container: str) -> bool:
    return not field_path or f"{{{container}}}" in field_path


def _missing_pull_secrets(view: ClusterView, pod: Object, pod_ref: ObjectRef) -> Iterator[Evidence]:
    named = [str(entry.get("name")) for entry in pod_spec_of(pod).get("imagePullSecrets") or ()]
    notes = view.events_of(pod_ref, "FailedToRetrieveImagePullSecret")
    if notes:
        yield quotes.event(notes[-1])
        return
    if not view.snapshot.was_read("secrets", namespace_of(pod)):
        return  # not read is not absent
    for name in named:
        if view.snapshot.get("secrets", namespace_of(pod), name) is None:
            yield quotes.field(pod_ref, "spec.imagePullSecrets", f"{name}: no such Secret in the namespace")


RULES = (find_image_faults,)
