"""Claims that are not bound, volumes that cannot be used, and which attribute does not fit.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kubetriage.contracts.diagnosis import Evidence, ObjectRef, Remediation, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.rules.admission import find_quota_cause
from kubetriage.diagnosis.rules.configuration import waits_for_volumes
from kubetriage.diagnosis.rules.runtime import has_come_further
from kubetriage.diagnosis.rules.scheduling import find_refusal
from kubetriage.diagnosis.suspect import Depth, Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import (
    annotations_of,
    created_at,
    labels_of,
    matches,
    name_of,
    namespace_of,
    phase_of,
    pod_spec_of,
    ref_of,
    spec_of,
    status_of,
)
from kubetriage.state.quantities import parse_quantity
from kubetriage.state.snapshot import Object

_READS = (
    "pods", "events", "persistentvolumeclaims", "persistentvolumes", "storageclasses", "deployments",
    "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "resourcequotas", "nodes",
)  # fmt: skip
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_MISSING_CLAIM = re.compile(r"persistentvolumeclaim \"(?P<name>[^\"]+)\" not found", re.IGNORECASE)
_MISSING_CLASS = re.compile(r"storageclass\S* \"(?P<name>[^\"]+)\" not found", re.IGNORECASE)
# Since 1.33: "didn't match PersistentVolume's node affinity".
_ELSEWHERE = re.compile(r"volume(?:'s)? node affinity", re.IGNORECASE)
_CONFIGURATION = re.compile(r"(?:configmap|secret)s? \"|non-existent (?:secret|config) key", re.IGNORECASE)
# Provisioners take seconds to tens of seconds; a claim that waits longer is stuck.
PATIENCE = timedelta(seconds=45)
# Claims below 1 GiB hardly exist: with no more room than that a quota refuses the next one (bytes).
SMALLEST_CLAIM = 2**30


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why one volume cannot serve one claim. ``attribute`` is a cause code."""

    attribute: str
    wanted: str
    have: str


@rule(*_READS)
def find_claim_faults(view: ClusterView) -> Iterable[Suspect]:
    """Pending claims that something waits for, and lost ones."""
    for claim in view.snapshot.items("persistentvolumeclaims"):
        phase = phase_of(claim)
        if phase == "Lost":
            yield _claim(view, claim, "pvc_lost", "has lost its volume", [], "Restore the volume or its data")
        elif phase == "Pending" and _is_stuck(view, claim):
            yield _pending(view, claim)


@rule(*_READS)
def find_missing_claims(view: ClusterView) -> Iterable[Suspect]:
    """Pods that name a claim that is not there."""
    for pod in view.live_pods:
        if pod_spec_of(pod).get("nodeName"):
            continue
        refusal = find_refusal(view, pod)
        told = _MISSING_CLAIM.search(refusal[0]) if refusal else None
        for name in _claims_of(pod):
            # Where claims may not be read the scheduler has read them.
            known = view.snapshot.was_read("persistentvolumeclaims", namespace_of(pod))
            absent = view.snapshot.get("persistentvolumeclaims", namespace_of(pod), name) is None
            if absent and (known or (told is not None and told["name"] == name)):
                yield _missing_claim(view, pod, name)


@rule(*_READS)
def find_volume_faults(view: ClusterView) -> Iterable[Suspect]:
    """Volumes that are bound and still cannot be used by a pod that waits."""
    for pod in view.live_pods:
        if phase_of(pod) != "Pending":
            continue
        ref = ref_of("Pod", pod)
        refusal = None if pod_spec_of(pod).get("nodeName") else find_refusal(view, pod)
        if refusal is not None and _ELSEWHERE.search(refusal[0]):
            yield _volume(view, pod, "volume_node_affinity_conflict", "is on a node where it cannot run", *refusal)
        notes = view.events_of(ref, "FailedAttachVolume", "FailedMount")
        if not notes or not waits_for_volumes(pod) or _CONFIGURATION.search(notes[-1].message):
            continue  # of ConfigMaps and Secrets rules.configuration tells
        note = notes[-1]
        told = note.message, quotes.event(note)
        if has_come_further(view, pod, note, *(["SuccessfulAttachVolume"] if "Multi-Attach" in note.message else [])):
            continue
        if "Multi-Attach" in note.message:
            yield _volume(view, pod, "volume_multi_attach", "is still attached to another node", *told)
        elif note.count >= 2 or (note is view.events_of(ref)[-1] and not _is_new(view, pod)):
            yield _volume(view, pod, "volume_mount_failed", "cannot be mounted", *told)


