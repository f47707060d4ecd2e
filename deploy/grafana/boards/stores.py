"""Redis and Chroma as gateways and agents see them: no exporter of their own is needed."""

from __future__ import annotations

from deploy.grafana.dashboard import build
from deploy.grafana.panels import lines, number
from deploy.grafana.queries import AGENT, GATEWAY, RANGE, quantile, rate, series, share

_CHROMA = f"{AGENT}_chroma_duration_seconds"
_CHROMA_REQUESTS = f"{_CHROMA}_count"
_USED = f"max({series(f'{GATEWAY}_redis_memory_bytes')})"
_LIMIT = f"max({series(f'{GATEWAY}_redis_memory_limit_bytes')})"
# INFO is left out: managed Redis may refuse it.
_BAD = 'outcome="error", command!="info"'


def _redis(service: str) -> str:
    return f"kubetriage_{service}_redis_duration_seconds"


DASHBOARD = build(
    "kubetriage-stores",
    "Kubetriage Redis and Chroma",
    "Latency, failures and room of Redis and Chroma, as gateways and agents see them.",
    services=("gateway", "agent"),
    rows={
        "Now": [
            number("Redis memory", "That its data uses, as INFO says it.", _USED, "bytes"),
            number(
                "Room used",
                "Of maxmemory; without a limit there is nothing to show. Full, Redis refuses to write.",
                f"{_USED} / ({_LIMIT} > 0)",
                "percentunit",
                0.7,
                0.9,
            ),
            number("Connections", "To Redis, of everybody.", f"max({series(f'{GATEWAY}_redis_clients')})", "short"),
            number(
                "Redis keeps what it is told",
                "1: it writes an append-only file. 0: users and sessions die with it. Nothing: it does not say.",
                f"min({series(f'{GATEWAY}_store_persistent')})",
                "short",
                1,
                low_is_bad=True,
            ),
            number(
                "Redis, p99",
                "99 of 100 round trips of gateways are faster.",
                quantile(0.99, _redis("gateway"), window=RANGE),
                "s",
                0.05,
                0.25,
            ),
            number(
                "Chroma: failed",
                "Share of the requests that Chroma did not answer in the dashboard's time range.",
                share(
                    rate(_CHROMA_REQUESTS, where='outcome="error"', window=RANGE),
                    rate(_CHROMA_REQUESTS, window=RANGE),
                ),
                "percentunit",
                0.01,
                0.1,
            ),
        ],
        "Redis: time": [
            lines(
                "Round trips, p95",
                "By service, the wait for a connection included.",
                "s",
                (quantile(0.95, _redis("gateway")), "gateway"),
                (quantile(0.95, _redis("agent")), "agent"),
            ),
            lines(
                "Gateway, p95 by command",
                "`pipeline` is several commands at once.",
                "s",
                (quantile(0.95, _redis("gateway"), "command"), "{{command}}"),
            ),
            lines(
                "Agent, p95 by command",
                "Conversations, locks and earlier diagnoses.",
                "s",
                (quantile(0.95, _redis("agent"), "command"), "{{command}}"),
            ),
        ],
        "Redis: use and failures": [
            lines(
                "Gateway: round trips",
                "By command.",
                "ops",
                (rate(f"{_redis('gateway')}_count", "command"), "{{command}}"),
                stacked=True,
            ),
            lines(
                "Agent: round trips",
                "By command.",
                "ops",
                (rate(f"{_redis('agent')}_count", "command"), "{{command}}"),
                stacked=True,
            ),
            lines(
                "Failures",
                "Round trips that failed, and what came of them: requests without the store, questions without memory.",
                "ops",
                *((rate(f"{_redis(who)}_count", where=_BAD), f"{who}: round trips") for who in ("gateway", "agent")),
                (rate(f"{GATEWAY}_store_failures_total"), "gateway: store away"),
                (rate(f"{AGENT}_memory_failures_total"), "agent: memory away"),
            ),
        ],
        "Redis: room": [
            lines(
                "Memory",
                "Of its data, and the limit (0: none). It never evicts in this chart: users live in it.",
                "bytes",
                (_USED, "used"),
                (_LIMIT, "limit"),
            ),
            lines(
                "Connections",
                "Of gateways, agents and everybody else.",
                "short",
                (f"max({series(f'{GATEWAY}_redis_clients')})", "connections"),
            ),
            lines(
                "Evictions and losses",
                "Keys thrown away for want of memory, and how often Redis came back empty; anything but 0 loses users "
                "or sessions.",
                "ops",
                (f"max(rate({series(f'{GATEWAY}_redis_evictions_total')}[$__rate_interval]))", "keys evicted"),
                (f"max(rate({series(f'{GATEWAY}_redis_losses_total')}[$__rate_interval]))", "emptied"),
            ),
        ],
        "Chroma": [
            lines(
                "Requests",
                "Of agents, by outcome. They look for new runbooks when somebody asks, every five seconds at most.",
                "reqps",
                (rate(_CHROMA_REQUESTS, "outcome"), "{{outcome}}"),
                stacked=True,
            ),
            lines(
                "Duration, p95",
                "By outcome. Reading everything anew after an ingest is what takes long.",
                "s",
                (quantile(0.95, _CHROMA, "outcome"), "{{outcome}}"),
            ),
            lines(
                "Answers without runbooks",
                "Questions that went on because search did not work.",
                "reqps",
                (rate(f"{AGENT}_degraded_total", where='part="retrieval"'), "questions"),
            ),
        ],
    },
)
