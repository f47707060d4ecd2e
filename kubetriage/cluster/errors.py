"""What reading a cluster may raise. Each has a stable ``code``; no HTTP in here."""

from __future__ import annotations


class ClusterError(Exception):
    """Base. The message says what happened and what to do next; it never holds a credential."""

    code = "cluster_error"


class ClusterUnreachableError(ClusterError):
    """No answer from the API server, or no usable kubeconfig."""

    code = "cluster_unreachable"


class UnknownClusterError(ClusterError):
    """No kubeconfig context or configured cluster of that name."""

    code = "cluster_unknown"


class ObjectNotFoundError(ClusterError):
    """The server says that the object does not exist."""

    code = "object_not_found"


class ForbiddenError(ClusterError):
    """The server refused: the message names verb and resource."""

    code = "forbidden"


class BundleFormatError(ClusterError):
    """Not a bundle in any layout that we know, or a damaged one."""

    code = "bundle_format"