def find_misfits(claim: Object, volume: Object) -> list[Misfit]:
    """What keeps a volume from serving a claim; empty: it fits.

    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding
    """
    wants, has = spec_of(claim), spec_of(volume)
    found: list[Misfit] = []
    holder = has.get("claimRef") or {}
    if holder.get("name") and (holder.get("namespace"), holder.get("name")) != (
        namespace_of(claim),
        name_of(claim),
    ):
        found.append(Misfit("pv_already_bound", name_of(claim), f"{holder.get('namespace')}/{holder['name']}"))
    if (wants.get("storageClassName") or "") != (has.get("storageClassName") or ""):
        found.append(
            Misfit(
                "pvc_storage_class_missing",
                str(wants.get("storageClassName")),
                str(has.get("storageClassName")),
            )
        )
    modes = set(wants.get("accessModes") or ()), set(has.get("accessModes") or ())
    if not modes[0] <= modes[1]:
        found.append(Misfit("pvc_access_mode_mismatch", ", ".join(sorted(modes[0])), ", ".join(sorted(modes[1]))))
    asked = ((wants.get("resources") or {}).get("requests") or {}).get("storage")
    given = (has.get("capacity") or {}).get("storage")
    if (parse_quantity(asked) or 0) > (parse_quantity(given) or 0):
        found.append(Misfit("pvc_capacity_mismatch", str(asked), str(given)))
    if wants.get("selector") and not matches(wants["selector"], labels_of(volume)):
        found.append(Misfit("pvc_selector_mismatch", str(dict(wants["selector"])), str(dict(labels_of(volume)))))
    return found


def _is_stuck(view: ClusterView, claim: Object) -> bool:
    """Waiting for its first consumer is healthy; so is a claim that was created just now."""
    if _is_new(view, claim):
        return False
    notes = view.events_of(ref_of("PersistentVolumeClaim", claim))
    failed = any(note.reason in ("ProvisioningFailed", "FailedBinding") for note in notes)
    users = list(_users(view, claim))
    return bool(users) or (failed and not any(note.reason == "WaitForFirstConsumer" for note in notes))


def _is_new(view: ClusterView, item: Object) -> bool:
    waited = view.ago(created_at(item))
    return waited is not None and waited < PATIENCE


def _pending(view: ClusterView, claim: Object) -> Suspect:
    name, ref = spec_of(claim).get("storageClassName"), ref_of("PersistentVolumeClaim", claim)
    notes = view.events_of(ref, "ProvisioningFailed", "FailedBinding", "ExternalProvisioning")
    told = notes[-1].message if notes else ""
    fields = [quotes.field(ref, "spec", {k: v for k, v in spec_of(claim).items() if k != "volumeMode"})]
    evidence = [quotes.event(note) for note in notes[-1:]] + fields
    wanted = spec_of(claim).get("volumeName")
    if wanted:
        return _wants_volume(view, claim, str(wanted), evidence)
    volumes = view.snapshot.items("persistentvolumes")
    released = next((volume for volume in volumes if _is_held_by_predecessor(claim, volume)), None)
    if released is not None:
        return _released(view, claim, released, evidence)
    misfit = _nearest_misfit(claim, volumes)
    missing = _MISSING_CLASS.search(told)
    if (missing or (name and _class_is_missing(view, str(name)))) and not _is_static(misfit):
        return _claim(
            view,
            claim,
            "pvc_storage_class_missing",
            f"names storage class {name}, which does not exist",
            evidence,
            f"Set storageClassName to an existing class{_classes(view)} (claims are immutable: create it anew)",
        )
    if misfit is not None and not _is_provisioned(view, str(name or "")):
        volume, first = misfit
        evidence.append(quotes.field(ref_of("PersistentVolume", volume), "spec", _fit_fields(volume)))
        return _claim(
            view,
            claim,
            first.attribute,
            f"wants {first.wanted}, but volume {name_of(volume)} has {first.have}",
            evidence,
            f"Make claim and volume {name_of(volume)} agree",
        )
    return _claim(
        view,
        claim,
        "pvc_provisioning_failed",
        f"gets no volume: {quotes.shorten(told, 160) or 'its provisioner does not answer'}",
        evidence,
        "Repair the provisioner of its storage class",
    )


