"""The chart, as Helm renders it: what an API server, a security review and the services themselves would say of it."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from agent_service.metrics import Metrics as AgentMetrics
from agent_service.settings import Settings as AgentSettings
from gateway.metrics import Metrics as GatewayMetrics
from gateway.settings import Settings as GatewaySettings
from gateway.signing_keys import read_keys
from kubetriage import __version__
from kubetriage.state.resources import RESOURCES
from kubetriage.telemetry.exporting import collector_wanted
from rag_ingest.settings import Settings as IngestSettings
from tests.processes import ROOT, free_port, stop, wait_for_port

CHART = ROOT / "helm/kubetriage"
VALUE_FILES = [*sorted(CHART.glob("ci/*-values.yaml")), CHART / "values-tier2.yaml", CHART / "values-tier3.yaml"]
SITUATIONS: list[Path | None] = [None, *VALUE_FILES]
NAMESPACE = "triage"
RELEASE = "kt"
NAME = "kt-kubetriage"
KUBE_VERSION = "1.35.4"
SETTINGS: dict[str, type[BaseSettings]] = {
    "gateway": GatewaySettings,
    "agent": AgentSettings,
    "ingest": IngestSettings,
}

Object = dict[str, Any]


def find_tool(name: str) -> str:
    """Its path, from PATH or from where ../shared/cluster and `go install` put things; else the test is skipped."""
    places = ("~/.cache/kubecluster/bin", "~/go/bin")
    path = os.pathsep.join([os.environ.get("PATH", ""), *(str(Path(place).expanduser()) for place in places)])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is neither in PATH nor in {' or '.join(places)}")
    return found


def run(tool: str, *arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_tool(tool), *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=90, check=False
    )


def helm_template(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run("helm", "template", RELEASE, CHART, "-n", NAMESPACE, "--kube-version", KUBE_VERSION, *arguments)


@functools.cache
def rendered(values: Path | None, *settings: str) -> tuple[Object, ...]:
    """Every object of this situation."""
    chosen = ["-f", str(values)] if values else []
    done = helm_template(*chosen, *(part for setting in settings for part in ("--set", setting)))
    assert done.returncode == 0, done.stderr
    return tuple(item for item in yaml.safe_load_all(done.stdout) if item)


def ci(name: str) -> Path:
    return CHART / "ci" / f"{name}-values.yaml"


def objects(kind: str, values: Path | None = None) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in rendered(values) if item["kind"] == kind}


def pod_specs(values: Path | None) -> Iterator[tuple[str, Object, Object]]:
    """(component, pod metadata, pod spec) of everything that runs."""
    for item in rendered(values):
        if item["kind"] == "Pod":
            yield item["metadata"]["labels"]["app.kubernetes.io/component"], item["metadata"], item["spec"]
        elif item["kind"] in {"Deployment", "StatefulSet", "Job"}:
            pod = item["spec"]["template"]
            yield pod["metadata"]["labels"]["app.kubernetes.io/component"], pod["metadata"], pod["spec"]
        elif item["kind"] == "CronJob":
            pod = item["spec"]["jobTemplate"]["spec"]["template"]
            yield pod["metadata"]["labels"]["app.kubernetes.io/component"], pod["metadata"], pod["spec"]


def containers(values: Path | None, *, staying: bool = False) -> Iterator[tuple[str, Object]]:
    """``staying``: without what ends by itself."""
    for component, _, spec in pod_specs(values):
        assert "initContainers" not in spec
        if staying and spec.get("restartPolicy", "Always") != "Always":
            continue
        for container in spec["containers"]:
            yield component, container


def environment(component: str, values: Path | None = None) -> dict[str, Object]:
    found = next(container for name, container in containers(values) if name == component)
    return {variable["name"]: variable for variable in found["env"]}


every_situation = pytest.mark.parametrize("values", SITUATIONS, ids=lambda path: path.stem if path else "default")


# The chart as a whole


def test_helm_lint_is_silent_with_every_value_file() -> None:
    for values in SITUATIONS:
        chosen = ["-f", values] if values else []
        done = run("helm", "lint", "--strict", "--kube-version", KUBE_VERSION, CHART, *chosen)
        assert done.returncode == 0, f"{values}: {done.stdout}{done.stderr}"
        assert not re.search(r"\[(WARNING|ERROR)\]", done.stdout), done.stdout


def test_the_version_is_the_products() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_generated_files_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "helm/generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stderr}python helm/generate.py"


@every_situation
def test_a_rendering_is_complete_and_nothing_is_there_twice(values: Path | None) -> None:
    found = rendered(values)
    names = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in found]
    assert len(names) == len(set(names))
    assert {component for component, _, _ in pod_specs(values)} >= {"gateway", "agent"}
    for item in found:
        assert item["apiVersion"]
        assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == RELEASE
        cluster_wide = item["kind"] in {"ClusterRole", "ClusterRoleBinding"}
        assert ("namespace" in item["metadata"]) != cluster_wide, item["metadata"]["name"]
        assert len(item["metadata"]["name"]) <= 63


@every_situation
def test_what_is_referred_to_is_there(values: Path | None) -> None:
    pods = [metadata["labels"] for _, metadata, _ in pod_specs(values)]
    made = {(item["kind"], item["metadata"]["name"]) for item in rendered(values)}
    for item in rendered(values):
        if item["kind"] == "Service":
            selector = item["spec"]["selector"].items()
            assert any(selector <= labels.items() for labels in pods), item["metadata"]["name"]
        if item["kind"] == "HorizontalPodAutoscaler":
            target = item["spec"]["scaleTargetRef"]
            assert (target["kind"], target["name"]) in made
            deployment = next(
                other
                for other in rendered(values)
                if other["kind"] == "Deployment" and other["metadata"]["name"] == target["name"]
            )
            assert "replicas" not in deployment["spec"], "an upgrade would undo what the autoscaler did"
            for metric in (one["pods"]["metric"]["name"] for one in item["spec"]["metrics"] if one["type"] == "Pods"):
                metrics = {"gateway": GatewayMetrics, "agent": AgentMetrics}[target["name"].rpartition("-")[2]]()
                assert f"\n{metric} " in generate_latest(metrics.registry).decode(), "the service has no such metric"
    for _, _, spec in pod_specs(values):
        account = spec["serviceAccountName"]
        assert ("ServiceAccount", account) in made or account == "reader"
        mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert mounted <= volumes | {"data"}
        assert volumes <= mounted


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("gateway.replicaCnt=3", "additional properties 'replicaCnt' not allowed"),
        ("gateway.logLevel=LOUD", "logLevel"),
        ("gateway.limits.ask=often", "pattern"),
        ("rbac.scope=everything", "scope"),
        ("rbac.scope=namespaces", "list them in rbac.namespaces"),
        ("redis.enabled=false", "set redis.external.existingSecret or redis.external.url"),
        ("chroma.enabled=false", "ingest.enabled needs Chroma"),
        ("ingest.runbooks.source=bundled", "source"),
        ("keys.internalKey=a b", "pattern"),
    ],
)
def test_a_wrong_value_is_refused_with_what_to_do(setting: str, message: str) -> None:
    done = helm_template("--set", setting)
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        (None, "get secret kt-kubetriage-first-user -o jsonpath='{.data.password}'", "users add ada"),
        (ci("minimal"), "exec deploy/kt-kubetriage-gateway -- python -m kubetriage users add ada", "get secret"),
        (ci("everything"), "Reach it at https://triage.example.com", "users add ada"),
        (ci("namespaced"), "only these namespaces: default, kube-system", "users add ada"),
        (ci("existing-secrets"), "get secret team-admin -o jsonpath='{.data.admin-password}'", "users add ada"),
    ],
)
def test_notes_say_how_to_log_in(values: Path | None, said: str, unsaid: str, tmp_path: Path) -> None:
    # `helm template` leaves the notes out, and an install needs a cluster: a template that includes them shows them.
    copy = shutil.copytree(CHART, tmp_path / "chart")
    (copy / "templates/shown.yaml").write_text(
        'notes: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}'
    )
    done = run(
        *("helm", "template", RELEASE, copy, "-n", NAMESPACE, "--kube-version", KUBE_VERSION),
        *("-s", "templates/shown.yaml", *(["-f", values] if values else [])),
    )
    assert done.returncode == 0, done.stderr
    notes = yaml.safe_load(done.stdout)["notes"]
    assert said in notes
    assert unsaid not in notes
    for step in ("port-forward svc/kt-kubetriage-gateway 8080:80", "/v1/auth/token", "/v1/ask", "Bearer $TOKEN"):
        assert step in notes


# The services' own settings


@every_situation
def test_every_variable_is_a_setting_that_exists(values: Path | None) -> None:
    for component, container in containers(values):
        for variable in container.get("env", ()):
            name = variable["name"]
            if not name.startswith("KUBETRIAGE_"):
                continue
            if component in SETTINGS:
                prefix = f"KUBETRIAGE_{component.upper()}_"
                assert name.startswith(prefix), name
                assert name.removeprefix(prefix).lower() in SETTINGS[component].model_fields, name
            else:
                assert (component, name) in {
                    ("first-user", "KUBETRIAGE_GATEWAY_REDIS_URL"),
                    ("first-user", "KUBETRIAGE_PASSWORD"),
                }


@every_situation
def test_the_services_accept_their_variables(
    values: Path | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("k" * 64)
    for component, settings in SETTINGS.items():
        for name in list(os.environ):
            if name.startswith("KUBETRIAGE_"):
                monkeypatch.delenv(name)
        for container in (found for name, found in containers(values) if name == component):
            for variable in container["env"]:
                scheme = "redis" if "REDIS" in variable["name"] else "https"
                value = variable.get("value", f"{scheme}://from-a-secret:6379/0")
                monkeypatch.setenv(variable["name"], str(secret) if variable["name"].endswith("_FILE") else value)
            try:
                made = settings()
            except ValidationError as error:
                pytest.fail(f"{component}: {error}")
            if isinstance(made, GatewaySettings):
                assert made.agent_read_seconds > 100
                assert made.drain_seconds + 5 < _grace(component, values)


def _grace(component: str, values: Path | None) -> int:
    return next(spec["terminationGracePeriodSeconds"] for name, _, spec in pod_specs(values) if name == component)


@pytest.mark.parametrize("component", ["gateway", "agent"])
def test_a_pod_that_ends_has_time_for_what_it_is_doing(component: str) -> None:
    container = next(found for name, found in containers(None) if name == component)
    stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = int(environment(component)[f"KUBETRIAGE_{component.upper()}_DRAIN_SECONDS"]["value"])
    run_seconds = int(environment("agent")["KUBETRIAGE_AGENT_RUN_SECONDS"]["value"])
    assert drain > run_seconds, "a question that has begun is answered"
    assert _grace(component, None) > stop + drain


@every_situation
def test_no_service_variables_where_they_would_be_settings_of_ours(values: Path | None) -> None:
    # A Service called kubetriage-gateway would set KUBETRIAGE_GATEWAY_PORT=tcp://10.0.0.1:80 in each pod.
    for _, _, spec in pod_specs(values):
        assert spec["enableServiceLinks"] is False


def test_the_gateway_answers_to_its_service_and_its_ingress() -> None:
    value = environment("gateway", ci("everything"))["KUBETRIAGE_GATEWAY_ALLOWED_HOSTS"]["value"]
    service = f"{NAME}-gateway"
    wanted = {
        "localhost",
        "127.0.0.1",
        service,
        f"{service}.{NAMESPACE}",
        f"{service}.{NAMESPACE}.svc",
        f"{service}.{NAMESPACE}.svc.cluster.local",
        "triage.example.com",
        "triage.example.org",
        "triage.internal",
    }
    assert set(value.split(",")) == wanted
    assert objects("Service")[service]
    (ingress,) = objects("Ingress", ci("everything")).values()
    assert {rule["host"] for rule in ingress["spec"]["rules"]} == {"triage.example.com", "triage.example.org"}


def test_every_service_sends_its_traces_where_the_values_say() -> None:
    values = ci("everything")
    for component in SETTINGS:
        assert not any(name.startswith("OTEL_") for name in environment(component)), "off by default"
        found = environment(component, values)
        variables = {name: item.get("value") for name, item in found.items() if name.startswith("OTEL_")}
        assert collector_wanted({name: value for name, value in variables.items() if value})
        assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://otel-collector.observability.svc:4318"
        assert (variables["OTEL_TRACES_SAMPLER"], variables["OTEL_TRACES_SAMPLER_ARG"]) == (
            "parentbased_traceidratio",
            "0.1",
        )
        assert variables["OTEL_RESOURCE_ATTRIBUTES"] == (
            f"k8s.namespace.name={NAMESPACE},k8s.pod.name=$(POD_NAME),deployment.environment.name=production"
        )
        assert list(found).index("POD_NAME") < list(found).index("OTEL_RESOURCE_ATTRIBUTES"), "or it is not replaced"
        assert found["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"]["secretKeyRef"]["name"] == "collector"


def test_services_find_each_other() -> None:
    made = objects("Service")
    for component, variable in {
        "gateway": "KUBETRIAGE_GATEWAY_AGENT_URL",
        "agent": "KUBETRIAGE_AGENT_CHROMA_URL",
        "ingest": "KUBETRIAGE_INGEST_CHROMA_URL",
    }.items():
        host, _, port = environment(component)[variable]["value"].removeprefix("http://").partition(":")
        assert int(port) in {item["port"] for item in made[host]["spec"]["ports"]}


def test_what_is_external_is_not_made() -> None:
    for values, kind in ((ci("external-redis"), "redis"), (ci("external-chroma"), "chroma")):
        assert not [name for name in objects("StatefulSet", values) if name.endswith(kind)]
        assert not [name for name in objects("Service", values) if name.endswith(kind)]
    url = environment("gateway", ci("external-redis"))["KUBETRIAGE_GATEWAY_REDIS_URL"]
    assert url["valueFrom"]["secretKeyRef"] == {"name": "team-redis", "key": "uri"}
    chroma = environment("ingest", ci("external-chroma"))["KUBETRIAGE_INGEST_CHROMA_URL"]["value"]
    assert chroma == "http://chroma.data.svc:8000"
    assert "KUBETRIAGE_AGENT_CHROMA_URL" not in environment("agent", ci("no-chroma"))


def test_own_runbooks_have_an_ingest_and_a_source_of_their_own() -> None:
    found = {
        metadata["labels"]["kubetriage.io/source"]: spec
        for component, metadata, spec in pod_specs(ci("own-runbooks"))
        if component == "ingest"
    }
    assert set(found) == {"bundled", "payments"}
    variables = {item["name"]: item["value"] for item in found["payments"]["containers"][0]["env"]}
    assert variables["KUBETRIAGE_INGEST_SOURCE"] == "payments"
    assert variables["KUBETRIAGE_INGEST_PATHS"] == "/runbooks"
    volume = next(item for item in found["payments"]["volumes"] if item["name"] == "runbooks")
    assert volume["configMap"]["name"] == "payments-runbooks"


def test_an_ingest_by_jobs_runs_now_and_on_schedule_and_leaves_no_pod_between() -> None:
    values = ci("ingest-jobs")
    now, later = objects("Job", values), objects("CronJob", values)
    assert set(later) == {f"{NAME}-ingest-bundled", f"{NAME}-ingest-team"}
    assert not any("ingest" in name for name in (*objects("Deployment", values), *objects("Service", values)))
    for name, scheduled in later.items():
        (job,) = (item for other, item in now.items() if other.startswith(f"{name}-"))
        assert job["spec"] == scheduled["spec"]["jobTemplate"]["spec"]
        assert scheduled["spec"]["schedule"] == "0 3 * * *"
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert {"KUBETRIAGE_INGEST_WATCH", "KUBETRIAGE_INGEST_PORT"}.isdisjoint(
            variable["name"] for variable in container["env"]
        )
    # A Job cannot be changed, so another image makes another Job.
    changed = {item["metadata"]["name"] for item in rendered(values, "image.tag=9.9.9") if item["kind"] == "Job"}
    assert not {name for name in now if "ingest" in name} & changed


def test_alerts_and_monitors_leave_out_an_ingest_that_does_not_stay() -> None:
    watched = {item["metadata"]["name"] for item in rendered(ci("monitoring")) if item["kind"] == "ServiceMonitor"}
    found = rendered(ci("monitoring"), "ingest.mode=job")
    assert watched - {item["metadata"]["name"] for item in found if item["kind"] == "ServiceMonitor"} == {
        f"{NAME}-ingest"
    }
    (rules,) = (item for item in found if item["kind"] == "PrometheusRule")
    alerts = {rule.get("alert") for group in rules["spec"]["groups"] for rule in group["rules"]}
    assert "KubetriageAgentDown" in alerts
    assert not {alert for alert in alerts if alert and "Ingest" in alert}


# Secrets


def test_generated_keys_are_what_the_services_take() -> None:
    keys = objects("Secret")[f"{NAME}-keys"]["data"]
    assert len(base64.b64decode(keys["internal-key"])) >= 32
    assert read_keys(base64.b64decode(keys["signing-keys"]).decode()).signing.algorithm == "ES256"
    redis = {
        name: base64.b64decode(value).decode() for name, value in objects("Secret")[f"{NAME}-redis"]["data"].items()
    }
    assert redis["url"] == f"redis://:{redis['password']}@{NAME}-redis:6379/0"
    assert f"requirepass {redis['password']}\n" in redis["redis.conf"]
    assert "appendonly yes\n" in redis["redis.conf"]
    assert "maxmemory-policy noeviction\n" in redis["redis.conf"], "eviction would take users with it"
    first = objects("Secret")[f"{NAME}-first-user"]["data"]
    assert len(base64.b64decode(first["password"])) >= 20


class _ApiServer(http.server.BaseHTTPRequestHandler):
    """As much of an API server as `lookup` asks: which kinds there are, and Secrets by name."""

    secrets: dict[str, Object] = {}  # noqa: RUF012 - of the class that a test makes
    asked: set[str] = set()  # noqa: RUF012 - see above

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = path.rpartition("/secrets/")[2]
        resource = {"name": "secrets", "singularName": "", "namespaced": True, "kind": "Secret", "verbs": ["get"]}
        answers: dict[str, Object] = {
            "/version": {"major": "1", "minor": "35", "gitVersion": f"v{KUBE_VERSION}"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [resource]},
        }
        if path in answers:
            status, body = 200, answers[path]
        elif name in self.secrets and path == f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}":
            self.asked.add(name)
            status, body = 200, self.secrets[name]
        else:
            status, body = 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
            body["reason"] = "NotFound"
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def test_an_upgrade_keeps_what_the_install_generated(tmp_path: Path) -> None:
    installed = rendered(None)
    secrets = objects("Secret")
    handler = type("Handler", (_ApiServer,), {"secrets": secrets, "asked": set()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [cluster],
                "contexts": [context],
                "users": [{"name": "u", "user": {}}],
            }
        )
    )
    try:
        done = helm_template(
            *("--is-upgrade", "--dry-run=server", "--kubeconfig", kubeconfig, "--disable-openapi-validation"),
            *("--set", "gateway.replicaCount=3"),
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    assert handler.asked == set(secrets) == {f"{NAME}-keys", f"{NAME}-redis", f"{NAME}-first-user"}
    upgraded = [item for item in yaml.safe_load_all(done.stdout) if item]
    assert {item["metadata"]["name"]: item["data"] for item in upgraded if item["kind"] == "Secret"} == {
        name: secret["data"] for name, secret in secrets.items()
    }

    def checksums(found: Iterable[Object]) -> dict[str, Any]:
        workloads = (item for item in found if item["kind"] in {"Deployment", "StatefulSet"})
        return {item["metadata"]["name"]: item["spec"]["template"]["metadata"].get("annotations") for item in workloads}

    assert checksums(upgraded) == checksums(installed), "the first upgrade would restart everything"


def test_the_bundled_redis_starts_with_its_configuration(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server here")
    encoded = objects("Secret")[f"{NAME}-redis"]["data"]
    data = {name: base64.b64decode(value).decode() for name, value in encoded.items()}
    port = free_port()
    config = tmp_path / "redis.conf"
    config.write_text(data["redis.conf"].replace("dir /data", f"dir {tmp_path}").replace("port 6379", f"port {port}"))
    spec = objects("StatefulSet")[f"{NAME}-redis"]["spec"]["template"]["spec"]["containers"][0]
    program, *arguments = spec["readinessProbe"]["exec"]["command"]
    probe = [program, "-p", str(port), *arguments]
    job = objects("Job")[f"{NAME}-first-user"]["spec"]["template"]["spec"]["containers"][0]
    process = subprocess.Popen([spec["command"][0], str(config)], stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        assert subprocess.run(probe, capture_output=True, check=False).returncode != 0, "without a password"
        known = {**os.environ, "REDISCLI_AUTH": data["password"]}
        assert subprocess.run(probe, capture_output=True, check=False, env=known).returncode == 0
        assert (tmp_path / "appendonlydir").is_dir()
        # The first user's Job against it: once, again after a reinstall with another password, and after an upgrade.
        assert job["command"][-1] == "install"
        for when, password, said in (
            ("install", "first-password-of-admin", "added admin (admin)"),
            ("install", "another-one-of-admin", "new pass"),
            ("upgrade", "a-third-one-of-admin", "exists already"),
        ):
            variables = {
                **os.environ,
                "KUBETRIAGE_GATEWAY_REDIS_URL": data["url"].replace(f"{NAME}-redis:6379", f"127.0.0.1:{port}"),
                "KUBETRIAGE_PASSWORD": password,
            }
            done = subprocess.run(
                [sys.executable, *job["command"][1:-1], when],
                cwd=ROOT,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert said in done.stdout
            assert ("new pass" in done.stdout) is (said == "new pass")
            assert password not in done.stdout + done.stderr
    finally:
        stop(process)


def test_the_test_hook_is_a_program() -> None:
    (pod,) = objects("Pod").values()
    _, _, program, base, namespace = pod["spec"]["containers"][0]["command"]
    compile(program, "hook", "exec")
    assert (base, namespace) == (f"http://{NAME}-gateway:80", NAMESPACE)


@every_situation
def test_secrets_are_never_in_arguments_or_values(values: Path | None) -> None:
    secrets = [item for item in rendered(values) if item["kind"] == "Secret"]
    hidden = {
        base64.b64decode(value).decode().strip()
        for secret in secrets
        for name, value in secret["data"].items()
        if name != "username"
    }
    others = json.dumps([item for item in rendered(values) if item["kind"] != "Secret"])
    for value in hidden:
        assert value not in others
        assert json.dumps(value)[1:-1] not in others
    for _, container in containers(values):
        for variable in container.get("env", ()):
            if re.search(r"PASSWORD|API_KEY|REDIS_URL|AUTH$|OTLP_HEADERS$", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], variable["name"]
            assert not re.search(r"_(INTERNAL_KEY|SIGNING_KEYS)$", variable["name"]), "a file, not a variable"


def test_only_the_gateway_gets_the_signing_keys() -> None:
    for component, _, spec in pod_specs(None):
        entries = {
            item["key"]
            for volume in spec["volumes"]
            for item in volume.get("secret", {}).get("items", ())
            if volume["secret"]["secretName"] == f"{NAME}-keys"
        }
        wanted = {"gateway": {"internal-key", "signing-keys"}, "agent": {"internal-key"}}
        assert entries == wanted.get(component, set()), component


def test_existing_secrets_are_used_and_none_is_made_beside_them() -> None:
    values = ci("existing-secrets")
    assert set(objects("Secret", values)) == {f"{NAME}-redis"}
    used = json.dumps([spec for _, _, spec in pod_specs(values)])
    for name in ("team-keys", "team-admin", "other-clusters"):
        assert f'"{name}"' in used


# Rights


def _rules(values: Path | None) -> list[Object]:
    return [rule for item in rendered(values) if item["kind"] in {"Role", "ClusterRole"} for rule in item["rules"]]


def _granted(rules: list[Object]) -> dict[tuple[str, str], set[str]]:
    return {
        (group, resource): set(rule["verbs"])
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


@every_situation
def test_rights_are_reading_only_and_never_secrets(values: Path | None) -> None:
    for rule in _rules(values):
        assert set(rule["verbs"]) <= {"get", "list", "watch"}
        assert not any(name.startswith("secrets") or "*" in name for name in rule["resources"])
        assert "*" not in rule["apiGroups"]
        assert set(rule) == {"apiGroups", "resources", "verbs"}


def test_the_cluster_role_is_exactly_what_the_reader_reads() -> None:
    read = {"get", "list", "watch"}
    wanted = {(item.group, item.plural): read for item in RESOURCES if item.plural != "secrets"}
    wanted |= {("", "pods/log"): {"get"}, ("metrics.k8s.io", "pods"): {"list"}}
    assert _granted(_rules(None)) == wanted


def test_namespaced_rights_are_those_of_the_cluster_role_without_the_cluster() -> None:
    values = ci("namespaced")
    assert not objects("ClusterRole", values)
    assert not objects("ClusterRoleBinding", values)
    roles = [item for item in rendered(values) if item["kind"] == "Role"]
    assert {role["metadata"]["namespace"] for role in roles} == {"default", "kube-system"}
    cluster = {(item.group, item.plural) for item in RESOURCES if not item.namespaced}
    wanted = {key: verbs for key, verbs in _granted(_rules(None)).items() if key not in cluster}
    for role in roles:
        assert _granted(role["rules"]) == wanted
    for binding in (item for item in rendered(values) if item["kind"] == "RoleBinding"):
        (subject,) = binding["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": f"{NAME}-agent", "namespace": NAMESPACE}


def test_only_the_agent_has_a_token_and_rights() -> None:
    for component, _, spec in pod_specs(None):
        assert spec["automountServiceAccountToken"] is (component == "agent")
        assert (spec["serviceAccountName"] == f"{NAME}-agent") is (component == "agent")
    (binding,) = objects("ClusterRoleBinding").values()
    assert [subject["name"] for subject in binding["subjects"]] == [f"{NAME}-agent"]
    kinds = {item["kind"] for item in rendered(ci("no-rbac"))}
    assert not kinds & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


# Pods


@every_situation
def test_pods_are_restricted(values: Path | None) -> None:
    """Pod Security `restricted`, a read-only root besides, and one writable /tmp."""
    for component, _, spec in pod_specs(values):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] == 10001
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all(not {"hostPath"} & set(volume) for volume in spec["volumes"]), component
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["runAsNonRoot"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["seccompProfile"] == {"type": "RuntimeDefault"}
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
            assert not any("hostPort" in port for port in container.get("ports", ()))


@every_situation
def test_containers_have_limits_and_what_stays_has_probes(values: Path | None) -> None:
    for component, container in containers(values):
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory", "ephemeral-storage"}, component
    for component, container in containers(values, staying=True):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["timeoutSeconds"] >= 2
        if component in SETTINGS:
            assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
            (port,) = container["ports"]
            prefix = f"KUBETRIAGE_{component.upper()}_"
            variables = {item["name"]: item.get("value") for item in container["env"]}
            assert variables[f"{prefix}PORT"] == str(port["containerPort"])
            assert variables[f"{prefix}HOST"] == "0.0.0.0"
        # Liveness asks no dependency: a Redis that is away must not restart everything.
        assert "failureThreshold" in container["livenessProbe"]


def test_images_are_pinned_and_can_come_from_elsewhere() -> None:
    for _, container in containers(None):
        assert re.search(r":[^:]+$", container["image"])
        assert not container["image"].endswith(":latest")
    by_component = {component: container["image"] for component, container in containers(ci("everything"))}
    assert by_component["gateway"].startswith("registry.example.com/tools/kubetriage/gateway@sha256:")
    assert by_component["agent"] == "registry.example.com/tools/kubetriage/agent:0.1.0"
    assert by_component["redis"] == "registry.example.com/tools/redis:7"


def test_two_replicas_stay_apart_and_are_not_evicted_together() -> None:
    budgets = objects("PodDisruptionBudget")
    for component in ("gateway", "agent"):
        deployment = objects("Deployment")[f"{NAME}-{component}"]["spec"]
        assert deployment["replicas"] == 2
        assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        spread = deployment["template"]["spec"]["topologySpreadConstraints"]
        assert {item["topologyKey"] for item in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        selector = deployment["selector"]["matchLabels"]
        assert all(item["labelSelector"]["matchLabels"] == selector for item in spread)
        assert budgets[f"{NAME}-{component}"]["spec"]["selector"]["matchLabels"] == selector


def test_what_must_survive_lies_on_claims() -> None:
    for name in ("redis", "chroma"):
        spec = objects("StatefulSet")[f"{NAME}-{name}"]["spec"]
        (claim,) = spec["volumeClaimTemplates"]
        mounts = spec["template"]["spec"]["containers"][0]["volumeMounts"]
        assert {"name": claim["metadata"]["name"], "mountPath": "/data"} in mounts
        assert spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"


def test_pods_are_replaced_when_their_secrets_change() -> None:
    first, second = rendered(None), rendered(None, "commonLabels.again=yes")
    for component in ("gateway", "agent", "redis"):
        sums = []
        for found in (first, second):
            name = f"{NAME}-{component}"
            pod = next(
                item["spec"]["template"]
                for item in found
                if item["kind"] in {"Deployment", "StatefulSet"} and item["metadata"]["name"] == name
            )
            sums.append({k: v for k, v in pod["metadata"]["annotations"].items() if k.startswith("checksum/")})
        # Without a cluster each rendering makes new secrets.
        assert sums[0]
        assert all(sums[0][name] != sums[1][name] for name in sums[0])


def test_a_new_version_of_the_chart_alone_restarts_no_store(tmp_path: Path) -> None:
    copy = shutil.copytree(CHART, tmp_path / "chart")
    chart = copy / "Chart.yaml"
    chart.write_text(chart.read_text().replace(__version__, "99.0.0"))
    done = run("helm", "template", RELEASE, copy, "-n", NAMESPACE, "--kube-version", KUBE_VERSION)
    assert done.returncode == 0, done.stderr
    newer = {item["metadata"]["name"]: item for item in yaml.safe_load_all(done.stdout) if item}
    for name, older in objects("StatefulSet").items():
        pods = deepcopy([found["spec"]["template"] for found in (older, newer[name])])
        for pod in pods:
            pod["metadata"].get("annotations", {}).pop("checksum/redis", None)  # random without a cluster
        assert pods[0] == pods[1]
    assert newer[f"{NAME}-gateway"]["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":99.0.0")


# The network


def _policy(component: str, values: Path | None = None) -> Object:
    return objects("NetworkPolicy", values)[f"{NAME}-{component}"]["spec"]


def _peers(rules: list[Object]) -> set[str]:
    """Components that the rules name; ``everybody`` for a rule without peers."""
    found = set()
    for rule in rules:
        for peer in rule.get("from", rule.get("to", [])):
            labels = peer.get("podSelector", {}).get("matchLabels", {})
            found.add(labels.get("app.kubernetes.io/component") or labels.get("k8s-app") or json.dumps(peer))
        if not rule.get("from") and not rule.get("to"):
            found.add("everybody")
    return found


def test_only_the_gateway_is_reachable_from_outside() -> None:
    assert _peers(_policy("gateway")["ingress"]) == {"everybody"}
    assert _peers(_policy("agent")["ingress"]) == {"gateway"}
    assert _peers(_policy("chroma")["ingress"]) == {"agent", "ingest"}
    # The first user's Job writes one user, once.
    assert _peers(_policy("redis")["ingress"]) == {"gateway", "agent", "first-user"}
    without = rendered(None, "firstUser.enabled=false")
    redis = next(
        item for item in without if item["kind"] == "NetworkPolicy" and item["metadata"]["name"] == f"{NAME}-redis"
    )
    assert _peers(redis["spec"]["ingress"]) == {"gateway", "agent"}
    assert "ingress" not in _policy("ingest")
    assert {item["spec"]["type"] for item in objects("Service").values()} == {"ClusterIP"}


def test_nobody_gets_out_but_to_what_it_needs() -> None:
    assert _peers(_policy("gateway")["egress"]) == {"kube-dns", "agent", "redis"}
    assert _peers(_policy("ingest")["egress"]) == {"kube-dns", "chroma"}
    anywhere = json.dumps({"ipBlock": {"cidr": "0.0.0.0/0"}})
    assert _peers(_policy("agent")["egress"]) == {"kube-dns", "redis", "chroma", anywhere}
    for component in ("redis", "chroma"):
        assert "egress" not in _policy(component)


@every_situation
def test_whatever_runs_is_under_a_policy_that_denies_both_ways(values: Path | None) -> None:
    policies = objects("NetworkPolicy", values)
    if not policies:
        assert values == ci("minimal")
        return
    for policy in policies.values():
        assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    deny = policies[f"{NAME}-deny"]["spec"]
    assert set(deny) == {"podSelector", "policyTypes"}
    for _, metadata, _ in pod_specs(values):
        assert deny["podSelector"]["matchLabels"].items() <= metadata["labels"].items()


def test_policies_name_the_ports_of_the_containers() -> None:
    ports: dict[str, Any] = {
        component: {port["containerPort"] for port in container.get("ports", ())}
        for component, container in containers(None)
    }
    for policy in objects("NetworkPolicy").values():
        for rule in policy["spec"].get("egress", ()):
            for target in _peers([rule]) & set(ports):
                assert {item["port"] for item in rule["ports"]} == ports[target]


def test_a_restricted_network_is_just_what_it_says() -> None:
    values = ci("restricted-network")
    assert "everybody" not in _peers(_policy("gateway", values)["ingress"])
    egress = json.dumps(_policy("agent", values)["egress"])
    assert "10.0.0.1/32" in egress
    assert "0.0.0.0/0" not in egress
    assert "11434" in egress


@pytest.mark.parametrize(
    ("endpoint", "port"), [("http://collector:4318", 4318), ("https://vendor.example", 443), ("http://collector/x", 80)]
)
def test_traces_get_out_to_the_collectors_port(endpoint: str, port: int) -> None:
    for item in rendered(None, f"tracing.endpoint={endpoint}"):
        if item["kind"] == "NetworkPolicy":
            open_ports = [rule["ports"] for rule in item["spec"].get("egress", ()) if "to" not in rule]
            traced = item["metadata"]["name"].removeprefix(f"{NAME}-") in SETTINGS
            assert open_ports == ([[{"protocol": "TCP", "port": port}]] if traced else []), item["metadata"]["name"]
    for component in SETTINGS:
        egress = json.dumps(_policy(component, ci("everything"))["egress"])
        assert '"kubernetes.io/metadata.name": "observability"' in egress


def test_a_gateway_that_takes_alerts_has_its_keys_and_a_way_to_whom_it_tells() -> None:
    variables = environment("gateway", ci("alerts"))
    assert variables["KUBETRIAGE_GATEWAY_INCIDENT_NAMESPACES"]["value"] == "shop,payments"
    assert variables["KUBETRIAGE_GATEWAY_SLACK_URL"]["valueFrom"]["secretKeyRef"] == {
        "name": "kubetriage-alerts",
        "key": "slack-url",
    }
    spec = next(spec for component, _, spec in pod_specs(ci("alerts")) if component == "gateway")
    secret = next(volume["secret"] for volume in spec["volumes"] if volume["name"] == "alerts")
    files = {f"/alerts/{item['path']}" for item in secret["items"]}
    assert files == {
        entry["value"] for name, entry in variables.items() if entry.get("value", "").startswith("/alerts/")
    }
    egress = _policy("gateway", ci("alerts"))["egress"]
    assert {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [
        {"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 8443}
    ]} in egress  # fmt: skip
    assert egress[-1]["ports"] == [{"protocol": "TCP", "port": 3128}]
    assert not [name for name in environment("gateway") if "ALERT" in name or "SLACK" in name]


def test_prometheus_gets_in_when_it_is_to_scrape() -> None:
    for values in (ci("monitoring"), ci("scrape-annotations")):
        for component in ("agent", "ingest"):
            assert '"kubernetes.io/metadata.name": "monitoring"' in json.dumps(_policy(component, values)["ingress"])


# What others say of it


# kube-score's checks that do not hold here, and why.
KUBE_SCORE_IGNORED = {
    "container-image-pull-policy": "tags are versions, or digests; Always would need the registry at each start",
    "statefulset-has-servicename": "one replica behind a ClusterIP, which stays when the pod's address changes",
    "deployment-has-host-podantiaffinity": "topologySpreadConstraints do it",
    "statefulset-has-host-podantiaffinity": "one replica",
    "deployment-strategy": "ingest: one writer for each source",
    "deployment-replicas": "ingest: one writer for each source",
    "statefulset-has-poddisruptionbudget": "one replica: a budget would only block a drain",
    "service-type": "NodePort is somebody's choice",
}


@pytest.mark.parametrize("values", [None, ci("everything")], ids=["default", "everything"])
def test_kube_score_has_nothing_to_say(values: Path | None) -> None:
    text = yaml.safe_dump_all(rendered(values))
    ignored = [part for name in KUBE_SCORE_IGNORED for part in ("--ignore-test", name)]
    done = run("kube-score", "score", "--output-format", "ci", *ignored, "-", stdin=text)
    said = [line for line in done.stdout.splitlines() if line.startswith(("[CRITICAL]", "[WARNING]"))]
    assert not said, "\n".join(said)
    assert "[OK]" in done.stdout


@pytest.mark.cluster
@every_situation
def test_an_api_server_takes_every_object(values: Path | None) -> None:
    """A server-side dry run; nothing is made. Kinds of operators that are not installed are left out."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    kinds = run("kubectl", "api-resources", "--no-headers", "-o", "name").stdout
    taken: list[Object] = []
    for item in rendered(values):
        if item["apiVersion"].startswith("monitoring.coreos.com") and "servicemonitors" not in kinds:
            continue
        copy = deepcopy(item)
        # Namespaces and accounts of the release do not exist, and a dry run makes none.
        if "namespace" in copy["metadata"]:
            copy["metadata"]["namespace"] = "default"
        if copy["kind"] == "Pod":
            copy["spec"]["serviceAccountName"] = "default"
        taken.append(copy)
    names = {(item["kind"], item["metadata"]["name"]) for item in taken}
    done = run("kubectl", "apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(taken))
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.splitlines())) >= len(names)
    assert "Warning" not in done.stderr, done.stderr
