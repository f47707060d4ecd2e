"""Faults of pods from image to node, each beside a near miss; messages as kubelet, runc and scheduler write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kubetriage.contracts.diagnosis import Diagnosis
from tests.diagnosis.build import at, causes, container, deployment, diagnosed, event, meta, node, pod, service, status

APP = "deployment/payments"
PORT = {"httpGet": {"path": "/", "port": 8080}}


def _told(item: Mapping[str, Any], reason: str, message: str, *, of: str = "app", **more: Any) -> dict[str, Any]:
    """An event about one container."""
    note = event(item, reason, message, **more)
    note["involvedObject"]["fieldPath"] = f"spec.containers{{{of}}}"
    return note


def _world(item: dict[str, Any], *more: Any, well: bool = False, log: str = "", of: str = "app") -> Diagnosis:
    """The pod with its Deployment and its Service; ``log`` of the container ``of``."""
    logs = {(item["metadata"]["name"], of): log} if log else {}
    return diagnosed(*deployment(available=1 if well else 0), service(), item, *more, logs=logs)


def _waiting(reason: str, message: str, *, noted: str = "Failed", **spec: Any) -> Diagnosis:
    state = {"waiting": {"reason": reason, "message": message}}
    item = pod(phase="Pending", statuses=[status(ready=False, state=state)], **spec)
    return _world(item, _told(item, noted, f"Error: {message}", count=26))


def _over(reason: str, message: str, **spec: Any) -> Diagnosis:
    """What the kubelet said ten minutes ago of a container that runs by now."""
    item = pod(**spec)
    return _world(item, _told(item, reason, message, ago=10), well=True)


def _ended(
    code: int = 1, *, message: str = "", restarts: int = 5, lived: float = 0.2, of: str = "app"
) -> dict[str, Any]:
    end = {"exitCode": code, "reason": "StartError" if message else "Error", "message": message}
    end |= {"startedAt": at(1 + lived), "finishedAt": at(1)}
    back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off 2m40s restarting {of}"}}
    return status(of, ready=False, restarts=restarts, state=back_off, lastState={"terminated": end})


def _mounting(said: str, *, state: str = "ContainerCreating") -> Diagnosis:
    """A volume that could not be filled ten minutes ago, and why the container waits now."""
    waiting = {"waiting": {"reason": state, "message": 'Back-off pulling image "shop/app:9": not found'}}
    item = pod(phase="Pending", statuses=[status(ready=False, state=waiting)])
    pulling = [] if state == "ContainerCreating" else [_told(item, "Failed", 'Failed to pull image: "9": not found')]
    return _world(item, event(item, "FailedMount", said, ago=10 if pulling else 1, count=10), *pulling)


def _crashing(log: str, *, code: int = 1, **spec: Any) -> Diagnosis:
    return _world(pod(statuses=[_ended(code)], **spec), log=log)


def _chatting(log: str, **spec: Any) -> Diagnosis:
    """A ready container with this log."""
    return _world(pod(**spec), well=True, log=log)


def _start_error(message: str) -> Diagnosis:
    text = f"failed to create containerd task: OCI runtime create failed: runc create failed: {message}: unknown"
    item = pod(statuses=[_ended(128, message=text)])
    return _world(item, _told(item, "Failed", f"Error: {text}"))


def _beside(other: str, log: str, *, native: bool = False, ready: bool = False) -> Diagnosis:
    """The app's log in a pod with another container; ``native``: an init container that runs on."""
    mine = status() if ready else _ended()
    if not native:
        item = pod(containers=[container(), container(other, ports=[])], statuses=[mine, status(other)])
        return _world(item, well=ready, log=log)
    item = pod(statuses=[mine], initContainers=[container(other, ports=[], restartPolicy="Always")])
    item["status"]["initContainerStatuses"] = [status(other)]
    return _world(item, well=ready, log=log)


