"""Faults of rollouts, jobs, routes and databases, each beside a near miss.

Messages as kubelet, controllers and programs write them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubetriage.contracts.diagnosis import Diagnosis, Scope
from kubetriage.diagnosis import diagnose
from tests.diagnosis.build import (
    NAMESPACE,
    at,
    container,
    deployment,
    diagnosed,
    event,
    meta,
    node,
    pod,
    service,
    snapshot,
    status,
)

APP, CRON, MYSQL = "deployment/payments", "cronjob/report", "statefulset/mysql"
Build = Callable[[], Diagnosis]


# -- pods and rollouts ----------------------------------------------------------------------------


def _ended(code: int = 1, *, lived: float = 0.5, ready: bool = False) -> dict[str, Any]:
    """A container that ended a minute ago, and now waits or runs again."""
    last = {"terminated": {"reason": "Error", "exitCode": code, "startedAt": at(1 + lived), "finishedAt": at(1)}}
    now = {"running": {"startedAt": at(0.9)}} if ready else {"waiting": {"reason": "CrashLoopBackOff"}}
    return status(ready=ready, restarts=6, state=now, lastState=last)


MALFORMED = (
    'Liveness probe failed: Get "http://10.244.0.7:8080/healthz": net/http: HTTP/1.x transport connection broken: '
    r'malformed HTTP response "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00"'
)
SAID_NO = "Liveness probe failed: HTTP probe failed with statuscode: 500"


def _probed(message: str, *, over: bool = False) -> Diagnosis:
    """``over``: it was so for the start of a program that is well."""
    spec = container(livenessProbe={"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10})
    item = pod(containers=[spec], statuses=[status() if over else _ended(137)])
    note = event(item, "Unhealthy", message, ago=40 if over else 1, count=1 if over else 18)
    return diagnosed(*deployment(available=int(over)), service(), item, note)


NO_ROOM = (
    "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found "
    "for incoming pod."
)


def _preempted(*, ago: float = 3, placed: bool = False) -> Diagnosis:
    """A pod had to go; ``placed``: its successor has a node."""
    victim = pod()
    refused = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_ROOM}]
    after = pod() if placed else pod(phase="Pending", statuses=[], conditions=refused, nodeName=None, age=2)
    said = "Preempted by pod 9c1f6a52-4a7d-4214-8a30-8ce1fd616f67 on node node-1"
    note = event(victim, "Preempted", said, ago=ago, count=1, type="Normal")
    return diagnosed(node(), *deployment(available=int(placed)), after, note)


def _logged(log: str, *more: Any, ready: bool = False, **spec: Any) -> Diagnosis:
    """The workload, crashing or ready, with this log."""
    item = pod(statuses=[status() if ready else _ended()], containers=[container(**spec)])
    logs = {(item["metadata"]["name"], "app"): log}
    return diagnosed(
        *deployment(available=int(ready), containers=[container(**spec)]), service(), item, *more, logs=logs
    )


GATE = "target-health.elbv2.k8s.aws/k8s-shop-payments"
NO_PROGRESS = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
NO_PROGRESS |= {"message": 'ReplicaSet "payments-6f" has timed out progressing.'}
MOVING = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "lastUpdateTime": at(1)}


def _rollout(
    condition: dict[str, Any], *, age: float, ready: bool = False, available: int = 1, **spec: Any
) -> Diagnosis:
    """One of two pods is new; unless it is ready, its containers are and a gate is not."""
    parent, child = deployment(replicas=2, available=available)
    parent["spec"] |= spec
    parent["status"]["conditions"] = [condition]
    gated = [{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "False"}]
    new = pod(age=age, conditions=None if ready else gated, readinessGates=[{"conditionType": GATE}])
    return diagnosed(parent, child, pod(), new, service())


def _paused(updated: int) -> Diagnosis:
    parent, child = deployment(replicas=1)
    parent["spec"]["paused"] = True
    parent["status"]["updatedReplicas"] = updated
    return diagnosed(parent, child, pod(), service())


def _set(ready: int, *, age: float) -> Diagnosis:
    """A StatefulSet of two whose second pod says nothing but that it is not ready."""
    template = {"metadata": {"labels": {"app": "queue"}}, "spec": {"containers": [container()]}}
    item = {"kind": "StatefulSet", "metadata": meta("queue"), "spec": {"replicas": 2, "template": template}}
    item["status"] = {"replicas": 2, "readyReplicas": ready, "availableReplicas": ready}
    owner = ("StatefulSet", "queue")
    return diagnosed(
        item, pod("queue", owner=owner), pod("queue", owner=owner, age=age, statuses=[status(ready=False)])
    )


# -- jobs -----------------------------------------------------------------------------------------


def _job(name: str = "report", *, age: float = 30, of: str = "", **more: Any) -> dict[str, Any]:
    about = meta(name, age=age)
    if of:
        about["ownerReferences"] = [{"kind": "CronJob", "name": of, "controller": True}]
    return {"kind": "Job", "metadata": about, "spec": {}, "status": {"active": 1}, **more}


def _cron(*more: Any, told: dict[str, Any] | None = None, now: dict[str, Any] | None = None, **spec: Any) -> Diagnosis:
    """``told``: the controller's event; ``now``: the CronJob's status."""
    item = {"kind": "CronJob", "metadata": meta("report"), "spec": {"schedule": "0 3 * * *", **spec}}
    item["status"] = now or {}
    return diagnosed(item, *([event(item, **told)] if told else []), *more)


def _asked(kind: str, *, name: str | None = None, question: str | None = None) -> Diagnosis:
    """A suspended Job or CronJob beside a workload that is well."""
    item = {"kind": kind, "metadata": meta("report"), "spec": {"suspend": True, "schedule": "0 3 * * *"}, "status": {}}
    scope = Scope(namespace=NAMESPACE, name=name, question=question)
    return diagnose(snapshot(item, *deployment(), pod(), service()), scope)


def _half_done(
    *, ago: float, helper: str = "istio-proxy", native: bool = False, job: dict[str, Any] | None = None
) -> Diagnosis:
    """A Job's pod whose work has ended ``ago`` minutes, and whose helper runs on."""
    done = {"terminated": {"reason": "Completed", "exitCode": 0, "startedAt": at(ago + 5), "finishedAt": at(ago)}}
    statuses = [status(ready=False, state=done)]
    item = pod("report", owner=("Job", "report"), containers=[container()], statuses=statuses)
    if native:
        item["spec"]["initContainers"] = [container(helper, restartPolicy="Always")]
        item["status"]["initContainerStatuses"] = [status(helper)]
    else:
        item["spec"]["containers"].append(container(helper))
        item["status"]["containerStatuses"].append(status(helper))
    return diagnosed(job or _job(), item)