def _is_held_by_predecessor(claim: Object, volume: Object) -> bool:
    """A Released volume that would serve the claim, but for the reference of a claim that is gone."""
    if phase_of(volume) != "Released":
        return False
    holder = spec_of(volume).get("claimRef") or {}
    own = (holder.get("namespace"), holder.get("name")) == (namespace_of(claim), name_of(claim))
    misfits = {misfit.attribute for misfit in find_misfits(claim, volume)}
    return own or misfits == {"pv_already_bound"}


def _released(view: ClusterView, claim: Object, volume: Object, evidence: list[Evidence]) -> Suspect:
    name, ref = name_of(volume), ref_of("PersistentVolume", volume)
    users = quotes.list_names([name_of(pod) for pod in _users(view, claim)])
    return suspect(
        "pv_released",
        ref,
        title=f"volume {name} still belongs to a claim that was deleted, so claim {name_of(claim)} gets none",
        explanation=f"Volume {name} is Released and keeps its claimRef; claim {name_of(claim)} waits"
        f"{f', and with it {users}' if users else ''}.",
        evidence=[
            quotes.field(ref, "status.phase", "Released"),
            quotes.field(ref, "spec.claimRef", spec_of(volume).get("claimRef") or {}),
            *evidence,
        ],
        remediation=[
            quotes.look("See what is on it before anything else", f"kubectl describe pv {name}"),
            quotes.change(
                "Save its data, then give it free",
                f'kubectl patch pv {name} --type json -p \'[{{"op":"remove","path":"/spec/claimRef"}}]\'',
            ),
        ],
        severity=Severity.HIGH,
        confidence=0.92,
        blames=(ref_of("PersistentVolumeClaim", claim),),
    )


def _wants_volume(view: ClusterView, claim: Object, wanted: str, evidence: list[Evidence]) -> Suspect:
    volume = view.snapshot.get("persistentvolumes", None, wanted)
    if volume is None:
        what = f"names volume {wanted}, which does not exist"
        return _claim(view, claim, "pvc_provisioning_failed", what, evidence, "Correct spec.volumeName")
    evidence.append(
        quotes.field(ref_of("PersistentVolume", volume), "spec.claimRef", spec_of(volume).get("claimRef") or {})
    )
    if _is_held_by_predecessor(claim, volume):
        return _released(view, claim, volume, evidence)
    misfits = find_misfits(claim, volume)
    first = misfits[0] if misfits else Misfit("pv_already_bound", name_of(claim), str(status_of(volume).get("phase")))
    what = f"wants volume {wanted}, which is {first.have}'s" if first.attribute == "pv_already_bound" else (
        f"wants {first.wanted}, but volume {wanted} has {first.have}"
    )  # fmt: skip
    return _claim(view, claim, first.attribute, what, evidence, "Free that volume, or claim another")


