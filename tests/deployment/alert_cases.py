"""What happens to a product, as series of promtool's tests (a sample a minute), and which alerts that is worth."""

from __future__ import annotations

from tests.deployment.exported_metrics import METRICS
from tests.deployment.test_chart import NAMESPACE

Series = dict[str, str]


def series(name: str, values: str, **labels: str) -> Series:
    """``values`` as promtool reads them: ``0+60x600`` rises by 60 a minute for 600 minutes."""
    inside = ", ".join(f'{key}="{value}"' for key, value in {"namespace": NAMESPACE, **labels}.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def http(status: str, values: str, **labels: str) -> Series:
    """Requests with this status."""
    asked = {"method": "POST", "route": "/v1/ask", "status": status}
    return series("kubetriage_gateway_http_requests_total", values, **{**asked, **labels})


_UP = [series(f"kubetriage_{service}_build_info", "1x600", pod="p") for service in METRICS]
_RUNS = "kubetriage_agent_runs_total"
_STAMP = "kubetriage_ingest_last_success_timestamp_seconds"
_BUCKET = "kubetriage_agent_run_duration_seconds_bucket"
_STORE_FAILURES = "kubetriage_gateway_store_failures_total"
_MEMORY_FAILURES = "kubetriage_agent_memory_failures_total"
_ACTIVE = "kubetriage_agent_runs_active"
_UPSTREAM = "kubetriage_gateway_upstream_duration_seconds_count"
_LIMITER = "kubetriage_gateway_limiter_decisions_total"
_LOSSES = "kubetriage_gateway_redis_losses_total"
_EVICTIONS = "kubetriage_gateway_redis_evictions_total"
_PERSISTENT = "kubetriage_gateway_store_persistent"
_USED = "kubetriage_gateway_redis_memory_bytes"
_LIMIT = "kubetriage_gateway_redis_memory_limit_bytes"
_MODEL = "kubetriage_agent_model_duration_seconds_count"
_CHROMA = "kubetriage_agent_chroma_duration_seconds_count"

# (what happens; minutes after which these alerts fire and no others)
CASES: dict[str, tuple[list[Series], dict[int, set[str]]]] = {
    "all is well": (
        [
            *_UP,
            http("200", "0+60x600"),
            http("422", "0+60x600"),
            series(_RUNS, "0+60x600", outcome="completed"),
            series(_STAMP, "0+60x600", pod="i"),
            *(series(_BUCKET, "0+60x600", le=le) for le in ("5", "30", "+Inf")),
            series(_STORE_FAILURES, "0x600"),
            series(_MEMORY_FAILURES, "0x600"),
            series(_ACTIVE, "3x600", pod="a"),
            series(_UPSTREAM, "0+60x600", call="ask", outcome="ok"),
            series(_LIMITER, "0+60x600", policy="ask", decision="admitted", engine="redis"),
            series(_LOSSES, "0x600"),
            series(_EVICTIONS, "0x600"),
            series(_PERSISTENT, "1x600"),
            series(_USED, "10x600"),
            series(_LIMIT, "100x600"),
            series(_MODEL, "0+60x600", model="m", outcome="ok"),
            series(_CHROMA, "0+60x600", outcome="ok"),
        ],
        {10: set(), 90: set()},
    ),
    "nobody asks": ([*_UP, http("200", "7x600"), series(_RUNS, "5x600", outcome="degraded")], {60: set()}),
    "everything is gone after ten minutes": (
        [series(f"kubetriage_{service}_build_info", "1x10 stale", pod="p") for service in METRICS],
        {
            10: set(),
            14: set(),
            17: {"KubetriageGatewayDown", "KubetriageAgentDown"},
            30: {"KubetriageGatewayDown", "KubetriageAgentDown", "KubetriageIngestDown"},
        },
    ),
    "one of two gateways is gone": (
        [*_UP, series("kubetriage_gateway_build_info", "1x5 stale", pod="q")],
        {60: set()},
    ),
    "a fifth fails, then no more": (
        [*_UP, http("200", "0+54x600"), http("502", "0x30 13+13x30 403x600")],
        {
            25: set(),
            60: {"KubetriageHighErrorRate", "KubetriageErrorBudgetBurn"},
            130: {"KubetriageErrorBudgetBurn"},  # the slow windows still remember
        },
    ),
    "probes and scrapes fail": (
        [*_UP, http("200", "0+60x600"), http("503", "0+60x600", route="/readyz")],
        {60: set()},
    ),
    "a hundredth fails for hours: slow, and only a warning": (
        [*_UP, http("200", "0+99x600"), http("502", "0+1x600")],
        {30: set(), 90: {"KubetriageErrorBudgetBurn"}},
    ),
    "questions take a minute": (
        [
            *_UP,
            series(_BUCKET, "0+1x600", le="30"),
            series(_BUCKET, "0+10x600", le="60"),
            series(_BUCKET, "0+10x600", le="+Inf"),
        ],
        {5: set(), 30: {"KubetriageSlowAnswers"}},
    ),
    "the agents cannot be reached": (
        [
            *_UP,
            series(_UPSTREAM, "0+6x20 120x600", call="ask", outcome="ok"),
            series(_UPSTREAM, "0x20 6+6x600", call="ask", outcome="agent_unavailable"),
        ],
        {20: set(), 40: {"KubetriageAgentUnreachable"}},
    ),
    "the agents do not accept the gateway's key": (
        [*_UP, series(_UPSTREAM, "0+6x600", call="ask", outcome="agent_refused_gateway")],
        {4: set(), 20: {"KubetriageAgentUnreachable"}},
    ),
    "redis goes away": (
        [
            *_UP,
            series(_STORE_FAILURES, "0x20 1+30x600", pod="p"),
            series(_LIMITER, "0x20 1+30x600", policy="ask", decision="admitted", engine="local"),
        ],
        {20: set(), 30: {"KubetriageMemoryFailing", "KubetriageLimiterLocal"}},
    ),
    "redis does not answer the agents": (
        [*_UP, series(_MEMORY_FAILURES, "0x20 1+30x600", pod="p")],
        {20: set(), 30: {"KubetriageMemoryFailing"}},
    ),
    "redis comes back empty": (
        [*_UP, series(_LOSSES, "0x20 1x600", pod="p"), series(_LOSSES, "0x20 1x600", pod="q")],
        {20: set(), 22: {"KubetriageSessionsLost"}, 60: set()},
    ),
    "redis evicts": (
        [*_UP, series(_EVICTIONS, "0x20 40+10x600", pod="p")],
        {20: set(), 22: {"KubetriageSessionsLost"}, 60: {"KubetriageSessionsLost"}},
    ),
    "redis keeps no file": (
        [*_UP, series(_PERSISTENT, "0x600", pod="p"), series(_PERSISTENT, "0x600", pod="q")],
        {10: set(), 20: {"KubetriageRedisNotPersistent"}},
    ),
    "redis is nearly full": (
        [*_UP, series(_USED, "50x20 95x600", pod="p"), series(_LIMIT, "100x600", pod="p")],
        {25: set(), 40: {"KubetriageRedisFull"}},
    ),
    "the model's endpoint fails": (
        [
            *_UP,
            series(_MODEL, "0+5x20 100x600", model="m", outcome="ok"),
            series(_MODEL, "0x20 5+5x600", model="m", outcome="error"),
            series(_MODEL, "0x20 5+5x600", model="builtin", outcome="ok"),
            series(_RUNS, "0x20 5+5x600", outcome="degraded"),
        ],
        {20: set(), 60: {"KubetriageModelFailing", "KubetriageDegradedAnswers"}},
    ),
    "chroma goes away, and agents have read it before": (
        [
            *_UP,
            series(_CHROMA, "0+5x20 100x600", outcome="ok"),
            series(_CHROMA, "0x20 5+5x600", outcome="error"),
            series(_RUNS, "0+5x600", outcome="completed"),
        ],
        {20: set(), 60: {"KubetriageChromaUnreachable"}},
    ),
    "chroma holds nothing": (
        [
            *_UP,
            series(_CHROMA, "0+5x600", outcome="ok"),
            series(_RUNS, "0+5x600", outcome="completed"),
            series(_RUNS, "0x20 5+5x600", outcome="degraded"),
        ],
        {20: set(), 60: {"KubetriageDegradedAnswers"}},
    ),
    "an agent is full": (
        [*_UP, series(_ACTIVE, "60x600", pod="a")],
        {3: set(), 10: {"KubetriageSaturated"}},
    ),
    "the ingest works no more": (
        [*_UP, series(_STAMP, "0+60x10 600x600", pod="i")],
        {20: set(), 40: {"KubetriageIngestStale"}},
    ),
}

# By alert: what comes near and is not worth it; the minutes at which it is looked at.
QUIET: dict[str, tuple[list[Series], tuple[int, ...]]] = {
    # For three minutes there is none.
    "KubetriageGatewayDown": (
        [series("kubetriage_gateway_build_info", "1x10 stale _x2 1x600")],
        (12, 13, 14, 20),
    ),
    "KubetriageAgentDown": ([series("kubetriage_agent_build_info", "1x10 stale _x2 1x600")], (12, 13, 14, 20)),
    "KubetriageIngestDown": ([series("kubetriage_ingest_build_info", "1x10 stale _x10 1x600")], (15, 21, 30)),
    # Callers' mistakes come back from the agent as its own problems.
    "KubetriageAgentUnreachable": (
        [
            series(_UPSTREAM, "0+95x600", call="ask", outcome="ok"),
            series(_UPSTREAM, "0+50x600", call="ask", outcome="refused"),
            series(_UPSTREAM, "0+5x600", call="ask", outcome="agent_unavailable"),
        ],
        (60,),
    ),
    "KubetriageHighErrorRate": ([http("200", "0+96x600"), http("502", "0+4x600")], (30,)),
    "KubetriageErrorBudgetBurn": ([http("200", "0+996x600"), http("502", "0+4x600")], (60, 90)),
    "KubetriageSlowAnswers": (
        [series(_BUCKET, values, le=le) for le, values in (("10", "0x600"), ("30", "0+9x600"), ("+Inf", "0+9x600"))],
        (40,),
    ),
    # For three minutes.
    "KubetriageMemoryFailing": (
        [series(_STORE_FAILURES, "0x20 5 10 15 15x600"), series(_MEMORY_FAILURES, "0x20 5 10 15 15x600")],
        tuple(range(20, 30)),
    ),
    "KubetriageLimiterLocal": (
        [
            series(_LIMITER, "0+60x600", policy="ask", decision="admitted", engine="redis"),
            series(_LIMITER, "0x20 5 10 15 15x600", policy="ask", decision="admitted", engine="local"),
        ],
        tuple(range(20, 30)),
    ),
    # Long ago.
    "KubetriageSessionsLost": ([series(_LOSSES, "2x600"), series(_EVICTIONS, "40x600")], (1, 60)),
    # A Redis that is set up later than its gateways; and one gateway that it says so to.
    "KubetriageRedisNotPersistent": (
        [series(_PERSISTENT, "0x10 1x600", pod="p"), series(_PERSISTENT, "0x600", pod="q")],
        (10, 30, 60),
    ),
    # Much, and no limit; little enough.
    "KubetriageRedisFull": (
        [
            series(_USED, "99000x600", pod="p"),
            series(_LIMIT, "0x600", pod="p"),
            series(_USED, "85x600", pod="q"),
            series(_LIMIT, "100x600", pod="q"),
        ],
        (40,),
    ),
    "KubetriageModelFailing": (
        [
            series(_MODEL, "0+95x600", model="m", outcome="ok"),
            series(_MODEL, "0+5x600", model="m", outcome="error"),
        ],
        (40,),
    ),
    "KubetriageChromaUnreachable": (
        [series(_CHROMA, "0+6x600", outcome="ok"), series(_CHROMA, "0+4x600", outcome="error")],
        (40,),
    ),
    # Who hangs up has no answer that could lack something.
    "KubetriageDegradedAnswers": (
        [
            series(_RUNS, "0+95x600", outcome="completed"),
            series(_RUNS, "0+5x600", outcome="degraded"),
            series(_RUNS, "0+50x600", outcome="cancelled"),
        ],
        (40,),
    ),
    "KubetriageSaturated": ([series(_ACTIVE, "57x600", pod="a")], (30,)),
    # Thirteen minutes without one.
    "KubetriageIngestStale": ([series(_STAMP, "0+60x10 600x12 1380+60x600", pod="i")], (22, 23, 33, 60)),
}
