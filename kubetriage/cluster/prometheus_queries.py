"""What Prometheus is asked. No I/O in here.

One expression per behaviour covers every workload of the scope. Pods are folded into their workload by their name,
so that a rollout, which replaces all pods, does not look like an end and a beginning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Three scrapes at Prometheus' default interval of a minute; a rate needs two, and one may be missed.
RATE = "3m"
RETRANSMISSIONS = "tcp_retransmissions_per_second"
REQUESTS = "requests_per_second"

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
# The alphabets are those of Kubernetes' SafeEncodeString: a hash has digits only, a pod's suffix any of the letters.
# The ordinal of a StatefulSet's pod stays: such pods keep their names.
_POD = "(.+?)(?:-[456789bcdf]{5,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}"
_CODES = ("code", "status", "status_code", "http_status", "http_response_status_code")


@dataclass(frozen=True, slots=True)
class Query:
    """``name`` is that of the series it brings (see MetricSeries)."""

    name: str
    expression: str


def build_queries(namespaces: tuple[str, ...] | None) -> tuple[Query, ...]:
    """Everything that is asked about these namespaces (None: all). Nothing when none of them can exist."""
    if namespaces is None:
        pods = mesh = ""
    else:
        # Names come from callers: what is no name could leave the quotes and read other namespaces.
        names = "|".join(name for name in namespaces if _NAMESPACE.fullmatch(name))
        if not names:
            return ()
        pods, mesh = f'namespace=~"{names}"', f'destination_workload_namespace=~"{names}"'
    used = _list('container!=""', 'container!="POD"', pods)
    return (
        Query("cpu_cores", _worst_pod(_of_pods(_rate("container_cpu_usage_seconds_total", used)))),
        Query("cpu_throttled_seconds", _worst_pod(_of_pods(_rate("container_cpu_cfs_throttled_seconds_total", used)))),
        # Many installations drop the seconds and keep the periods.
        Query(
            "cpu_throttled_ratio",
            _worst_pod(
                f"{_of_pods(_rate('container_cpu_cfs_throttled_periods_total', used))}"
                f" / {_of_pods(_rate('container_cpu_cfs_periods_total', used))}"
            ),
        ),
        Query("memory_bytes", _worst_pod(_of_pods(f"container_memory_working_set_bytes{{{used}}}"))),
        Query(REQUESTS, _requests(pods, mesh)),
        Query("success_ratio", _success(pods, mesh)),
        Query("latency_p50_ms", _latency(0.5, pods, mesh)),
        Query("latency_p90_ms", _latency(0.9, pods, mesh)),
        Query(RETRANSMISSIONS, _retransmissions()),
    )


# -- PromQL ---------------------------------------------------------------------------------------
# Of a mesh's two views of a request, the caller's and the callee's, the worse one counts: only the
# caller's contains the network. Without a mesh it is what the server says of itself.

_SERVED = ("http_requests_total", "http_server_request_duration_seconds_count", "http_request_duration_seconds_count")
_TIMED = ("http_server_request_duration_seconds_bucket", "http_request_duration_seconds_bucket")
_MESH_KEYS = "reporter, destination_workload_namespace, destination_workload"


def _requests(pods: str, mesh: str) -> str:
    total = _by_mesh(_rate("istio_requests_total", mesh))
    return _first(_named("max", total), *(_sum_of_pods(_rate(name, pods)) for name in _SERVED))


def _success(pods: str, mesh: str) -> str:
    good, total = (_by_mesh(_rate("istio_requests_total", _list(more, mesh))) for more in ('response_code!~"5.."', ""))
    succeeded = _list(*(f'{label}!~"5.."' for label in _CODES), pods)
    own = (_share(_sum_of_pods(_rate(name, succeeded)), _sum_of_pods(_rate(name, pods))) for name in _SERVED)
    return _first(_named("min", _share(good, total)), *own)


def _latency(quantile: float, pods: str, mesh: str) -> str:
    meshed = _by_mesh(_rate("istio_request_duration_milliseconds_bucket", mesh), "le, ")
    own = (f"1000 * histogram_quantile({quantile}, {_sum_of_pods(_rate(name, pods), 'le, ')})" for name in _TIMED)
    return _first(_named("max", f"histogram_quantile({quantile}, {meshed})"), *own)


def _retransmissions() -> str:
    """Retransmitted and sent segments of each node, told apart by ``part``: only their share says what is many."""
    parts = []
    for part, metric in (("retransmitted", "node_netstat_Tcp_RetransSegs"), ("sent", "node_netstat_Tcp_OutSegs")):
        rate = f"max by (instance) ({_rate(metric, '')})"
        named = f"{rate} * on (instance) group_left (nodename) max by (instance, nodename) (node_uname_info)"
        parts.append(f'label_replace({named}, "part", "{part}", "", "")')
    return _first(*parts)


def _rate(metric: str, labels: str) -> str:
    return f"rate({metric}{{{labels}}}[{RATE}])" if labels else f"rate({metric}[{RATE}])"


def _of_pods(vector: str) -> str:
    return f"sum by (namespace, pod) ({vector})"


def _worst_pod(vector: str) -> str:
    """CPU and memory are each pod's own: a sum would grow with the replicas and hide the one that suffers."""
    return f"max by (namespace, workload) ({_workload_label(vector)})"


def _sum_of_pods(vector: str, more: str = "") -> str:
    inner = f"sum by ({more}namespace, pod) ({vector})"
    return f"sum by ({more}namespace, workload) ({_workload_label(inner)})"


def _workload_label(vector: str) -> str:
    whole = f'label_replace({vector}, "workload", "$1", "pod", "(.+)")'
    return f'label_replace({whole}, "workload", "$1", "pod", "{_POD}")'


def _by_mesh(vector: str, more: str = "") -> str:
    return f"sum by ({more}{_MESH_KEYS}) ({vector})"


def _named(aggregate: str, vector: str) -> str:
    moved = f'label_replace({vector}, "namespace", "$1", "destination_workload_namespace", "(.+)")'
    moved = f'label_replace({moved}, "workload", "$1", "destination_workload", "(.+)")'
    return f"{aggregate} by (namespace, workload) ({moved})"


def _share(part: str, whole: str) -> str:
    """Zero, not nothing, when there is no series of ``part`` at all: all of a new version's requests fail."""
    return f"({part} or 0 * {whole}) / {whole}"


def _first(*vectors: str) -> str:
    """Of each workload, the first of these that is there."""
    return " or ".join(f"({vector})" for vector in vectors)


def _list(*matchers: str) -> str:
    return ",".join(filter(None, matchers))
