"""Importing the Kubernetes client without what is not used of it.

``import kubernetes`` brings the synchronous client, OAuth, websockets and informers: 0.2 to 0.35 s
that every cold command would pay. The parts used here (kubeconfig loading, HTTP) stand alone under
``kubernetes.aio``; only the packages above them pull in the rest.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

_PARENTS = ("kubernetes", "kubernetes.aio", "kubernetes.aio.utils")


def load_client() -> tuple[Any, Any]:
    """``kubernetes.aio.client`` and ``kubernetes.aio.config``."""
    if "kubernetes" not in sys.modules:
        try:
            return _load_lean()
        except (ImportError, AttributeError):  # a release that is laid out differently
            for name in [name for name in sys.modules if name.partition(".")[0] == "kubernetes"]:
                del sys.modules[name]
    return importlib.import_module("kubernetes.aio.client"), importlib.import_module("kubernetes.aio.config")


def _load_lean() -> tuple[Any, Any]:
    added: list[str] = []
    try:
        for name in _PARENTS:
            sys.modules[name] = _bare_package(name)
            added.append(name)
        client = importlib.import_module("kubernetes.aio.client")
        config = importlib.import_module("kubernetes.aio.config")
        for lazy in ("ApiClient", "Configuration"):
            getattr(client, lazy)
    finally:
        # Whoever imports these later gets the real packages.
        for name in added:
            sys.modules.pop(name, None)
    return client, config


def _bare_package(name: str) -> ModuleType:
    """The package with its search path, its own code not run."""
    parent, _, last = name.rpartition(".")
    if parent:
        search = [f"{place}/{last}" for place in sys.modules[parent].__path__]
    else:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError(f"the package {name} is not installed")
        search = list(spec.submodule_search_locations)
    package = ModuleType(name)
    package.__path__ = search
    return package