NO_ZONE = {"reason": "UnknownTimeZone", "message": 'invalid timeZone: "Europe/Berlim": unknown time zone Europe/Berlim'}
MISSED = {"reason": "TooManyMissedTimes", "ago": 20, "count": 1}
MISSED |= {
    "message": "too many missed start times: 101. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
}
SKIPPED = {"reason": "JobAlreadyActive", "type": "Normal", "count": 9}
SKIPPED |= {"message": "Not starting job because prior execution is running and concurrency policy is Forbid"}
FORBID = {"concurrencyPolicy": "Forbid"}
ONE_RUNS = {"active": [{"kind": "Job", "name": "report-1"}]}
TOO_LATE = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
TOO_LATE |= {"message": "Job was active longer than specified deadline"}


# -- routes and neighbours ------------------------------------------------------------------------


def _ingress(*more: Any, unread: tuple[str, ...] = ()) -> Diagnosis:
    path = {"path": "/", "backend": {"service": {"name": "payments", "port": {"number": 8080}}}}
    spec = {"rules": [{"http": {"paths": [path]}}], "ingressClassName": "nginx"}
    spec["tls"] = [{"hosts": ["shop.example"], "secretName": "shop-tls"}]
    item = {"kind": "Ingress", "metadata": meta("web"), "spec": spec}
    nginx = {"kind": "IngressClass", "metadata": meta("nginx", None), "spec": {}}
    return diagnosed(*deployment(), pod(), service(), item, nginx, *more, unread=unread)