def _probed(kind: str, said: str, probe: dict[str, Any], *, lived: float = 0.2) -> Diagnosis:
    """Killed for a liveness or startup probe again and again."""
    item = pod(containers=[container(**{f"{kind.lower()}Probe": probe})], statuses=[_ended(137, lived=lived)])
    killing = _told(item, "Killing", f"Container app failed {kind.lower()} probe, will be restarted", type="Normal")
    return _world(item, _told(item, "Unhealthy", f"{kind} probe failed: {said}", count=14), killing)


def _unready(said: str, probe: dict[str, Any], *, kind: str = "Readiness", since: float = 50) -> Diagnosis:
    """Running since so many minutes, and not ready for a probe that was never passed."""
    running = status(ready=False, state={"running": {"startedAt": at(since)}})
    parts = [container(**{f"{kind.lower()}Probe": probe})]
    item = pod(containers=parts, statuses=[running], age=since + 0.05)
    return _world(item, _told(item, "Unhealthy", f"{kind} probe failed: {said}", ago=0.1, count=int(since * 6)))


def _recovered(kind: str, said: str, probe: dict[str, Any]) -> Diagnosis:
    """Killed once by a probe five minutes ago, well ever since."""
    end = {"exitCode": 137, "reason": "Error", "startedAt": at(6), "finishedAt": at(5)}
    well = status(restarts=1, state={"running": {"startedAt": at(5)}}, lastState={"terminated": end})
    item = pod(containers=[container(**{f"{kind.lower()}Probe": probe})], statuses=[well])
    return _world(
        item,
        _told(item, "Unhealthy", f"{kind} probe failed: {said}", ago=5, count=probe.get("failureThreshold", 3)),
        well=True,
    )


def _refused(message: str, **spec: Any) -> Diagnosis:
    """What the scheduler says of a pod that it has no node for."""
    text = f"0/3 nodes are available: {message}. preemption: 0/3 nodes are available: 3 Preemption is not helpful."
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
    age = spec.pop("age", 60)
    item = pod(phase="Pending", statuses=[], conditions=[said], nodeName=None, age=age, **spec)
    return _world(item, event(item, "FailedScheduling", text), node(labels={"zone": "a"}))


def _bound(message: str, **spec: Any) -> Diagnosis:
    """The same pod once it has its node: the event remains for an hour."""
    item = pod(**spec)
    said = event(item, "FailedScheduling", f"0/3 nodes are available: {message}.", ago=10)
    return _world(item, said, node(labels={"zone": "a"}), well=True)


def _affinity(kind: str, **term: Any) -> dict[str, Any]:
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


IN_ZONE_B = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}
ZONE_B = {
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [IN_ZONE_B]}}}
}
SAME_NODE = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "payments"}}}
REFUSALS: dict[str, tuple[str, dict[str, Any]]] = {
    "insufficient_memory": ("3 Insufficient memory", {}),
    "insufficient_resource": ("3 Insufficient example.com/gpu", {}),
    "node_affinity_mismatch": ("3 node(s) didn't match Pod's node affinity/selector", ZONE_B),
    "pod_affinity_mismatch": ("3 node(s) didn't match pod affinity rules", _affinity("podAffinity", **SAME_NODE)),
    "pod_anti_affinity_conflict": (
        "3 node(s) didn't match pod anti-affinity rules",
        _affinity("podAntiAffinity", **SAME_NODE),
    ),
    "topology_spread_conflict": (
        "3 node(s) didn't match pod topology spread constraints (missing required label)",
        {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]},
    ),
    "host_port_conflict": (
        "3 node(s) didn't have free ports for the requested pod ports",
        {"containers": [container(ports=[{"containerPort": 8080, "hostPort": 28099}])]},
    ),
}


def _unheard(*, age: float = 60, **spec: Any) -> Diagnosis:
    """Pending without a word of any scheduler."""
    return _world(pod(phase="Pending", statuses=[], nodeName=None, age=age, **spec))


def _gated(*, age: float) -> Diagnosis:
    text = "Scheduling is blocked due to non-empty scheduling gates"
    said = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": text}
    gates = [{"name": "example.com/quota"}]
    item = pod(phase="Pending", statuses=[], conditions=[said], nodeName=None, schedulingGates=gates, age=age)
    return _world(item)


