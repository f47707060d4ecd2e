"""An image holds what its service imports: the requirement files are what the images install."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.processes import ROOT

SERVICES = {"gateway": ["gateway"], "agent": ["agent_service"], "ingest": ["rag_ingest"]}
OWN = {"kubetriage", "gateway", "agent_service", "rag_ingest"}


def imported(path: Path) -> Iterator[str]:
    """Top-level names of what a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("service", SERVICES)
def test_a_requirement_file_has_what_its_service_imports(service: str) -> None:
    text = (ROOT / f"requirements/{service}.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9_.-]+)(?:\[.*\])?==", text, re.MULTILINE))
    distributions = packages_distributions()
    needed: dict[str, set[str]] = {}
    for package in SERVICES[service]:
        for path in (ROOT / package).rglob("*.py"):
            for name in set(imported(path)) - OWN - set(sys.stdlib_module_names):
                needed.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    assert needed
    missing = {
        name: sorted(places)
        for name, places in needed.items()
        if not {one.lower().replace("_", "-") for one in distributions.get(name, [name])} & pinned
    }
    assert not missing
