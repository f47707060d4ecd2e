"""docker-compose.yml and the Dockerfile say what the services really take."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from agent_service.settings import Settings as AgentSettings
from gateway.settings import Settings as GatewaySettings
from rag_ingest.settings import Settings as IngestSettings
from tests.processes import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SETTINGS: dict[str, type[BaseSettings]] = {
    "gateway": GatewaySettings,
    "agent": AgentSettings,
    "ingest": IngestSettings,
}
OURS = list(SETTINGS)
MONITORING = [name for name, service in SERVICES.items() if "monitoring" in service.get("profiles", ())]


def test_it_is_what_the_compose_specification_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_prometheus_of_the_monitoring_profile_scrapes_every_service_and_has_the_rules() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: apt-get install prometheus")
    config = ROOT / "deploy/compose/prometheus.yml"
    subprocess.run(["promtool", "check", "config", str(config)], check=True, capture_output=True)
    said = yaml.safe_load(config.read_text())
    assert said["rule_files"] == ["rules/*.yaml"]
    assert "./deploy/prometheus:/etc/prometheus/rules:ro" in SERVICES["prometheus"]["volumes"]
    assert [path.name for path in (ROOT / "deploy/prometheus").glob("*.yaml")] == ["rules.yaml"]
    jobs = said["scrape_configs"]
    targets = {target for job in jobs for one in job["static_configs"] for target in one["targets"]}
    ports = {name: settings.model_fields["port"].default for name, settings in SETTINGS.items()}
    assert targets == {f"{name}:{port}" for name, port in ports.items()}


def test_what_is_mounted_exists_and_every_service_has_its_limits() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), f"{name} mounts {source}"
        assert name == "keys" or set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}


def test_every_service_has_a_health_check_and_starts_in_order() -> None:
    assert {*OURS, "redis", "chroma"} <= set(SERVICES)
    for name, service in SERVICES.items():
        assert name == "keys" or service["healthcheck"]["test"], name
        for other in service.get("depends_on", {}):
            assert other in SERVICES
    assert set(SERVICES["gateway"]["depends_on"]) == {"keys", "redis", "agent"}
    assert "--appendonly" in SERVICES["redis"]["command"]


@pytest.mark.parametrize("name", OURS)
def test_variables_are_settings_that_exist(name: str) -> None:
    prefix = f"KUBETRIAGE_{name.upper()}_"
    for variables in (SERVICES[name]["environment"], dict(re.findall(rf"({prefix}\w+)=(\S+)", DOCKERFILE))):
        for variable in variables:
            field = variable.removeprefix(prefix).lower()
            assert field in SETTINGS[name].model_fields, variable


@pytest.mark.parametrize("name", OURS)
def test_an_image_is_multi_stage_and_runs_without_root(name: str) -> None:
    assert SERVICES[name]["build"]["target"] == name
    assert f"FROM base AS {name}\nCOPY --from=build-{name} /venv /venv" in DOCKERFILE
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "USER 10001:10001" in DOCKERFILE


def test_only_the_gateway_is_reachable_from_outside_and_on_loopback_by_default() -> None:
    by_default = [name for name, service in SERVICES.items() if "ports" in service and "profiles" not in service]
    assert by_default == ["gateway"]
    assert SERVICES["gateway"]["ports"][0].startswith("${BIND:-127.0.0.1}:")
    assert all(port.startswith("127.0.0.1:") for name in MONITORING for port in SERVICES[name]["ports"])


def test_an_empty_variable_means_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes on unset variables as empty ones."""
    for name in ("BUNDLE", "KUBECONFIG", "CONTEXTS"):
        monkeypatch.setenv(f"KUBETRIAGE_AGENT_{name}", "")
    monkeypatch.setenv("MODEL", "")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("KUBETRIAGE_AGENT_INTERNAL_KEY", "k" * 40)
    settings = AgentSettings()
    assert settings.bundle is None
    assert settings.contexts == ()
    assert settings.model_name == "builtin"


def test_the_models_key_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBETRIAGE_AGENT_INTERNAL_KEY", "k" * 40)
    (tmp_path / "key").write_text("of the vendor\n")
    monkeypatch.setenv("KUBETRIAGE_AGENT_OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    found = AgentSettings().openai_api_key
    assert found is not None
    assert found.get_secret_value() == "of the vendor"
    monkeypatch.setenv("KUBETRIAGE_AGENT_OPENAI_API_KEY_FILE", str(tmp_path / "lost"))
    with pytest.raises(ValidationError, match="OPENAI_API_KEY_FILE cannot be read"):
        AgentSettings()
