"""The kinds that we know how to read, and under which names they appear in bundles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An API resource. ``group`` is empty for the core group.

    ``bundle_names`` are the folder or file names that support-bundle layouts use for it besides
    the plural (troubleshoot.sh writes ``pvcs`` and ``ingress``). ``optional``: of an add-on; where it is not
    served there are none.
    """

    plural: str
    kind: str
    group: str
    version: str
    namespaced: bool = True
    bundle_names: tuple[str, ...] = ()
    optional: bool = False

    @property
    def api_path(self) -> str:
        """``/api/v1`` or ``/apis/<group>/<version>``."""
        return f"/api/{self.version}" if not self.group else f"/apis/{self.group}/{self.version}"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """``deployments.apps``: as RBAC messages and kubectl write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _core(plural: str, kind: str, *names: str, namespaced: bool = True) -> Resource:
    return Resource(plural=plural, kind=kind, group="", version="v1", namespaced=namespaced, bundle_names=names)


def _in(group: str, version: str, plural: str, kind: str, *names: str, namespaced: bool = True) -> Resource:
    return Resource(plural=plural, kind=kind, group=group, version=version, namespaced=namespaced, bundle_names=names)


def _add_on(group: str, version: str, plural: str, kind: str) -> Resource:
    return Resource(plural=plural, kind=kind, group=group, version=version, optional=True)


RESOURCES: tuple[Resource, ...] = (
    _core("pods", "Pod"),
    _core("events", "Event"),
    _core("services", "Service"),
    _core("endpoints", "Endpoints"),
    _core("configmaps", "ConfigMap"),
    _core("persistentvolumeclaims", "PersistentVolumeClaim", "pvcs"),
    _core("serviceaccounts", "ServiceAccount"),
    _core("resourcequotas", "ResourceQuota", "resource-quota", "resource-quotas"),
    _core("limitranges", "LimitRange", "limit-ranges"),
    _core("replicationcontrollers", "ReplicationController"),
    _core("nodes", "Node", namespaced=False),
    _core("namespaces", "Namespace", namespaced=False),
    _core("persistentvolumes", "PersistentVolume", "pvs", namespaced=False),
    # Secrets are never read live: only bundles carry them, by name and key names, without data.
    _core("secrets", "Secret"),
    _in("apps", "v1", "deployments", "Deployment"),
    _in("apps", "v1", "replicasets", "ReplicaSet"),
    _in("apps", "v1", "statefulsets", "StatefulSet"),
    _in("apps", "v1", "daemonsets", "DaemonSet"),
    _in("batch", "v1", "jobs", "Job"),
    _in("batch", "v1", "cronjobs", "CronJob"),
    _in("networking.k8s.io", "v1", "ingresses", "Ingress", "ingress"),
    _in("networking.k8s.io", "v1", "ingressclasses", "IngressClass", "ingress-classes", namespaced=False),
    _in("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "network-policy", "network-policies"),
    _in("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "endpoint-slices"),
    _in("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa"),
    _in("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "pod-disruption-budgets", "pdb"),
    _in("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", "priority-classes", namespaced=False),
    _in("storage.k8s.io", "v1", "storageclasses", "StorageClass", "storage-classes", namespaced=False),
    _in("coordination.k8s.io", "v1", "leases", "Lease"),
    _in("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    _in("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", "role-bindings"),
    _in("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", "cluster-roles", namespaced=False),
    _in(
        "rbac.authorization.k8s.io",
        "v1",
        "clusterrolebindings",
        "ClusterRoleBinding",
        "cluster-role-bindings",
        namespaced=False,
    ),
    _in(
        "admissionregistration.k8s.io",
        "v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        namespaced=False,
    ),
    _in(
        "admissionregistration.k8s.io",
        "v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        namespaced=False,
    ),
    _in("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False),
    _in(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "custom-resource-definitions",
        namespaced=False,
    ),
    _add_on("gateway.networking.k8s.io", "v1", "gateways", "Gateway"),
    _add_on("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"),
)

_BY_PLURAL = {resource.plural: resource for resource in RESOURCES}
_BY_KIND = {resource.kind.lower(): resource for resource in RESOURCES}
_SHORT_NAMES = {
    "po": "pods", "svc": "services", "deploy": "deployments", "rs": "replicasets", "sts": "statefulsets",
    "ds": "daemonsets", "cm": "configmaps", "pvc": "persistentvolumeclaims", "pv": "persistentvolumes",
    "no": "nodes", "ns": "namespaces", "ing": "ingresses", "netpol": "networkpolicies", "ev": "events",
    "hpa": "horizontalpodautoscalers", "pdb": "poddisruptionbudgets", "sa": "serviceaccounts",
    "quota": "resourcequotas", "limits": "limitranges", "cj": "cronjobs", "sc": "storageclasses",
    "ep": "endpoints", "rc": "replicationcontrollers", "pc": "priorityclasses",
}  # fmt: skip


def resource_by_plural(plural: str) -> Resource:
    """The resource with this plural name. Raises KeyError for one that we do not know."""
    return _BY_PLURAL[plural]


def resource_by_kind(name: str) -> Resource | None:
    """The resource that a person means by ``Deployment``, ``deployments``, ``deploy`` or a bundle's name."""
    wanted = name.lower()
    found = _BY_KIND.get(wanted) or _BY_PLURAL.get(_SHORT_NAMES.get(wanted, wanted))
    if found:
        return found
    return next((resource for resource in RESOURCES if wanted in resource.bundle_names), None)