def _terminating(minutes: float, *more: Any) -> Diagnosis:
    """A pod whose grace period ended so long ago, beside its replacement on another node."""
    item = pod()
    item["metadata"]["deletionTimestamp"] = at(minutes)
    return _world(item, pod(nodeName="node-2"), node("node-2"), *more, well=True)


def _caller(log: str, *, well: bool = False, ask: str = "http://rates:8080/", **spec: Any) -> Diagnosis:
    """A client whose readiness is a file that it writes after its first call, and the alias that it calls."""
    probe = {"exec": {"command": ["test", "-f", "/tmp/ready"]}, "periodSeconds": 3}
    parts = [container("app", ports=[], args=[ask], readinessProbe=probe)]
    client = pod("client", containers=parts, statuses=[status(ready=well)], **spec)
    failing = [] if well else [_told(client, "Unhealthy", "Readiness probe failed: ", count=104)]
    alias = {"type": "ExternalName", "externalName": "rates.example.invalid"}
    return diagnosed(
        *deployment("client", available=int(well), containers=parts, **spec),
        client,
        failing,
        {"kind": "Service", "metadata": meta("rates"), "spec": alias},
        *deployment(),
        service(),
        pod(),
        logs={(client["metadata"]["name"], "app"): log},
    )


def _database(server_log: str) -> Diagnosis:
    """A database that is well, and what it wrote."""
    parts = [container("postgres", image="postgres:16", ports=[{"containerPort": 5432}])]
    server = pod("ledger", containers=parts, statuses=[status("postgres")])
    logs = {(server["metadata"]["name"], "postgres"): server_log}
    return diagnosed(*deployment("ledger", containers=parts), server, service("ledger", target=5432), logs=logs)