NAMES = ("orders", "cart", "users", "search", "payments", "stock")


def _gateway(**targets: str) -> Diagnosis:
    """A gateway with a route for each name; ``targets``: those that lead elsewhere."""
    world = [[*deployment(name), pod(name), service(name)] for name in NAMES]
    text = "".join(
        f"  location /api/{name}/ {{\n    proxy_pass http://{targets.get(name, name)}:8080;\n  }}\n" for name in NAMES
    )
    config = {"kind": "ConfigMap", "metadata": meta("gateway"), "data": {"nginx.conf": f"server {{\n{text}}}\n"}}
    return diagnosed(world, config)


def _mysql(*, ready: bool = True) -> list[Any]:
    spec = container("mysql", image="mysql:8.4", ports=[{"containerPort": 3306}])
    template = {"metadata": {"labels": {"app": "mysql"}}, "spec": {"containers": [spec]}}
    item = {"kind": "StatefulSet", "metadata": meta("mysql"), "spec": {"replicas": 1, "template": template}}
    item["status"] = {"replicas": 1, "readyReplicas": int(ready), "availableReplicas": int(ready)}
    now = status("mysql") if ready else {**_ended(), "name": "mysql"}
    server = pod("mysql", owner=("StatefulSet", "mysql"), containers=[spec], statuses=[now])
    return [item, server, service("mysql", port=3306, target=3306)]


WORK = 'level=info msg="request served" status=200\n' * 40
REFUSED = 'level=error msg="charge failed" err="dial tcp mysql:3306: connect: connection refused"\n'
LINK = (
    "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure\n"
    "Caused by: java.net.ConnectException: Connection refused\n"
)
READ_ONLY = (
    "ERROR 1290 (HY000): The MySQL server is running with the --read-only option so it cannot execute this statement\n"
)
TOO_MANY = "java.sql.SQLNonTransientConnectionException: Too many connections\n"
EXTERNAL = (
    "pymysql.err.OperationalError: (2003, \"Can't connect to MySQL server on 'db.eu.example.com' (timed out)\")\n"
)
LINES = 5
FOREIGN = "exec /usr/local/bin/app: exec format error\n"
PLUGIN = 'level=warn msg="plugin skipped" err="fork/exec /plugins/geo: exec format error"\n'


