"""Who comes in, who is turned away, and how long the way to the agent takes."""

from __future__ import annotations

from deploy.grafana.dashboard import build
from deploy.grafana.panels import heat, lines, number
from deploy.grafana.queries import (
    GATEWAY,
    RANGE,
    REQUESTS,
    RESIDENT,
    error_ratio,
    increase,
    process,
    processor,
    quantile,
    quantiles,
    rate,
    series,
)

_DURATION = f"{GATEWAY}_http_request_duration_seconds"
_UPSTREAM = f"{GATEWAY}_upstream_duration_seconds"
_LIMITER = f"{GATEWAY}_limiter_decisions_total"

DASHBOARD = build(
    "kubetriage-gateway",
    "Kubetriage gateway",
    "Requests, their time and their failures, who is turned away, and the way to the agent.",
    services=("gateway",),
    rows={
        "In the dashboard's time range": [
            number("Requests", "All of them, probes and scrapes included.", increase(REQUESTS), "short"),
            number("Failed", "Share of the API's requests with a 5xx.", error_ratio(RANGE), "percentunit", 0.005, 0.05),
            number(
                "Request, p95",
                "95 of 100 requests are faster; a stream lasts as long as its question.",
                quantile(0.95, _DURATION, window=RANGE),
                "s",
            ),
            number(
                "Over a limit",
                "Requests that the limiter refused.",
                increase(_LIMITER, where='decision="refused"'),
                "short",
            ),
            number(
                "Refused credentials",
                "Wrong passwords, tokens that are not valid any more, tokens used twice.",
                increase(f"{GATEWAY}_auth_failures_total"),
                "short",
            ),
            number(
                "Draining",
                "Gateways that are shutting down.",
                f"sum({series(f'{GATEWAY}_draining')})",
                "short",
                1,
            ),
        ],
        "Requests": [
            lines("Requests", "By route.", "reqps", (rate(REQUESTS, "route"), "{{route}}"), stacked=True),
            lines(
                "Refused and failed",
                "Answers with 4xx (the caller's part) and 5xx (ours), by status.",
                "reqps",
                (rate(REQUESTS, "status", 'status=~"[45].."'), "{{status}}"),
            ),
            lines(
                "Under way",
                "Requests and streams being answered now.",
                "short",
                (f"sum({series(f'{GATEWAY}_http_requests_in_flight')})", "requests"),
                (f"sum({series(f'{GATEWAY}_streams_open')})", "streams"),
            ),
        ],
        "Time": [
            lines(
                "Duration",
                "From a request's first byte to its answer's last; a stream lasts as long as its question.",
                "s",
                *quantiles(_DURATION),
            ),
            lines(
                "Duration by route, p95",
                "95 of 100 requests are faster.",
                "s",
                (quantile(0.95, _DURATION, "route"), "{{route}}"),
            ),
            heat("Duration, all requests", "How many requests took how long.", _DURATION),
        ],
        "The way to the agent": [
            lines(
                "Calls of the agent",
                "By call and outcome. `refused` is a problem of the agent's own, `agent_unavailable` one that could "
                "not be reached, `agent_timeout` one that was silent; `error` is mostly a caller who hung up.",
                "reqps",
                (rate(f"{_UPSTREAM}_count", "call, outcome"), "{{call}} {{outcome}}"),
                stacked=True,
                width=12,
            ),
            lines(
                "Waiting for the agent, p95",
                "Until the agent's answer, or the first byte of a stream.",
                "s",
                (quantile(0.95, _UPSTREAM, "call, outcome"), "{{call}} {{outcome}}"),
                width=12,
            ),
        ],
        "Who is turned away": [
            lines(
                "Limiter: refused",
                "Requests over a limit, by policy: user, ask, address.",
                "reqps",
                (rate(_LIMITER, "policy", 'decision="refused"'), "{{policy}}"),
            ),
            lines(
                "Limiter: decisions",
                "By decision and engine. `local` means that Redis was away and each gateway counted alone.",
                "reqps",
                (rate(_LIMITER, "decision, engine"), "{{decision}} {{engine}}"),
                stacked=True,
            ),
            lines(
                "Refused credentials",
                "By reason. Many `password` from nowhere is somebody trying; `refresh_reused` is a stolen token.",
                "reqps",
                (rate(f"{GATEWAY}_auth_failures_total", "reason"), "{{reason}}"),
            ),
        ],
        "Processes": [
            lines("CPU", "Cores.", "short", (processor("gateway"), "{{instance}}")),
            lines("Memory", "Resident.", "bytes", (process(RESIDENT, "gateway"), "{{instance}}")),
            lines(
                "Open files",
                "Connections of callers, of the agent and of Redis.",
                "short",
                (process("process_open_fds", "gateway"), "{{instance}}"),
            ),
        ],
    },
)