def _nearest_misfit(claim: Object, volumes: Iterable[Object]) -> tuple[Object, Misfit] | None:
    """The volume that nearly fits, and what about it does not."""
    best: tuple[tuple[int, int], Object, Misfit] | None = None
    for volume in volumes:
        misfits = find_misfits(claim, volume)
        if not misfits:
            continue
        kinds = {misfit.attribute for misfit in misfits}
        # A volume of another class or one that serves somebody is not meant for this claim.
        foreign = len(kinds & {"pv_already_bound", "pvc_storage_class_missing"})
        key = (foreign, len(misfits))
        if best is None or key < best[0]:
            best = (key, volume, misfits[-1] if foreign == 0 else misfits[0])
    return (best[1], best[2]) if best else None


def _is_static(misfit: tuple[Object, Misfit] | None) -> bool:
    """A volume made by hand for this very claim differs in something else than the class: then the
    class is only a name that both share."""
    return misfit is not None and misfit[1].attribute not in ("pvc_storage_class_missing", "pv_already_bound")


def _class_is_missing(view: ClusterView, name: str) -> bool:
    return view.snapshot.was_read("storageclasses") and view.snapshot.get("storageclasses", None, name) is None


def _is_provisioned(view: ClusterView, name: str) -> bool:
    """Whether a class makes volumes by itself: then no volume has to fit beforehand."""
    found = view.snapshot.get("storageclasses", None, name)
    return found is not None and "no-provisioner" not in str(found.get("provisioner"))


def _classes(view: ClusterView) -> str:
    names = [
        f"{name_of(item)}{' (default)' if annotations_of(item).get(_DEFAULT_CLASS) == 'true' else ''}"
        for item in view.snapshot.items("storageclasses")
    ]
    return f": {quotes.list_names(names)}" if names else ""


def _fit_fields(volume: Object) -> Mapping[str, Any]:
    keep = ("accessModes", "capacity", "storageClassName", "claimRef")
    return {key: value for key, value in spec_of(volume).items() if key in keep}


def _claims_of(pod: Object) -> Iterator[str]:
    for volume in pod_spec_of(pod).get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if name:
            yield str(name)


def _users(view: ClusterView, claim: Object) -> Iterator[Object]:
    for pod in view.live_pods:
        if namespace_of(pod) == namespace_of(claim) and name_of(claim) in _claims_of(pod):
            yield pod


def _claim(view: ClusterView, claim: Object, cause: str, what: str, evidence: list[Evidence], fix: str) -> Suspect:
    ref = ref_of("PersistentVolumeClaim", claim)
    waiting = list(dict.fromkeys(view.workload_of(pod).short for pod in _users(view, claim)))
    for_whom = f"; {quotes.list_names(waiting)} waits for it" if waiting else ""
    steps: list[Remediation] = [
        quotes.look("See claim and volumes", quotes.kubectl(ref.namespace, f"describe pvc {ref.name}")),
        quotes.look("See the volumes and classes that exist", "kubectl get pv,storageclass"),
        quotes.change(fix, quotes.kubectl(ref.namespace, f"edit pvc {ref.name}")),
    ]
    return suspect(
        cause,
        ref,
        title=f"claim {ref.name} is not bound: it {what}",
        explanation=f"PersistentVolumeClaim {ref.name} {what}{for_whom}.",
        evidence=evidence or [quotes.field(ref, "status.phase", phase_of(claim))],
        remediation=steps,
        severity=Severity.CRITICAL if waiting else Severity.MEDIUM,
        confidence=0.93,
        first_seen=created_at(claim),
    )


