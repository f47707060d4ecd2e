"""What the services export, read from their own registries."""

from __future__ import annotations

import functools
import re
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from agent_service.metrics import Metrics as AgentMetrics
from gateway.metrics import Metrics as GatewayMetrics
from rag_ingest.metrics import Metrics as IngestMetrics

METRICS: dict[str, type[Any]] = {"gateway": GatewayMetrics, "agent": AgentMetrics, "ingest": IngestMetrics}
# Given by Prometheus when it scrapes.
TARGET_LABELS = {"namespace", "job", "instance", "pod"}


@functools.cache
def exported() -> dict[str, set[str]]:
    """Every series name that a service exports, with its labels."""
    found: dict[str, set[str]] = {}
    for registry in (made().registry for made in METRICS.values()):
        for family in registry.collect():
            collector = registry._names_to_collectors.get(family.name)
            labels = set(collector._labelnames) if isinstance(collector, MetricWrapperBase) else set()
            if family.type == "counter":
                found[f"{family.name}_total"] = labels
            elif family.type == "histogram":
                found[f"{family.name}_bucket"] = labels | {"le"}
                found |= {f"{family.name}_sum": labels, f"{family.name}_count": labels}
            else:
                found[family.name] = labels
            found |= {sample.name: labels | set(sample.labels) for sample in family.samples if sample.name not in found}
    return found


def assert_real(expression: str, recorded: frozenset[str] = frozenset()) -> None:
    """Every metric exists, and every label that is matched or summed by is one of its labels."""
    known = exported()
    names = set(re.findall(r"\b(?:kubetriage|process)[a-z0-9_:]+\b", re.sub(r'"[^"]*"', '""', expression)))
    names -= {"kubetriage_"}
    assert names, expression
    assert names - recorded <= set(known), f"{names - recorded - set(known)} in {expression}"
    for metric, matchers in re.findall(r"\b((?:kubetriage|process)_[a-z0-9_]+)\{([^}]*)\}", expression):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers))
        assert labels <= known[metric] | TARGET_LABELS, f"{labels} of {metric}"
    by = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}
    reachable = TARGET_LABELS.union(*(known.get(name, set()) for name in names))
    assert by <= reachable, f"{by} in {expression}"
