"""Faults of volumes, quotas and admission webhooks, each beside a near miss; messages as the controllers write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubetriage.contracts.diagnosis import Diagnosis
from tests.diagnosis.build import (
    NAMESPACE,
    causes,
    container,
    deployment,
    diagnosed,
    event,
    meta,
    pod,
    service,
    status,
)

APP, CLAIM, SHOP = "deployment/payments", "persistentvolumeclaim/data", "namespace/shop"
Build = Callable[[], Diagnosis]


# -- volumes ------------------------------------------------------------------------------------

FAST = {"kind": "StorageClass", "metadata": meta("fast", None), "provisioner": "ebs.csi.aws.com"}
UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
HELD = (
    'Multi-Attach error for volume "pvc-7e" Volume is already exclusively attached to one node and '
    "can't be attached to another"
)
REFUSED_VOLUME = (
    'failed to provision volume with StorageClass "fast": rpc error: code = Internal desc = Could not create '
    'volume "pvc-7e": could not create volume in EC2: UnauthorizedOperation'
)


def _claim(phase: str = "Pending", *, name: str = "data", age: float = 30, **spec: Any) -> dict[str, Any]:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    spec = {"storageClassName": "fast", **wanted, **spec}
    about = meta(name, age=age)
    return {"kind": "PersistentVolumeClaim", "metadata": about, "spec": spec, "status": {"phase": phase}}


def _volume(phase: str, holder: str, name: str = "pv-1") -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": "fast"}
    spec |= {"claimRef": {"namespace": NAMESPACE, "name": holder, "uid": f"uid-of-{holder}"}}
    return {"kind": "PersistentVolume", "metadata": meta(name, None), "spec": spec, "status": {"phase": phase}}


def _stored(*more: Any, waits: bool = True, age: float = 30, **spec: Any) -> Diagnosis:
    """The workload that uses claim ``data``, with what else there is."""
    mounts = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}], **spec}
    refused = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNBOUND}]
    where = {"phase": "Pending", "statuses": [], "conditions": refused, "nodeName": None} if waits else {}
    return diagnosed(*deployment(available=int(not waits)), service(), pod(age=age, **where, **mounts), FAST, *more)


def _bound(*more: Any) -> Diagnosis:
    return _stored(_claim("Bound", volumeName="pv-1"), _volume("Bound", "data"), *more, waits=False)


def _told(item: dict[str, Any], reason: str, message: str, **more: Any) -> list[dict[str, Any]]:
    return [item, event(item, reason, message, **more)]


def _attaching(*since: str, age: float = 2) -> Diagnosis:
    """A pod that waits for a volume that another node had; ``since``: what the controllers said later."""
    creating = status(ready=False, state={"waiting": {"reason": "ContainerCreating"}})
    item = pod(phase="Pending", statuses=[creating], age=age)
    notes = [event(item, "FailedAttachVolume", HELD, ago=1, count=3)]
    notes += [event(item, reason, "as it should be", ago=0.4, count=1, type="Normal") for reason in since]
    return diagnosed(*deployment(available=0), item, _claim("Bound", volumeName="pv-1"), *notes)


# -- what admission refuses -----------------------------------------------------------------------


def _quota(resource: str, used: int, hard: int) -> dict[str, Any]:
    figures = {"hard": {resource: str(hard)}, "used": {resource: str(used)}}
    return {"kind": "ResourceQuota", "metadata": meta("team"), "spec": {"hard": figures["hard"]}, "status": figures}


def _refused(text: str, *more: Any, have: int = 0, ago: float = 1) -> Diagnosis:
    """A ReplicaSet whose pods were refused; ``have``: those that it has by now."""
    parent, child = deployment(available=have)
    child["status"]["replicas"] = have
    pods = [pod() for _ in range(have)]
    return diagnosed(parent, child, *pods, service(), event(child, "FailedCreate", text, ago=ago), *more)


GPUS = (
    'Error creating: pods "payments-6f-x7k2p" is forbidden: exceeded quota: team, requested: '
    "requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=4"
)
UNPRIVILEGED = (
    'Error creating: pods "payments-6f-x7k2p" is forbidden: unable to validate against any security context '
    "constraint: [provider restricted-v2: .containers[0].runAsUser: Invalid value: 0: must be in the ranges: "
    "[1000680000, 1000689999]]"
)
CALLER = [{"name": "CHECKOUT_ADDR", "value": "checkout:8080"}]


def _services(*more: Any, env: list[dict[str, str]] | None = None) -> Diagnosis:
    """Two workloads, and a Service for the first; ``env``: what that one calls."""
    containers = [container(env=env or [])]
    first = [*deployment(containers=containers), pod(containers=containers), service()]
    return diagnosed(first, *deployment("checkout"), pod("checkout"), *more)


def _no_replica_set() -> Diagnosis:
    """The Deployment's own refusal: there is no ReplicaSet that could tell."""
    parent, _ = deployment(available=0)
    said = (
        'Failed to create new replica set "payments-6f": replicasets.apps "payments-6f" is forbidden: exceeded quota: '
        "team, requested: count/replicasets.apps=1, used: count/replicasets.apps=9, limited: count/replicasets.apps=9"
    )
    failed = {"type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError", "message": said}
    parent["status"] = {"conditions": [failed]}
    return diagnosed(parent, event(parent, "ReplicaSetCreateError", said))


