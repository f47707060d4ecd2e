"""What every test may use. Nothing leaves this machine."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of a real cluster run when KUBECONFIG names one, and say why when they do not."""
    del config
    if os.environ.get("KUBECONFIG"):
        return
    reason = pytest.mark.skip(reason="KUBECONFIG names no cluster: run 'make test-cluster' with one")
    for item in items:
        if item.get_closest_marker("cluster"):
            item.add_marker(reason)
