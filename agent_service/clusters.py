"""The clusters that this agent reads, opened once and shared by all runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent_service.errors import ClusterForbiddenError
from kubetriage.cluster import connect, open_bundle
from kubetriage.cluster.reader import ClusterReader

_DEFAULT = ""


class Clusters:
    """Readers by name. ``contexts``: kubeconfig contexts, the first is the default."""

    def __init__(
        self, *, contexts: tuple[str, ...] = (), kubeconfig: str | None = None, bundle: Path | None = None
    ) -> None:
        self._contexts = contexts
        self._kubeconfig = kubeconfig
        self._bundle = bundle
        self._readers: dict[str, ClusterReader] = {}
        self._opening = asyncio.Lock()

    async def reader(self, name: str | None, allowed: tuple[str, ...] | None) -> ClusterReader:
        """The cluster called ``name`` (None: the default one).

        ``allowed``: clusters of the caller, None for all. Raises ClusterForbiddenError for an unknown
        cluster and for one that is not the caller's alike, ClusterUnreachableError.
        """
        key = self._key(name)
        reader = await self._open(key)
        known = {reader.name, key} - {_DEFAULT}
        if allowed is not None and not known & set(allowed):
            raise _unknown(name)
        if name is not None and name not in known:
            raise _unknown(name)
        return reader

    def _key(self, name: str | None) -> str:
        if not self._contexts:
            return _DEFAULT
        if name is None:
            return self._contexts[0]
        if name not in self._contexts:
            raise _unknown(name)
        return name

    async def _open(self, key: str) -> ClusterReader:
        async with self._opening:
            if key not in self._readers:
                if self._bundle is not None:
                    self._readers[key] = await asyncio.to_thread(open_bundle, self._bundle)
                else:
                    self._readers[key] = await connect(key or None, kubeconfig=self._kubeconfig)
        return self._readers[key]

    async def aclose(self) -> None:
        for reader in self._readers.values():
            await reader.aclose()


def _unknown(name: str | None) -> ClusterForbiddenError:
    what = f"cluster {name}" if name else "default cluster"
    return ClusterForbiddenError(f"There is no {what} that you may read; leave the cluster out or name another.")
