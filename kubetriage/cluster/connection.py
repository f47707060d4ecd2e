"""From a kubeconfig, or from inside a cluster, to a LiveCluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kubetriage.cluster.client import load_client
from kubetriage.cluster.errors import ClusterUnreachableError, UnknownClusterError
from kubetriage.cluster.live import LiveCluster

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


async def connect(
    context: str | None = None, *, kubeconfig: str | None = None, in_cluster: bool | None = None
) -> LiveCluster:
    """Connect by kubeconfig context (None: the current one), or from inside a cluster.

    ``kubeconfig``: one path or several, as in KUBECONFIG; None: that variable, else ~/.kube/config.
    ``in_cluster``: None takes the pod's own account when there is no kubeconfig. No request is made.
    Raises UnknownClusterError for a context that is not there, ClusterUnreachableError when there
    is no usable configuration.
    """
    paths = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    readable = bool(_files(paths))
    if in_cluster or (in_cluster is None and not readable and context is None and _inside()):
        return _from_inside()
    if not readable:
        raise ClusterUnreachableError(
            f"no kubeconfig: looked at {paths.replace(os.pathsep, ', ')}; set KUBECONFIG or read a bundle instead"
        )
    client, config = load_client()
    configuration = client.Configuration()
    try:
        wanted = _chosen(config, paths, context)
        loader = await config.load_kube_config(
            config_file=paths, context=wanted, client_configuration=configuration, persist_config=False
        )
        namespace = loader.current_context["context"].get("namespace")
        _keep_fresh(loader, configuration)
        return LiveCluster(wanted, client.ApiClient(configuration), namespace=namespace)
    # What the client raises for damaged YAML, base64, certificates and missing keys, in one.
    except (config.ConfigException, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ClusterUnreachableError(f"the kubeconfig {paths} cannot be used: {error}"[:400]) from error
    except Exception as error:
        if type(error).__module__.startswith("yaml"):  # the message quotes the file: it may hold a token
            raise ClusterUnreachableError(f"the kubeconfig {paths} is no valid YAML") from None
        raise


def _from_inside() -> LiveCluster:
    client, config = load_client()
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise ClusterUnreachableError(f"not inside a cluster: {error}") from error
    namespace = _SERVICE_ACCOUNT / "namespace"
    own = namespace.read_text().strip() if namespace.is_file() else None
    return LiveCluster("in-cluster", client.ApiClient(configuration), namespace=own)


def _files(paths: str) -> list[Path]:
    named = [Path(part).expanduser() for part in paths.split(os.pathsep) if part]
    return [file for file in named if file.is_file()]


def _inside() -> bool:
    return (_SERVICE_ACCOUNT / "token").is_file()


def _chosen(config: Any, paths: str, context: str | None) -> str:
    names, current = _contexts(config, paths)
    wanted = context or current
    if wanted is None or wanted not in names:
        told = f"no context {wanted!r}" if wanted else "no current context"
        raise UnknownClusterError(f"{told} in {paths}; there are: {', '.join(names) or 'none'}")
    return wanted


def _contexts(config: Any, paths: str) -> tuple[list[str], str | None]:
    """All context names and the current one. The client's own lister fails without a current one."""
    import yaml  # noqa: PLC0415 - the client has loaded it already

    names: list[str] = []
    current: str | None = None
    for file in _files(paths):
        document = yaml.safe_load(file.read_text()) or {}
        if not isinstance(document, dict):
            raise config.ConfigException(f"{file} is no kubeconfig")
        names.extend(str(entry["name"]) for entry in document.get("contexts") or () if entry["name"] not in names)
        # The client takes the last file's; kubectl the first's. What is loaded must be what is named.
        current = current or document.get("current-context")
    return names, current


def _keep_fresh(loader: Any, configuration: Any) -> None:
    """Tokens of exec plugins expire (EKS: 15 minutes); a service outlives them."""
    user = getattr(loader, "_user", None)
    if user is None or "exec" not in user:
        return
    if "BearerToken" not in configuration.api_key and not configuration.cert_file:
        command = user["exec"]["command"]
        raise ClusterUnreachableError(
            f"the credential plugin {command!r} of this context gave no credentials; run it by hand to see why"
        )
    if not hasattr(loader, "exec_plugin_expiry"):
        return

    async def refresh(current: Any) -> None:
        await loader.load_from_exec_plugin()  # returns at once while the token is good
        current.api_key["BearerToken"] = loader.token

    configuration.refresh_api_key_hook = refresh
