"""Cloud-OpsBench: 656 faults of two real applications, as support bundles (LLM4Ops/Cloud-OpsBench).

Given only the bundle, its namespace and the vague question, the diagnosis is written in the
benchmark's words: one cause label and one object per incident, best first.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from kubetriage.cluster import open_bundle
from kubetriage.contracts.diagnosis import Diagnosis, Incident, ObjectRef, Scope
from kubetriage.investigation import investigate

# Our cause to the benchmark's label. Causes of ours that it does not have map to themselves.
LABELS = {
    "image_not_found": "incorrect_image_reference",
    "image_reference_invalid": "incorrect_image_reference",
    "image_registry_unreachable": "image_registry_dns_failure",
    "image_pull_unauthorized": "missing_image_pull_secret",
    "image_pull_secret_missing": "missing_image_pull_secret",
    "secret_missing": "missing_secret_binding",
    "secret_key_missing": "missing_secret_binding",
    "service_account_missing": "missing_service_account",
    "pods_quota_exceeded": "namespace_pod_quota_exceeded",
    "cpu_quota_exceeded": "namespace_cpu_quota_exceeded",
    "memory_quota_exceeded": "namespace_memory_quota_exceeded",
    "services_quota_exceeded": "namespace_service_quota_exceeded",
    "storage_quota_exceeded": "namespace_storage_quota_exceeded",
    "insufficient_cpu": "cpu_capacity_mismatch",
    "insufficient_memory": "memory_capacity_mismatch",
    "node_cordoned": "node_cordon_mismatch",
    "taint_not_tolerated": "taint_toleration_mismatch",
    "pvc_storage_class_missing": "pvc_storage_class_mismatch",
    "pv_already_bound": "pv_binding_occupied",
    "liveness_probe_wrong_port": "liveness_probe_incorrect_port",
    "liveness_probe_wrong_protocol": "liveness_probe_incorrect_protocol",
    "liveness_probe_too_aggressive": "liveness_probe_incorrect_timing",
    "readiness_probe_wrong_port": "readiness_probe_incorrect_port",
    "readiness_probe_wrong_protocol": "readiness_probe_incorrect_protocol",
    "service_port_mismatch": "service_port_mapping_mismatch",
    "service_address_wrong": "service_env_var_address_mismatch",
    "dns_resolution_failing": "service_dns_resolution_failure",
    "gateway_misrouted": "gateway_misroute",
    "sidecar_port_conflict": "service_sidecar_port_conflict",
    "port_conflict": "service_sidecar_port_conflict",
    "zero_replicas": "deployment_zero_replicas",
    "database_credentials_rejected": "mysql_invalid_credentials",
    "database_port_wrong": "mysql_invalid_port",
    "database_read_only": "db_read_only",
    "database_connections_exhausted": "db_connection_exhaustion",
    "container_runtime_unavailable": "containerd_unavailable",
    "scheduler_unavailable": "kube_scheduler_unavailable",
    "cpu_saturated": "pod_cpu_overload",
    "node_network_loss": "node_network_packet_loss",
    "volume_permission_denied": "volume_mount_permission_denied",
}
# Of a claim that keeps a workload from starting the benchmark names the workload.
_STORAGE_KINDS = ("PersistentVolumeClaim", "PersistentVolume")


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    namespace: str
    question: str


def read_cases(index: Path) -> Iterator[Case]:
    """Rows of ``cases.jsonl``; the answers in it are not even parsed."""
    with index.open(encoding="utf-8") as stream:
        for line in stream:
            if line.strip():
                row = json.loads(line)
                yield Case(row["case"], row["namespace"], row.get("query", ""))


def predict(case: Case, folder: Path) -> dict[str, Any]:
    """Diagnose one bundle; the row that ``score.py`` reads."""
    begin = time.perf_counter()
    scope = Scope(namespace=case.namespace, question=case.question)
    diagnosis = asyncio.run(investigate(open_bundle(folder / case.name), scope))
    return {
        "case": case.name,
        "predictions": predictions_of(diagnosis),
        "seconds": round(time.perf_counter() - begin, 4),
    }


def predictions_of(diagnosis: Diagnosis) -> list[dict[str, str]]:
    return [
        {
            "cause": LABELS.get(incident.root_cause.cause, incident.root_cause.cause),
            "object": object_of(incident),
        }
        for incident in diagnosis.incidents
    ]


def object_of(incident: Incident) -> str:
    """``app/<workload or service>``, ``node/<name>`` or ``namespace/<name>``."""
    target = incident.root_cause.object
    if target.kind in _STORAGE_KINDS:
        users = [ref for ref in incident.affected if ref.kind in ("Deployment", "StatefulSet", "DaemonSet")]
        target = users[0] if users else target
    return f"{_prefix(target)}/{target.name}"


def run(cases: Sequence[Case], folder: Path, out: TextIO, jobs: int = 1) -> None:
    """Predict all cases, in order, ``jobs`` at a time."""
    if jobs <= 1:
        rows: Iterator[dict[str, Any]] = (predict(case, folder) for case in cases)
        out.writelines(json.dumps(row) + "\n" for row in rows)
        return
    with ProcessPoolExecutor(jobs) as pool:
        rows = pool.map(predict, cases, [folder] * len(cases))
        out.writelines(json.dumps(row) + "\n" for row in rows)


def _prefix(target: ObjectRef) -> str:
    return {"Node": "node", "Namespace": "namespace"}.get(target.kind, "app")
