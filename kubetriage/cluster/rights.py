"""Which rights reading a cluster needs, which of them are missing, and the role that grants them.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from kubetriage.cluster.reader import ClusterReader
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.logs import LogKey
from kubetriage.state.resources import RESOURCES, Resource

READ = ["get", "list", "watch"]
NOBODY = "kubetriage-rbac-check"  # a name that nothing has
_REFUSED = (401, 403)


def readable_resources(*, cluster_wide: bool) -> list[Resource]:
    """What a diagnosis may read. Never Secrets; without ``cluster_wide`` only what lives in namespaces."""
    return [entry for entry in RESOURCES if entry.plural != "secrets" and (cluster_wide or entry.namespaced)]


async def find_missing_rights(reader: ClusterReader, namespace: str | None) -> list[Unreadable]:
    """What the API server refuses, by asking for objects of a name that nobody has: cheap in any cluster.

    ``namespace`` None: everywhere. What is not served (no metrics-server, say) is not missing. Raises
    ClusterUnreachableError.
    """
    resources = readable_resources(cluster_wide=namespace is None)
    selector = f"metadata.name={NOBODY}"
    listings, log, usage = await asyncio.gather(
        asyncio.gather(*(reader.list_objects(entry, namespace, field_selector=selector) for entry in resources)),
        reader.read_log(LogKey(namespace or "default", NOBODY, "any")),
        reader.read_usage(namespace),
    )
    gaps = [gap for listing in listings for gap in listing.unreadable]
    gaps += [log] if isinstance(log, Unreadable) else []
    return [gap for gap in (*gaps, *usage.unreadable) if gap.status in _REFUSED]


def role_for(resources: Sequence[Resource], *, name: str, namespace: str | None) -> dict[str, Any]:
    """A Role of ``namespace``, or (None) a ClusterRole, that allows to read these, logs and metrics."""
    rules = [
        {
            "apiGroups": [group],
            "resources": [entry.plural for entry in resources if entry.group == group],
            "verbs": READ,
        }
        for group in dict.fromkeys(entry.group for entry in resources)
    ]
    rules.append({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]})
    rules.append({"apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["list"]})
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    kind = "ClusterRole" if namespace is None else "Role"
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules}


def told(gaps: Iterable[Unreadable]) -> list[str]:
    """``list nodes (403)``, each once."""
    return list(dict.fromkeys(f"{gap.verb} {gap.resource} ({gap.status})" for gap in gaps))
