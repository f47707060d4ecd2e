"""Writes what can be derived from the chart's values.yaml: values.schema.json and README.md.

``python helm/generate.py``; with ``--check`` it only says what is not up to date, which a test does.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "kubetriage"

_RATE = {"type": "string", "pattern": r"^[0-9]+ ?(/|per) ?[0-9]*(second|minute|hour|day)s?$"}
_LEVEL = {"enum": ["DEBUG", "INFO", "WARNING", "ERROR"]}
_NAMES: dict[str, Any] = {"type": "array", "items": {"type": "string", "minLength": 1}}
_OBJECTS: dict[str, Any] = {"type": "array", "items": {"type": "object"}}
_FREE: dict[str, Any] = {"type": "object"}
_STRINGS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
_PORT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 65535}
_RATIO: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
_DIGEST: dict[str, Any] = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
_SECRET_KEY: dict[str, Any] = {"type": "string", "pattern": "^[-._a-zA-Z0-9]+$"}
_OPTIONAL_KEY: dict[str, Any] = {"type": "string", "pattern": "^[-._a-zA-Z0-9]*$"}
_CIDRS: dict[str, Any] = {"type": "array", "items": {"type": "string", "pattern": "/[0-9]+$"}, "minItems": 1}

# By the end of the path, the longest wins; what is in neither gets its default's type.
RULES: dict[str, dict[str, Any]] = {
    "tier": {"type": "integer", "minimum": 1, "maximum": 3},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.repository": {"type": "string", "minLength": 1},
    "digest": _DIGEST,
    "image.pullSecrets": _OBJECTS,
    "firstUser.role": {"enum": ["viewer", "operator", "admin"]},
    "firstUser.username": {"type": "string", "pattern": "^[a-z0-9._@-]{1,64}$"},
    "passwordKey": _SECRET_KEY,
    "internalKey": _SECRET_KEY,
    "signingKeys": _SECRET_KEY,
    "urlKey": _SECRET_KEY,
    "apiKeyKey": _SECRET_KEY,
    "kubeconfig.key": _SECRET_KEY,
    "limits.user": _RATE,
    "limits.ask": _RATE,
    "limits.address": _RATE,
    "logLevel": _LEVEL,
    "preStopSeconds": {"type": "integer", "minimum": 1, "maximum": 120},
    "drainSeconds": {"type": "integer", "minimum": 1, "maximum": 3600},
    "runSeconds": {"type": "integer", "minimum": 1, "maximum": 3590},
    "toolSeconds": {"type": "integer", "minimum": 1, "maximum": 3600},
    "maxSteps": {"type": "integer", "minimum": 2, "maximum": 100},
    "concurrentRuns": {"type": "integer", "minimum": 1, "maximum": 10000},
    "intervalSeconds": {"type": "integer", "minimum": 1, "maximum": 86400},
    "replicaCount": {"type": "integer", "minimum": 0},
    "minReplicas": {"type": "integer", "minimum": 1},
    "maxReplicas": {"type": "integer", "minimum": 1},
    "targetCPU": {"type": "integer", "minimum": 1, "maximum": 100},
    "targetInFlight": {"type": "integer", "minimum": 0},
    "behavior": _FREE,
    "maxUnavailable": {"type": ["integer", "string"]},
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "service.port": _PORT,
    "external.ports": {"type": "array", "items": _PORT, "minItems": 1},
    "nodePort": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535},
    "rbac.scope": {"enum": ["cluster", "namespaces"]},
    "runbooks.source": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,30}$", "not": {"const": "bundled"}},
    "whenDeleted": {"enum": ["Retain", "Delete"]},
    "alertKey": _SECRET_KEY,
    "webhookKey": _SECRET_KEY,
    "slackUrl": _OPTIONAL_KEY,
    "webhookUrl": _OPTIONAL_KEY,
    "clusterLabel": {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
    "alerts.namespaces": _NAMES,
    "alerts.clusters": _NAMES,
    "notificationPorts": {"type": "array", "items": _PORT, "minItems": 1},
    "notificationCidrs": _CIDRS,
    "apiServerPorts": {"type": "array", "items": _PORT},
    "apiServerCidrs": _CIDRS,
    "tracing.endpoint": {"type": "string", "pattern": "^(https?://.+)?$"},
    "tracing.sampleRatio": {"type": "number", "minimum": 0, "maximum": 1},
    "tracing.headersKey": _SECRET_KEY,
    "tracing.attributes": {"type": "object", "additionalProperties": {"type": "string", "pattern": "^[^,=]*$"}},
    "availabilityObjective": _RATIO,
    "errorRatio": _RATIO,
    "degradedRatio": _RATIO,
    "allowedHosts": _NAMES,
    "trustedProxies": _NAMES,
    "corsOrigins": _NAMES,
    "ingress.hosts": _NAMES,
    "contexts": _NAMES,
    "rbac.namespaces": _NAMES,
    "chroma.args": _NAMES,
    "annotations": _STRINGS,
    "podAnnotations": _STRINGS,
    "podLabels": _STRINGS,
    "labels": _STRINGS,
    "alertLabels": _STRINGS,
    "commonLabels": _STRINGS,
    "nodeSelector": _STRINGS,
    "affinity": _FREE,
    "resources": {
        "type": "object",
        "additionalProperties": False,
        "properties": dict.fromkeys(("requests", "limits", "claims"), _FREE),
        "required": ["requests", "limits"],
    },
    # A value that stands in the open is no secret; what begins like one must come from a Secret.
    "extraEnv": {
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "value": {"type": "string"},
                "valueFrom": _FREE,
            },
        },
    },
}


def _rule(path: str) -> dict[str, Any] | None:
    fitting = [end for end in RULES if path == end or path.endswith("." + end)]
    return RULES[max(fitting, key=len)] if fitting else None


_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}


def _schema(value: Any, path: str) -> dict[str, Any]:
    rule = _rule(path)
    if rule is not None:
        return rule
    if isinstance(value, dict):
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: _schema(inner, f"{path}.{name}".lstrip(".")) for name, inner in value.items()},
        }
    if isinstance(value, list):
        return _OBJECTS
    return {"type": _TYPES[type(value)]}


def schema(values: dict[str, Any]) -> dict[str, Any]:
    """Types of the defaults, sharpened by RULES; nothing else may be set."""
    made = _schema(values, "")
    made["properties"]["global"] = {"type": "object"}  # Helm's own, for a chart that contains this one
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "kubetriage", **made}


_ENTRY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z0-9]+):(?: (?P<rest>.*))?$")
_COMMENT = re.compile(r"^ *# -- (?P<text>.*)$")


def described(text: str) -> Iterator[tuple[str, str]]:
    """(path, description) of every value with a ``# --`` comment."""
    where: list[tuple[int, str]] = []
    comment: str | None = None
    for line in text.splitlines():
        if found := _COMMENT.match(line):
            comment = found["text"]
        elif found := _ENTRY.match(line):
            indent = len(found["indent"])
            where = [(depth, name) for depth, name in where if depth < indent] + [(indent, found["name"])]
            if comment is not None:
                yield ".".join(name for _, name in where), comment
            comment = None


