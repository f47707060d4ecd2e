"""How questions end, how long they and their tools take, and what fails on the way."""

from __future__ import annotations

from deploy.grafana.dashboard import build
from deploy.grafana.panels import heat, lines, number
from deploy.grafana.queries import (
    AGENT,
    RANGE,
    RESIDENT,
    RUNS,
    increase,
    process,
    processor,
    quantile,
    quantiles,
    rate,
    series,
    share,
)

_RUN = f"{AGENT}_run_duration_seconds"
_TOOLS = f"{AGENT}_tool_calls_total"
_TOOL = f"{AGENT}_tool_duration_seconds"
_HTTP = f"{AGENT}_http_requests_total"
_NOT_IN_FULL = 'outcome!~"completed|cancelled"'

DASHBOARD = build(
    "kubetriage-agent",
    "Kubetriage agent and tools",
    "How questions end, how long they and their tools take, and what fails on the way.",
    services=("agent",),
    rows={
        "In the dashboard's time range": [
            number("Questions", "That were asked.", increase(RUNS), "short"),
            number(
                "Not answered in full",
                "Share of the questions that ended in any other way than completed or cancelled by the caller.",
                share(rate(RUNS, where=_NOT_IN_FULL, window=RANGE), rate(RUNS, window=RANGE)),
                "percentunit",
                0.01,
                0.1,
            ),
            number("Question, p95", "95 of 100 are faster.", quantile(0.95, _RUN, window=RANGE), "s", 15, 30),
            number("Tool calls", "Of all tools.", increase(_TOOLS), "short"),
            number(
                "Failed tool calls",
                "Share of the calls that were forbidden, found nothing or took too long.",
                share(rate(_TOOLS, where='status!="ok"', window=RANGE), rate(_TOOLS, window=RANGE)),
                "percentunit",
                0.05,
                0.2,
            ),
            number(
                "Being answered",
                "Questions under way in all agents.",
                f"sum({series(f'{AGENT}_runs_active')})",
                "short",
            ),
        ],
        "Questions": [
            lines(
                "Questions by outcome",
                "completed, degraded (without a part), limit_exceeded, timeout, error, cancelled by the caller.",
                "reqps",
                (rate(RUNS, "outcome"), "{{outcome}}"),
                stacked=True,
            ),
            lines("Duration", "Of a whole question.", "s", *quantiles(_RUN)),
            heat("Duration, all questions", "How many questions took how long.", _RUN),
        ],
        "Load": [
            lines(
                "Being answered now",
                "By agent. At `agent.concurrentRuns` further questions wait.",
                "short",
                (series(f"{AGENT}_runs_active"), "{{instance}}"),
            ),
            lines("Model calls of a question", "Each is one step.", "short", *quantiles(f"{AGENT}_run_steps")),
            lines(
                "Not answered in full",
                "Share of the questions that ended in any other way than completed.",
                "percentunit",
                (share(rate(RUNS, where=_NOT_IN_FULL), rate(RUNS)), "share"),
            ),
        ],
        "Tools": [
            lines("Calls", "By tool.", "reqps", (rate(_TOOLS, "tool"), "{{tool}}"), stacked=True),
            lines(
                "Failed calls",
                "Forbidden, not found, too slow, by tool.",
                "reqps",
                (rate(_TOOLS, "tool, status", 'status!="ok"'), "{{tool}} {{status}}"),
            ),
            lines(
                "Duration, p95",
                "95 of 100 calls are faster. Mostly the API server's time.",
                "s",
                (quantile(0.95, _TOOL, "tool"), "{{tool}}"),
            ),
        ],
        "Requests of the gateway": [
            lines("Requests", "By route.", "reqps", (rate(_HTTP, "route"), "{{route}}"), stacked=True),
            lines(
                "Failed requests",
                "By route and status, 5xx.",
                "reqps",
                (rate(_HTTP, "route, status", 'status=~"5.."'), "{{route}} {{status}}"),
            ),
            lines(
                "Duration by route, p95",
                "95 of 100 requests are faster.",
                "s",
                (quantile(0.95, f"{AGENT}_http_request_duration_seconds", "route"), "{{route}}"),
            ),
        ],
        "Processes": [
            lines("CPU", "Cores.", "short", (processor("agent"), "{{instance}}")),
            lines("Memory", "Resident.", "bytes", (process(RESIDENT, "agent"), "{{instance}}")),
            lines(
                "Under way",
                "Requests being answered now.",
                "short",
                (series(f"{AGENT}_http_requests_in_flight"), "{{instance}}"),
            ),
        ],
    },
)
