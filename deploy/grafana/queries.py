"""PromQL as every dashboard writes it: limited to what the variables at the top select. Pure."""

from __future__ import annotations

WHERE = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'
RATE = "$__rate_interval"
RANGE = "$__range"

GATEWAY = "kubetriage_gateway"
AGENT = "kubetriage_agent"
INGEST = "kubetriage_ingest"

# What the objective is about: the API, without probes and scrapes.
API = 'route=~"/v1/.*"'
FAILED = f'{API}, status=~"5.."'
REQUESTS = f"{GATEWAY}_http_requests_total"
RUNS = f"{AGENT}_runs_total"
RESIDENT = "process_resident_memory_bytes"

# A query and its legend.
Query = tuple[str, str]


def series(metric: str, where: str = "") -> str:
    """The metric's series that are selected; ``where``: further matchers."""
    return f"{metric}{{{WHERE}, {where}}}" if where else f"{metric}{{{WHERE}}}"


def rate(metric: str, by: str = "", where: str = "", window: str = RATE) -> str:
    """Per second, summed ``by`` these labels (none: over everything)."""
    grouping = f" by ({by}) " if by else ""
    return f"sum{grouping}(rate({series(metric, where)}[{window}]))"


def increase(metric: str, by: str = "", where: str = "", window: str = RANGE) -> str:
    """How many in the window, whole ones: Prometheus extrapolates to the window's edges."""
    grouping = f" by ({by}) " if by else ""
    return f"round(sum{grouping}(increase({series(metric, where)}[{window}])))"


def share(part: str, whole: str) -> str:
    """What part of the whole; 0 when there is a whole and no part."""
    return f"({part} or vector(0)) / ({whole} > 0)"


def quantile(which: float, metric: str, by: str = "", where: str = "", window: str = RATE) -> str:
    """A quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({which}, {rate(f'{metric}_bucket', labels, where, window)})"


def quantiles(metric: str) -> list[Query]:
    """Half, 95 and 99 of 100 are below."""
    return [(quantile(which, metric), f"p{round(which * 100)}") for which in (0.5, 0.95, 0.99)]


def mean(metric: str, by: str = "") -> str:
    """The mean of a histogram's values."""
    return f"{rate(f'{metric}_sum', by)} / ({rate(f'{metric}_count', by)} > 0)"


def process(metric: str, service: str) -> str:
    """A gauge of the Python client, of one service's processes."""
    return f"{series(metric)} and on (instance, job) {series(f'kubetriage_{service}_build_info')}"


def processor(service: str) -> str:
    """Cores that a service's processes use."""
    used = f"rate({series('process_cpu_seconds_total')}[{RATE}])"
    return f"{used} and on (instance, job) {series(f'kubetriage_{service}_build_info')}"


def error_ratio(window: str) -> str:
    """Share of the API's requests that failed with a 5xx."""
    return share(rate(REQUESTS, where=FAILED, window=window), rate(REQUESTS, where=API, window=window))
