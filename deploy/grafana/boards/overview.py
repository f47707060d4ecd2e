"""Does it answer, how fast, and what is left of the error budget."""

from __future__ import annotations

from deploy.grafana.dashboard import build
from deploy.grafana.panels import bars, lines, number
from deploy.grafana.queries import (
    AGENT,
    API,
    GATEWAY,
    INGEST,
    RANGE,
    REQUESTS,
    RUNS,
    error_ratio,
    increase,
    quantile,
    quantiles,
    rate,
    series,
    share,
)

_RUN = f"{AGENT}_run_duration_seconds"
# Of what may fail, not of all requests.
_SPENT = f"({error_ratio('30d')})"
_BUDGET_LEFT = f"1 - {_SPENT} / (1 - $objective)"
_BURNS = [(f"({error_ratio(window)}) / (1 - $objective)", window) for window in ("1h", "6h", "3d")]

DASHBOARD = build(
    "kubetriage-overview",
    "Kubetriage overview",
    "Does it answer, how fast, what is left of the error budget, and is what it knows fresh.",
    services=("gateway", "agent", "ingest"),
    objective=True,
    rows={
        "Objective: requests of the API that do not end with a 5xx, over 30 days": [
            number(
                "Availability, 30 d",
                "Share of the API's requests of the last 30 days that did not end with a 5xx.",
                f"1 - {_SPENT}",
                "percentunit",
                0.99,
                0.995,
                low_is_bad=True,
            ),
            number(
                "Error budget left",
                "What is left of the failures that the objective allows in 30 days; below 0 it is missed.",
                _BUDGET_LEFT,
                "percentunit",
                0,
                0.25,
                low_is_bad=True,
            ),
            number(
                "Burn rate, 1 h",
                "How fast the last hour used up the budget. 1: all of it in 30 days; 14.4 pages.",
                _BURNS[0][0],
                "short",
                1,
                14.4,
            ),
            number(
                "Burn rate, 6 h",
                "How fast the last six hours used up the budget. 1: all of it in 30 days; 6 pages.",
                _BURNS[1][0],
                "short",
                1,
                6,
            ),
            number(
                "Question, p95",
                "95 of 100 questions are answered within this time.",
                quantile(0.95, _RUN, window=RANGE),
                "s",
                15,
                30,
            ),
            number(
                "Degraded answers",
                "Share of the questions that were answered without the model or without the runbooks.",
                share(rate(RUNS, where='outcome="degraded"', window=RANGE), rate(RUNS, window=RANGE)),
                "percentunit",
                0.01,
                0.1,
            ),
        ],
        "Now": [
            number(
                "Gateways",
                "Gateways that Prometheus reaches.",
                f"count({series(f'{GATEWAY}_build_info')})",
                "short",
                1,
                low_is_bad=True,
            ),
            number(
                "Agents",
                "Agents that Prometheus reaches.",
                f"count({series(f'{AGENT}_build_info')})",
                "short",
                1,
                low_is_bad=True,
            ),
            number("Requests", "Requests of the API.", rate(REQUESTS, where=API), "reqps"),
            number(
                "Failed requests",
                "Share of the API's requests that ended with a 5xx in the dashboard's time range.",
                error_ratio(RANGE),
                "percentunit",
                0.005,
                0.05,
            ),
            number(
                "Being answered",
                "Questions under way in all agents.",
                f"sum({series(f'{AGENT}_runs_active')})",
                "short",
            ),
            number(
                "Runbooks' age",
                "Time since the last ingest that worked, of the source that is furthest behind.",
                f"time() - min({series(f'{INGEST}_last_success_timestamp_seconds')} > 0)",
                "s",
                300,
                900,
            ),
        ],
        "Error budget": [
            lines(
                "Burn rate",
                "Over three windows: how many times faster than the objective allows. The alerts look at 14.4 over an "
                "hour, 6 over six and 1 over three days.",
                "short",
                *_BURNS,
                width=12,
            ),
            lines(
                "Budget left",
                "Of the failures that the objective allows in 30 days.",
                "percentunit",
                (_BUDGET_LEFT, "left"),
                width=12,
            ),
        ],
        "Traffic": [
            lines(
                "Requests by status",
                "Of the API. 4xx is the caller's part, 5xx ours.",
                "reqps",
                (rate(REQUESTS, "status", API), "{{status}}"),
                stacked=True,
            ),
            lines("Time of a question", "From the question to its answer's end.", "s", *quantiles(_RUN)),
            lines(
                "Questions by outcome",
                "completed, degraded, limit_exceeded, timeout, error, cancelled.",
                "reqps",
                (rate(RUNS, "outcome"), "{{outcome}}"),
                stacked=True,
            ),
        ],
        "What is wrong in the clusters": [
            lines(
                "Diagnoses by outcome",
                "A fault was found, there was none, or what could be read was not enough.",
                "reqps",
                (rate(f"{AGENT}_diagnoses_total", "outcome"), "{{outcome}}"),
                stacked=True,
                width=12,
            ),
            bars(
                "Root causes",
                "Of the incidents that diagnoses found in the dashboard's time range.",
                "short",
                (f"sort_desc(topk(10, {increase(f'{AGENT}_causes_total', 'cause')} > 0))", "{{cause}}"),
                width=12,
            ),
        ],
    },
)