def _missing_claim(view: ClusterView, pod: Object, name: str) -> Suspect:
    workload, pod_ref = view.workload_of(pod), ref_of("Pod", pod)
    refusal = find_refusal(view, pod)
    quota = [
        note
        for note in view.all_events("FailedCreate")
        if note.namespace == workload.namespace and "exceeded quota" in note.message and name in note.message
    ]
    exhausted = _exhausted_storage_quota(view, workload.namespace)
    evidence = [refusal[1]] if refusal and _MISSING_CLAIM.search(refusal[0]) else []
    evidence += [quotes.event(note) for note in quota[-1:]]
    evidence.append(quotes.field(pod_ref, "spec.volumes[*].persistentVolumeClaim.claimName", name))
    if exhausted is not None:
        return _storage_quota(workload, name, exhausted, evidence)
    return suspect(
        "pvc_missing",
        workload,
        title=f"{workload.short} cannot be scheduled: claim {name} does not exist",
        explanation=f"{pod_ref.name} uses PersistentVolumeClaim {name}, which is not in {workload.namespace}.",
        evidence=evidence,
        remediation=[
            quotes.look("See the claims", quotes.kubectl(workload.namespace, "get pvc")),
            quotes.change(
                f"Create claim {name}, or correct claimName",
                quotes.kubectl(workload.namespace, f"edit {workload.short}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.95,
        first_seen=created_at(pod),
    )


def _exhausted_storage_quota(view: ClusterView, namespace: str | None) -> tuple[Object, str] | None:
    """A quota on claims or storage without room: it may have refused the missing claim, and no
    controller reports that."""
    for quota in view.snapshot.in_namespace("resourcequotas", namespace):
        hard, used = status_of(quota).get("hard") or {}, status_of(quota).get("used") or {}
        for resource, limit in hard.items():
            if find_quota_cause(resource) != "storage_quota_exceeded":
                continue
            room = (parse_quantity(limit) or 0) - (parse_quantity(used.get(resource)) or 0)
            if room <= (SMALLEST_CLAIM if "storage" in resource and "count/" not in resource else 0):
                return quota, str(resource)
    return None


def _storage_quota(workload: ObjectRef, claim: str, quota: tuple[Object, str], evidence: list[Evidence]) -> Suspect:
    item, resource = quota
    ref, namespace = ref_of("ResourceQuota", item), namespace_of(item) or ""
    hard, used = status_of(item).get("hard") or {}, status_of(item).get("used") or {}
    evidence.append(quotes.field(ref, f"status.hard[{resource}]", str(hard.get(resource))))
    evidence.append(quotes.field(ref, f"status.used[{resource}]", str(used.get(resource))))
    return suspect(
        "storage_quota_exceeded",
        ObjectRef(kind="Namespace", name=namespace),
        title=f"storage quota {ref.name} of namespace {namespace} leaves no room for claim {claim} of {workload.name}",
        explanation=f"{resource}: {used.get(resource)} of {hard.get(resource)} are used; claim {claim}, which "
        f"{workload.short} needs, is not there.",
        evidence=evidence,
        remediation=[
            quotes.look("See what is used", quotes.kubectl(namespace, f"describe resourcequota {ref.name}")),
            quotes.change(
                "Raise the quota and create the claim",
                quotes.kubectl(namespace, f"edit resourcequota {ref.name}"),
            ),
        ],
        severity=Severity.CRITICAL,
        confidence=0.85,
    )


def _volume(view: ClusterView, pod: Object, cause: str, what: str, message: str, said: Evidence) -> Suspect:
    workload = view.workload_of(pod)
    node = ObjectRef(kind="Node", name=str(pod_spec_of(pod).get("nodeName")))
    return suspect(
        cause,
        workload,
        title=f"{workload.short} cannot start: its volume {what}",
        explanation=f"{name_of(pod)}: {quotes.shorten(message, 240)}",
        evidence=[said],
        remediation=[
            quotes.look("See the mount errors", quotes.kubectl(workload.namespace, f"describe pod {name_of(pod)}")),
            quotes.look("See claims and volumes", quotes.kubectl(workload.namespace, "get pvc,pv -o wide")),
        ],
        severity=Severity.CRITICAL,
        confidence=0.85,
        depth=Depth.CAUSE if cause != "volume_mount_failed" else Depth.EFFECT,
        blames=(node,) if pod_spec_of(pod).get("nodeName") else (),
    )


RULES = (find_claim_faults, find_missing_claims, find_volume_faults)