HOOK = "validatingwebhookconfiguration/policy"
BAD_CERTIFICATE = (
    'Error creating: Internal error occurred: failed calling webhook "check.policy.example": failed to call webhook: '
    'Post "https://policy.shop.svc:443/validate?timeout=10s": tls: failed to verify certificate: x509: certificate '
    "signed by unknown authority"
)
NOT_CALLED = (
    'Error creating: Internal error occurred: failed calling webhook "check.policy.example": failed to call webhook: '
    'Post "https://policy.shop.svc:443/validate?timeout=10s": dial tcp 10.96.0.7:443: connect: connection refused'
)
DENIED = (
    'Error creating: admission webhook "check.policy.example" denied the request: [no-latest] container <app> uses '
    "the tag latest"
)


def _policy() -> list[Any]:
    entry = {"name": "check.policy.example", "failurePolicy": "Fail"}
    entry |= {"clientConfig": {"service": {"name": "policy", "namespace": NAMESPACE}}}
    hook = {"kind": "ValidatingWebhookConfiguration", "metadata": meta("policy", None), "webhooks": [entry]}
    return [hook, *deployment("policy"), pod("policy"), service("policy")]


def _let_in(kind: str, now: dict[str, Any], text: str, *, gone: bool = False) -> Diagnosis:
    """Refused five minutes ago, and with its pod since; ``gone``: deleted since."""
    item = {"kind": kind, "metadata": meta("report"), "spec": {}, "status": now}
    refused = _told(item, "FailedCreate", text, ago=5)
    return diagnosed(*_policy(), *(refused[1:] if gone else [*refused, pod("report", owner=(kind, "report"))]))


ALL_THERE = {"desiredNumberScheduled": 1, "currentNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1}


LOST = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
TAKEN = 'volume "pv-1" already bound to a different claim.'
FIRST = "waiting for first consumer to be created before binding"
FOUR_OF_FOUR = _quota("requests.nvidia.com/gpu", 4, 4)

# cause: (the fault, its object, what nearly looks like it and has no incident)
ROWS: dict[str, tuple[Build, str, Build]] = {
    "pv_already_bound": (
        lambda: _stored(
            *_told(_claim(volumeName="pv-1"), "FailedBinding", TAKEN, count=40),
            _volume("Bound", "other"), _claim("Bound", name="other", volumeName="pv-1"),
        ), CLAIM,
        lambda: _stored(_claim(volumeName="pv-1", age=0.3), _volume("Available", "data"), age=0.3),
    ),
    "pv_released": (
        lambda: _stored(_claim(), _volume("Released", "data")), "persistentvolume/pv-1",
        lambda: _bound(_volume("Released", "an-older-one", "pv-2")),
    ),
    "pvc_provisioning_failed": (
        lambda: _stored(*_told(_claim(), "ProvisioningFailed", REFUSED_VOLUME, count=12)), CLAIM,
        lambda: diagnosed(FAST, *_told(_claim(), "WaitForFirstConsumer", FIRST, count=100, type="Normal")),
    ),
    "pvc_lost": (
        lambda: _stored(*_told(_claim("Lost", volumeName="pv-1"), "ClaimLost", LOST, count=1), waits=False), CLAIM,
        lambda: _stored(  # of the claim that had this name before
            *_told(_claim("Bound", volumeName="pv-1", age=5), "ClaimLost", LOST, ago=20), _volume("Bound", "data"),
            waits=False,
        ),
    ),
    "volume_multi_attach": (lambda: _attaching(age=20), APP, lambda: _attaching("SuccessfulAttachVolume", "Pulling")),
    "services_quota_exceeded": (
        lambda: _services(_quota("services", 1, 1), env=CALLER), SHOP,
        lambda: _services(_quota("services", 2, 2), service("checkout"), env=CALLER),
    ),
    "quota_exceeded": (
        lambda: _refused(GPUS, FOUR_OF_FOUR), SHOP, lambda: _refused(GPUS, FOUR_OF_FOUR, have=1, ago=15),
    ),
    "webhook_certificate_invalid": (
        lambda: _refused(BAD_CERTIFICATE, *_policy()), HOOK, lambda: _let_in("DaemonSet", ALL_THERE, BAD_CERTIFICATE),
    ),
    "webhook_denied": (
        lambda: _refused(DENIED, *_policy()), HOOK, lambda: _let_in("Job", {"active": 1}, DENIED),
    ),
    "controller_not_creating_pods": (lambda: _refused(UNPRIVILEGED), APP, lambda: _refused(UNPRIVILEGED, have=1)),
}  # fmt: skip

# What looks alike and is something else: (build, its cause, the cause that it must not be given)
APART: dict[str, tuple[Build, str, str]] = {
    "a-webhook-that-is-not-reached": (
        lambda: _refused(NOT_CALLED, *_policy()), "webhook_unavailable", "webhook_certificate_invalid",
    ),
    "a-webhook-that-refuses": (lambda: _refused(DENIED), "webhook_denied", "controller_not_creating_pods"),
    "a-quota-of-another-kind": (
        lambda: _refused(GPUS.replace("requests.nvidia.com/gpu", "pods")), "pods_quota_exceeded", "quota_exceeded",
    ),
    "a-volume-that-another-claim-may-have": (
        lambda: _stored(*_told(_claim(), "ProvisioningFailed", REFUSED_VOLUME), _volume("Bound", "other")),
        "pvc_provisioning_failed", "pv_already_bound",
    ),
}  # fmt: skip

# More that has no incident.
QUIET: dict[str, Build] = {
    "a-service-quota-with-room": lambda: _services(_quota("services", 1, 5), env=CALLER),
    "a-full-service-quota-and-a-worker-that-nobody-calls": lambda: _services(_quota("services", 1, 1)),
    "a-webhook-that-refused-what-is-gone": lambda: _let_in("ReplicaSet", {}, DENIED, gone=True),
}


def test_a_deployment_that_may_not_even_make_its_replica_set_is_told_by_its_condition() -> None:
    assert causes(_no_replica_set())[:1] == [("quota_exceeded", SHOP)]