def undescribed(values: Any, known: set[str], path: str = "") -> Iterator[str]:
    """Values without a description of their own or of what holds them."""
    for name, inner in values.items():
        here = f"{path}.{name}".lstrip(".")
        if here in known:
            continue
        if isinstance(inner, dict) and inner:
            yield from undescribed(inner, known, here)
        else:
            yield here


def readme() -> str:
    """The chart's README: its text, then the table."""
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    rows = []
    for path, description in described(text):
        value = values
        for name in path.split("."):
            value = value[name]
        shown = json.dumps(value).replace("|", "\\|")
        rows.append(f"| `{path}` | `{shown}` | {description} |")
    head = (CHART / "README.head.md").read_text().rstrip()
    return "\n".join([head, "", "| value | default | |", "|---|---|---|", *rows, ""])


def files() -> dict[Path, str]:
    """Every generated file with its content."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return {CHART / "values.schema.json": json.dumps(schema(values), indent=2) + "\n", CHART / "README.md": readme()}


def main() -> None:
    """Writes them, or says which are not up to date."""
    values = (CHART / "values.yaml").read_text()
    missing = list(undescribed(yaml.safe_load(values), {path for path, _ in described(values)}))
    if missing:
        sys.exit(f"values without a `# --` comment: {', '.join(missing)}")
    stale = [path for path, content in files().items() if not path.exists() or path.read_text() != content]
    if "--check" in sys.argv:
        sys.exit(f"not up to date: {', '.join(map(str, stale))}" if stale else 0)
    for path, content in files().items():
        path.write_text(content)
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