# cause: (the fault, its object, what nearly looks like it and has no incident)
ROWS: dict[str, tuple[Build, str, Build]] = {
    "liveness_probe_wrong_protocol": (lambda: _probed(MALFORMED), APP, lambda: _probed(MALFORMED, over=True)),
    "pod_preempted": (_preempted, APP, lambda: _preempted(placed=True)),
    "image_arch_mismatch": (lambda: _logged(FOREIGN), APP, lambda: _logged(PLUGIN + WORK, ready=True)),
    "rollout_stuck": (lambda: _rollout(NO_PROGRESS, age=12), APP, lambda: _rollout(MOVING, age=1)),
    "rollout_paused": (lambda: _paused(0), APP, lambda: _paused(1)),
    "replicas_unavailable": (lambda: _set(1, age=12), "statefulset/queue", lambda: _set(1, age=1)),
    "job_suspended": (lambda: _asked("Job", name="report"), "job/report", lambda: _asked("Job")),
    "cron_job_suspended": (lambda: _asked("CronJob", name="report"), CRON, lambda: _asked("CronJob")),
    "job_never_completes": (lambda: _half_done(ago=10), "job/report", lambda: _half_done(ago=0.3)),
    "cron_job_invalid_schedule": (
        lambda: _cron(told=NO_ZONE, timeZone="Europe/Berlim"), CRON,
        lambda: _cron(told=NO_ZONE, timeZone="Europe/Berlin"),
    ),
    "cron_job_blocked": (
        lambda: _cron(_job("report-1", age=90, of="report"), told=SKIPPED, now=ONE_RUNS, **FORBID), CRON,
        # The skips were of an earlier run.
        lambda: _cron(_job("report-1", age=0.5, of="report"), told=SKIPPED, now=ONE_RUNS, **FORBID),
    ),
    "dependency_unreachable": (
        lambda: _logged(REFUSED * LINES, *_mysql(), ready=True), APP,
        lambda: _logged(REFUSED * LINES + WORK, *_mysql(), ready=True),
    ),
    "ingress_tls_secret_missing": (_ingress, "ingress/web", lambda: _ingress(unread=("secrets",))),
    "gateway_misrouted": (lambda: _gateway(payments="stock"), "service/payments", _gateway),
    "database_port_wrong": (
        lambda: _logged(LINK, *_mysql()), APP, lambda: _logged(LINK + WORK, *_mysql(), ready=True),
    ),
    "database_read_only": (
        lambda: _logged(READ_ONLY * LINES, *_mysql(), ready=True), MYSQL,
        lambda: _logged(WORK + READ_ONLY, *_mysql(), ready=True),
    ),
    "database_connections_exhausted": (
        lambda: _logged(TOO_MANY, *_mysql()), MYSQL, lambda: _logged(TOO_MANY + WORK, *_mysql(), ready=True),
    ),
    "database_unreachable": (lambda: _logged(EXTERNAL), APP, lambda: _logged(EXTERNAL * LINES + WORK, ready=True)),
}  # fmt: skip

# Other ways to the same cause: (the fault, cause, object)
ALSO: dict[str, tuple[Build, str, str]] = {
    "a-suspended-job-in-a-question": (
        lambda: _asked("Job", question="Why does no job run?"), "job_suspended", "job/report",
    ),
    "a-suspended-cron-job-in-a-question": (
        lambda: _asked("CronJob", question="Why has report not run?"), "cron_job_suspended", CRON,
    ),
    "a-deadline-that-a-helper-used-up": (
        lambda: _half_done(ago=10, job=_job(status={"conditions": [TOO_LATE]})), "job_never_completes", "job/report",
    ),
    "missed-too-often": (lambda: _cron(told=MISSED), "cron_job_invalid_schedule", CRON),
}  # fmt: skip

# What looks alike and is something else: (build, its cause, the cause that it must not be given)
APART: dict[str, tuple[Build, str, str]] = {
    "a-probe-that-is-answered": (lambda: _probed(SAID_NO), "liveness_probe_failing", "liveness_probe_wrong_protocol"),
    "preempted-hours-ago": (lambda: _preempted(ago=150), "insufficient_cpu", "pod_preempted"),
    "a-database-that-crashes-itself": (
        lambda: _logged(LINK, *_mysql(ready=False)), "crash_loop", "database_port_wrong",
    ),
}  # fmt: skip

# More that has no incident.
QUIET: dict[str, Build] = {
    "ready-for-less-than-min-ready-seconds": lambda: _rollout(MOVING, age=5, ready=True, minReadySeconds=600),
    "a-question-about-something-else": lambda: _asked("CronJob", question="Why is payments slow?"),
    "a-native-sidecar": lambda: _half_done(ago=10, native=True),
    "two-workers-of-a-job": lambda: _half_done(ago=10, helper="second-half"),
    "missed-and-run-since": lambda: _cron(_job("report-1", age=19.9, of="report"), told=MISSED),
    "skipped-once": lambda: _cron(_job("report-1", age=90, of="report"), told={**SKIPPED, "count": 1}, now=ONE_RUNS),
    "tls-secret-is-there": lambda: _ingress({"kind": "Secret", "metadata": meta("shop-tls")}),
}
