"""Captured clusters: support bundles in the layouts that people have.

``files`` gives a folder or an archive one face, ``layouts`` knows where each tool puts things,
``cluster`` reads them through the ``ClusterReader`` interface.
"""

from kubetriage.cluster.bundle.cluster import BundleCluster, open_bundle

__all__ = ["BundleCluster", "open_bundle"]
