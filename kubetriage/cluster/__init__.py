"""Reading a cluster: live (``live``) or captured (``bundle``), through one interface (``reader``).

The only package that imports the Kubernetes client. Reads only. The names below load on first use,
so that reading a bundle never pays for the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubetriage.cluster.bundle import BundleCluster, open_bundle
    from kubetriage.cluster.collect import CollectReport, collect_bundle
    from kubetriage.cluster.connection import connect
    from kubetriage.cluster.live import LiveCluster

_HOMES = {
    "BundleCluster": "bundle",
    "open_bundle": "bundle",
    "CollectReport": "collect",
    "collect_bundle": "collect",
    "LiveCluster": "live",
    "connect": "connection",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    import importlib  # noqa: PLC0415 - this function is the laziness

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["BundleCluster", "CollectReport", "LiveCluster", "collect_bundle", "connect", "open_bundle"]
