"""What each namespace of the live suite must be diagnosed as, and how one sees that it is ready to ask.

``sign`` is what the cluster shows when the fault has developed:
``waiting:REASON`` a container waits so, ``event:TEXT`` an event says so, ``restarts:N`` a container
was restarted so often, ``unready:POD`` a running pod whose name begins so is not ready (N seconds),
``age:N`` seconds have passed, ``deleting:POD`` a pod is being deleted for 40 s, ``failed:`` a Job failed.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "kt-live-"
APP = ("Deployment/app",)
CRASHED = "restarts:2"
UNSCHEDULED = "event:FailedScheduling"


@dataclass(frozen=True, slots=True)
class Fault:
    """``causes`` and ``objects``: any of them is right, where two names of one thing are."""

    name: str
    causes: tuple[str, ...]
    sign: str
    objects: tuple[str, ...] = APP

    @property
    def namespace(self) -> str:
        return PREFIX + self.name


def _row(name: str, causes: str, sign: str, *objects: str) -> Fault:
    return Fault(name, tuple(causes.split("|")), sign, objects or APP)


FAULTS = (
    # what happens at run time
    _row("crash-python", "crash_loop", CRASHED),
    _row("crash-go", "crash_loop", CRASHED),
    _row("crash-java", "crash_loop", CRASHED),
    _row("exits-cleanly", "container_exits_cleanly", CRASHED),
    _row("oom", "oom_killed", CRASHED),
    _row("port-conflict", "port_conflict|sidecar_port_conflict", CRASHED),
    _row("evicted-empty-dir", "pod_evicted|disk_full", "event:Evicted"),
    # start-up
    _row("command-not-found", "command_not_found", CRASHED),
    _row("bad-working-dir", "container_start_error", CRASHED),
    _row("run-as-non-root", "run_as_non_root_violation", "waiting:CreateContainerConfigError"),
    _row("init-failing", "init_container_failing", CRASHED),
    _row("init-stuck", "init_container_stuck|service_address_wrong", "age:200"),
    _row("volume-permission", "volume_permission_denied", CRASHED),
    # images
    _row("image-not-found", "image_not_found", "waiting:ImagePullBackOff"),
    _row("image-registry-unknown", "image_not_found|image_registry_unreachable", "waiting:ImagePullBackOff"),
    _row("image-bad-reference", "image_reference_invalid", "waiting:InvalidImageName"),
    _row("image-never-pull", "image_never_pull", "waiting:ErrImageNeverPull"),
    _row("rollout-bad-image", "image_not_found", "waiting:ImagePullBackOff"),
    # configuration
    _row(
        "config-map-missing",
        "config_map_missing",
        "waiting:CreateContainerConfigError",
        "Deployment/app",
        "ConfigMap/settings",
    ),
    _row(
        "config-key-missing",
        "config_key_missing",
        "waiting:CreateContainerConfigError",
        "Deployment/app",
        "ConfigMap/settings",
    ),
    _row(
        "secret-missing",
        "secret_missing",
        "waiting:CreateContainerConfigError",
        "Deployment/app",
        "Secret/credentials",
    ),
    _row(
        "secret-key-missing",
        "secret_key_missing",
        "waiting:CreateContainerConfigError",
        "Deployment/app",
        "Secret/credentials",
    ),
    _row("config-volume-missing", "config_map_missing", "event:FailedMount", "Deployment/app", "ConfigMap/templates"),
    _row(
        "service-account-missing",
        "service_account_missing",
        "event:FailedCreate",
        "Deployment/app",
        "ServiceAccount/orders",
    ),
    # probes
    _row("liveness-wrong-port", "liveness_probe_wrong_port", CRASHED),
    _row("liveness-wrong-path", "liveness_probe_failing", CRASHED),
    _row("liveness-too-aggressive", "liveness_probe_too_aggressive", CRASHED),
    _row("readiness-wrong-port", "readiness_probe_wrong_port", "event:Unhealthy"),
    _row("readiness-failing", "readiness_probe_failing", "event:Unhealthy"),
    _row("startup-probe", "startup_probe_failing", CRASHED),
    # scheduling
    _row("cpu", "insufficient_cpu", UNSCHEDULED),
    _row("memory", "insufficient_memory", UNSCHEDULED),
    _row("gpu", "insufficient_resource", UNSCHEDULED),
    _row("node-selector", "node_selector_mismatch", UNSCHEDULED),
    _row("node-affinity", "node_affinity_mismatch|node_selector_mismatch", UNSCHEDULED),
    _row("pod-affinity", "pod_affinity_mismatch", UNSCHEDULED),
    _row("anti-affinity", "pod_anti_affinity_conflict", UNSCHEDULED),
    _row("topology-spread", "topology_spread_conflict", UNSCHEDULED),
    _row("host-port", "host_port_conflict", UNSCHEDULED),
    _row("scheduler-unknown", "scheduler_unknown", "age:60"),
    _row("priority-class-missing", "priority_class_missing", "event:FailedCreate"),
    _row("scheduling-gated", "scheduling_gated", "age:30"),
    # storage
    _row(
        "pvc-class-missing",
        "pvc_storage_class_missing",
        "event:ProvisioningFailed",
        "PersistentVolumeClaim/data",
    ),
    _row(
        "pvc-missing",
        "pvc_missing",
        UNSCHEDULED,
        "Deployment/app",
        "PersistentVolumeClaim/uploads",
    ),
    _row("pvc-selector", "pvc_selector_mismatch", UNSCHEDULED, "PersistentVolumeClaim/data"),
    _row("pvc-access-mode", "pvc_access_mode_mismatch", UNSCHEDULED, "PersistentVolumeClaim/data"),
    _row("pvc-capacity", "pvc_capacity_mismatch", UNSCHEDULED, "PersistentVolumeClaim/data"),
    _row(
        "pv-node-affinity",
        "volume_node_affinity_conflict",
        UNSCHEDULED,
        "Deployment/app",
        "PersistentVolumeClaim/data",
        "PersistentVolume/kt-live-node",
    ),
    _row("host-path-missing", "volume_mount_failed", "event:FailedMount"),
    # admission
    _row(
        "quota-pods",
        "pods_quota_exceeded",
        "event:FailedCreate",
        "ResourceQuota/limits",
        "Namespace/*",
        "Deployment/app",
    ),
    _row(
        "quota-cpu", "cpu_quota_exceeded", "event:FailedCreate", "ResourceQuota/limits", "Namespace/*", "Deployment/app"
    ),
    _row(
        "quota-memory",
        "memory_quota_exceeded",
        "event:FailedCreate",
        "ResourceQuota/limits",
        "Namespace/*",
        "Deployment/app",
    ),
    _row(
        "quota-storage",
        "storage_quota_exceeded",
        "event:FailedCreate",
        "ResourceQuota/limits",
        "Namespace/*",
        "StatefulSet/app",
    ),
    _row("quota-needs-limits", "quota_requires_resources", "event:FailedCreate"),
    _row("limit-range", "limit_range_violation", "event:FailedCreate", "Deployment/app", "LimitRange/bounds"),
    _row("pod-security", "pod_security_violation", "event:FailedCreate"),
    _row(
        "webhook-unavailable",
        "webhook_unavailable",
        "event:FailedCreate",
        "ValidatingWebhookConfiguration/kt-live-webhook",
    ),
    # services and what depends on them
    _row("service-selector", "service_selector_mismatch", "unready:client", "Service/app"),
    _row("service-target-port", "service_port_mismatch", "unready:client", "Service/app"),
    _row("zero-replicas", "zero_replicas", "unready:client"),
    _row("wrong-address", "service_address_wrong", "unready:client", "Deployment/client"),
    _row(
        "wrong-port-address",
        "service_address_wrong|service_port_mismatch",
        "unready:client",
        "Deployment/client",
    ),
    _row("chain", "crash_loop", CRASHED, "Deployment/ledger"),
    _row("dns", "dns_resolution_failing", "unready:client", "Deployment/client"),
    _row(
        "external-name",
        "service_external_name_unresolvable",
        "unready:client",
        "Service/rates",
    ),
    _row("ingress-backend", "ingress_backend_missing", "age:20", "Ingress/app"),
    _row("ingress-class", "ingress_class_missing", "age:20", "Ingress/app"),
    # what a log line tells
    _row("database-password", "database_credentials_rejected", CRASHED),
    _row("certificate-expired", "certificate_expired", CRASHED),
    _row("certificate-untrusted", "certificate_untrusted", CRASHED),
    _row("access-denied", "access_denied", CRASHED),
    # workloads
    _row("job-failed", "job_failed", "event:BackoffLimitExceeded", "Job/app"),
    _row("job-sidecar", "job_never_completes|job_failed", "event:DeadlineExceeded", "Job/app"),
    _row("hpa-target-missing", "hpa_target_missing", "event:FailedGetScale", "HorizontalPodAutoscaler/app"),
    _row(
        "hpa-no-requests",
        "hpa_missing_requests",
        "event:FailedGetResourceMetric",
        "Deployment/app",
        "HorizontalPodAutoscaler/app",
    ),
    _row("pdb-blocks", "pdb_blocks_eviction", "age:20", "PodDisruptionBudget/app"),
    _row("stateful-set-service", "stateful_set_service_missing", "age:20", "StatefulSet/app", "Service/app-headless"),
    _row(
        "pod-finalizer",
        "finalizer_blocking|pod_stuck_terminating",
        "deleting:app",
        "Deployment/app",
        "Pod/app",
    ),
    _row(
        "namespace-finalizer",
        "namespace_stuck_terminating|finalizer_blocking",
        "age:90",
        "Namespace/kt-live-namespace-finalizer",
        "ConfigMap/state",
    ),
)

# Run alone at the end: it concerns every namespace.
CORDONED = _row("node-cordoned", "node_cordoned", UNSCHEDULED, "Node/*", "Deployment/app")

HEALTHY = (
    "autoscaled", "caller", "claim-bound", "claim-waiting", "cron-job", "daemon-set", "default-deny",
    "external-name-unused", "finished-pod", "headless", "ingress", "init-running", "job-completed", "job-retried",
    "leader-election", "native-sidecar", "one-restart", "optional-references", "pdb", "quota-with-room",
    "rolling-update", "scaled-to-zero", "unused-config-map",
)  # fmt: skip

# Created only when the faults have developed, a few seconds before they are asked about.
LATE = ("init-running",)

LABELS = {"pod-security": {"pod-security.kubernetes.io/enforce": "restricted"}}

# Done once the namespace's pods run; by fault or healthy name.
CHANGES: dict[str, tuple[tuple[str, ...], ...]] = {
    "rollout-bad-image": (("set", "image", "deployment/app", "app=busybox:2.0-rc9"),),
    "pod-finalizer": (("delete", "pod", "-l", "app=app", "--wait=false"),),
}