BAD_NAME = 'couldn\'t parse image name "Busy Box::1.36": invalid reference format: repository name must be lowercase'
NOT_THERE = 'Container image "shop/laptops:1" is not present with pull policy of Never'
LIVE_8080 = {**PORT, "initialDelaySeconds": 2, "periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 1}
START_8080 = {**PORT, "periodSeconds": 4}
LIVE_9090 = {**LIVE_8080, "httpGet": {"path": "/", "port": 9090}}
SLOW_START = {**PORT, "periodSeconds": 10, "failureThreshold": 30}
REFUSED = 'Get "http://10.85.0.7:{0}/": dial tcp 10.85.0.7:{0}: connect: connection refused'
NO_PATH = "HTTP probe failed with statuscode: 404"
NO_CONFIG = "CreateContainerConfigError"
NO_KEY = "couldn't find key password in Secret shop/credentials"
NO_PASSWORD = 'psycopg.OperationalError: connection failed: FATAL:  password authentication failed for user "orders"'
EXPIRED = "ERROR fetch https://auth/keys: tls: failed to verify certificate: x509: certificate has expired"
UNTRUSTED = "FATAL Get https://auth/keys: tls: x509: certificate signed by unknown authority"
BAD_ADDRESS = "ERROR request to http://{0}:8080/ failed: wget: bad address '{0}:8080'\n"
LAST_127 = {"lastState": _ended(127)["lastState"]}
SERVED = "INFO GET /orders 200\n"
IN_USE = "listen tcp :8080: bind: address already in use"
OWN_DNS = {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.96.0.77"]}}
COULD_NOT_FILL = 'MountVolume.SetUp failed for volume "data" : configmap "templates" not found'

# "cause: what", as in HEALTHY. What is at fault is the Deployment, but for these.
ELSEWHERE = {
    "service_external_name_unresolvable": "service/rates",
    "dns_resolution_failing": "deployment/client",
}
FAULTS: dict[str, Callable[[], Diagnosis]] = {
    "image_reference_invalid: malformed": lambda: _waiting("InvalidImageName", BAD_NAME, noted="InspectFailed"),
    "image_never_pull: not loaded": lambda: _waiting("ErrImageNeverPull", NOT_THERE, noted="ErrImageNeverPull"),
    "config_map_missing: in a variable": lambda: _waiting(NO_CONFIG, 'configmap "settings" not found'),
    "config_map_missing: in a volume": lambda: _mounting(COULD_NOT_FILL),
    "secret_key_missing: in a variable": lambda: _waiting(NO_CONFIG, NO_KEY),
    "command_not_found: by name": lambda: _start_error('exec: "serve": executable file not found in $PATH'),
    "command_not_found: by path": lambda: _start_error('exec: "/serve": stat /serve: no such file or directory'),
    "command_not_found: of a script": lambda: _crashing("sh: 1: serve: not found", code=127),
    "container_start_error: working directory": lambda: _start_error("mkdir /bin/busybox: not a directory"),
    "port_conflict: with another pod on the host": lambda: _crashing(IN_USE, hostNetwork=True),
    "port_conflict: of two containers": lambda: _beside("metrics", IN_USE),
    "sidecar_port_conflict: with the mesh": lambda: _beside("istio-proxy", IN_USE),
    "sidecar_port_conflict: with a native sidecar": lambda: _beside("istio-proxy", IN_USE, native=True),
    "liveness_probe_wrong_port: refused": lambda: _probed("Liveness", REFUSED.format(9090), LIVE_9090),
    "liveness_probe_too_aggressive: slow start": lambda: _probed("Liveness", REFUSED.format(8080), LIVE_8080),
    "liveness_probe_failing: wrong path": lambda: _probed("Liveness", NO_PATH, LIVE_8080),
    "readiness_probe_failing: wrong path": lambda: _unready(NO_PATH, {**PORT, "periodSeconds": 3}),
    "startup_probe_failing: never answers": lambda: _probed("Startup", REFUSED.format(8080), START_8080),
    **{f"{cause}: refused": lambda row=row: _refused(row[0], **row[1]) for cause, row in REFUSALS.items()},
    "insufficient_memory: on more nodes than CPU": lambda: _refused("1 Insufficient cpu, 3 Insufficient memory"),
    "insufficient_resource: pod slots": lambda: _refused("3 Too many pods"),
    "scheduling_gated: for minutes": lambda: _gated(age=5),
    "scheduler_unknown: for an hour": lambda: _unheard(schedulerName="volcano"),
    "pod_stuck_terminating: on a node that is well": lambda: _terminating(10, node()),
    "service_external_name_unresolvable: called": lambda: _caller(BAD_ADDRESS.format("rates") * 9),
    "dns_resolution_failing: name servers of its own": lambda: _caller(
        BAD_ADDRESS.format("payments") * 9, ask="http://payments:8080/", **OWN_DNS
    ),
    "database_credentials_rejected: crashes": lambda: _crashing(NO_PASSWORD),
    "certificate_expired: crashes": lambda: _crashing(EXPIRED),
    "certificate_expired: runs on": lambda: _chatting(f"{EXPIRED}\n" * 5),
    "certificate_untrusted: crashes": lambda: _crashing(UNTRUSTED),
}

# Looks like one fault and is another.
LOOKALIKES: dict[str, tuple[Callable[[], Diagnosis], str]] = {
    "map-created-since-and-a-tag-that-is-not-there": (
        lambda: _mounting(COULD_NOT_FILL, state="ImagePullBackOff"),
        "image_not_found",
    ),
    "working-directory-that-the-user-may-not-enter": (
        lambda: _start_error('chdir to cwd ("/root") set in config.json failed: permission denied'),
        "container_start_error",
    ),
    "device-that-is-not-there": (
        lambda: _start_error('error gathering device information: open "/dev/kvm": no such file or directory'),
        "container_start_error",
    ),
    "exit-127-of-a-library": (
        lambda: _crashing("/app: error while loading shared libraries: libssl.so: cannot open", code=127),
        "crash_loop",
    ),
    "name-of-no-service": (
        lambda: _caller(BAD_ADDRESS.format("paymnets") * 9, ask="http://paymnets:8080/"),
        "service_address_wrong",
    ),
    "terminating-on-a-dead-node": (lambda: _terminating(10, node(ready="Unknown")), "kubelet_unavailable"),
}

# "cause: why it is well"
HEALTHY: dict[str, Callable[[], Diagnosis]] = {
    "image_reference_invalid: corrected in place": lambda: _over("InspectFailed", BAD_NAME),
    "image_never_pull: loaded since": lambda: _over("ErrImageNeverPull", NOT_THERE),
    "config_map_missing: created since": lambda: _over("FailedMount", COULD_NOT_FILL),
    "secret_key_missing: added since": lambda: _over("Failed", f"Error: {NO_KEY}"),
    "command_not_found: installed by the first run": lambda: _chatting(
        "sh: 1: serve: not found", statuses=[{**status(restarts=1), **LAST_127}]
    ),
    "container_start_error: once, on a busy node": lambda: _over("Failed", "Error: context deadline exceeded"),
    "port_conflict: takes the next port": lambda: _chatting(f"{IN_USE}, trying 8081\n{SERVED * 20}"),
    "sidecar_port_conflict: takes the next port": lambda: _beside("istio-proxy", IN_USE, native=True, ready=True),
    "liveness_probe_wrong_port: passes at a port that nobody declares": lambda: _recovered(
        "Liveness", REFUSED.format(9090), LIVE_9090
    ),
    "liveness_probe_too_aggressive: passed the second time": lambda: _recovered(
        "Liveness", REFUSED.format(8080), LIVE_8080
    ),
    "liveness_probe_failing: passes again": lambda: _recovered("Liveness", "statuscode: 503", LIVE_8080),
    "readiness_probe_failing: started a moment ago": lambda: _unready("statuscode: 503", PORT, since=0.4),
    "startup_probe_failing: within its time": lambda: _unready(
        REFUSED.format(8080), SLOW_START, kind="Startup", since=1
    ),
    **{f"{cause}: bound since": lambda row=row: _bound(row[0], **row[1]) for cause, row in REFUSALS.items()},
    "insufficient_memory: a node may be on its way": lambda: _refused("3 Insufficient memory", age=0.1),
    "scheduling_gated: its controller has not looked yet": lambda: _gated(age=0.1),
    "scheduler_unknown: has not looked yet": lambda: _unheard(age=0.1, schedulerName="volcano"),
    "scheduler_unknown: it runs": lambda: _chatting(SERVED, schedulerName="volcano"),
    "pod_stuck_terminating: a long grace period": lambda: _terminating(-5, node()),
    "service_external_name_unresolvable: at its start only": lambda: _caller(
        BAD_ADDRESS.format("rates") + SERVED * 20, well=True
    ),
    "dns_resolution_failing: a name server that knows the cluster": lambda: _caller(SERVED, well=True, **OWN_DNS),
    "database_credentials_rejected: the server tells of a stranger": lambda: _database(f"{NO_PASSWORD}\n" * 9),
    "certificate_expired: renewed since": lambda: _chatting(f"{EXPIRED}\n{SERVED * 20}"),
    "certificate_untrusted: renewed since": lambda: _chatting(f"{UNTRUSTED}\n{SERVED * 20}"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_only_incident_with_its_cause_and_object(name: str) -> None:
    cause = name.partition(":")[0]
    diagnosis = FAULTS[name]()
    assert causes(diagnosis) == [(cause, ELSEWHERE.get(cause, APP))]
    assert diagnosis.incidents[0].root_cause.evidence


@pytest.mark.parametrize("name", LOOKALIKES)
def test_what_looks_alike_is_told_apart(name: str) -> None:
    build, cause = LOOKALIKES[name]
    assert [found for found, _ in causes(build())] == [cause]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_near_miss_has_no_incident(name: str) -> None:
    assert causes(HEALTHY[name]()) == []


def test_every_fault_has_a_near_miss() -> None:
    assert {name.partition(":")[0] for name in FAULTS} == {name.partition(":")[0] for name in HEALTHY}
