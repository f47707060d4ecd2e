"""The state of a cluster as plain data: what was read, and what could not be.

No I/O. Objects are the API's own JSON (``dict``), as the server sent them: a rule quotes field
paths, and a reader of the answer finds the same paths in ``kubectl get -o json``.
"""

from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.resources import RESOURCES, Resource, resource_by_kind, resource_by_plural
from kubetriage.state.snapshot import Alert, ConnectivityCheck, MetricSeries, NodeService, Snapshot

__all__ = [
    "RESOURCES",
    "Alert",
    "ConnectivityCheck",
    "LogKey",
    "LogText",
    "MetricSeries",
    "NodeService",
    "Resource",
    "Snapshot",
    "resource_by_kind",
    "resource_by_plural",
]
