"""The Grafana dashboards, as data. ``generate.py`` writes them to kubetriage/dashboards/."""

from __future__ import annotations

from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Every query looks at what the variables at the top select.
WHERE = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'
RATE = "$__rate_interval"

_WIDTH = 24
_GREEN = [{"color": "green", "value": None}]


def _rate(metric: str, by: str, where: str = "", window: str = RATE) -> str:
    matchers = f"{WHERE}, {where}" if where else WHERE
    return f"sum by ({by}) (rate({metric}{{{matchers}}}[{window}]))"


def _share(part: str, whole: str) -> str:
    """What part of the whole; 0 when there is a whole and no part."""
    return f"({part} or vector(0)) / ({whole} > 0)"


def _all(metric: str, where: str = "", window: str = RATE) -> str:
    matchers = f"{WHERE}, {where}" if where else WHERE
    return f"sum(rate({metric}{{{matchers}}}[{window}]))"


def _quantile(quantile: float, metric: str, by: str = "", window: str = RATE) -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, {_rate(metric + '_bucket', labels, window=window)})"


def _quantiles(metric: str) -> list[tuple[str, str]]:
    return [(_quantile(q, metric), f"p{round(q * 100)}") for q in (0.5, 0.95, 0.99)]


def _targets(queries: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"datasource": SOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": True, "refId": ref}
        for (expr, legend), ref in zip(queries, "ABCDEFGH", strict=False)
    ]


def _thresholds(*steps: float) -> dict[str, Any]:
    colors = ["orange", "red"] if len(steps) == 2 else ["red"]
    made = [*_GREEN, *({"color": color, "value": step} for color, step in zip(colors, steps, strict=True))]
    return {"mode": "absolute", "steps": made}


def stat(
    title: str, description: str, query: str, unit: str, *steps: float, low_is_bad: bool = False
) -> dict[str, Any]:
    """A number. ``steps``: from where it is orange and red, or red."""
    thresholds = _thresholds(*steps)
    if low_is_bad:
        thresholds["steps"] = [{"color": "red", "value": None}, {"color": "green", "value": steps[0]}]
    return {
        "type": "stat",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": thresholds}, "overrides": []},
        "options": {
            "colorMode": "value",
            "graphMode": "area",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
        "targets": _targets([(query, "")]),
        "size": (4, 4),
    }


def lines(
    title: str, description: str, unit: str, *queries: tuple[str, str], stacked: bool = False, width: int = 8
) -> dict[str, Any]:
    """Lines over time."""
    custom = {"fillOpacity": 20 if stacked else 5, "lineWidth": 1, "showPoints": "never"}
    if stacked:
        custom["stacking"] = {"group": "A", "mode": "normal"}
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {
            "legend": {"calcs": ["mean", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": _targets(list(queries)),
        "size": (width, 8),
    }


def bars(title: str, description: str, unit: str, query: str, legend: str, *, width: int = 8) -> dict[str, Any]:
    """One bar for each series, summed over the dashboard's time range."""
    target = _targets([(query, legend)])[0]
    target |= {"instant": True, "range": False}
    return {
        "type": "bargauge",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "thresholds": {"mode": "absolute", "steps": _GREEN}},
            "overrides": [],
        },
        "options": {
            "displayMode": "basic",
            "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
        "targets": [target],
        "size": (width, 8),
    }


def heat(title: str, description: str, metric: str, *, width: int = 8) -> dict[str, Any]:
    """A histogram over time."""
    target = _targets([(_rate(metric + "_bucket", "le"), "{{le}}")])[0] | {"format": "heatmap"}
    return {
        "type": "heatmap",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": "short"}, "overrides": []},
        "options": {"calculate": False, "color": {"scheme": "Oranges", "mode": "scheme"}, "yAxis": {"unit": "s"}},
        "targets": [target],
        "size": (width, 8),
    }


def _placed(rows: list[tuple[str, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    y = 0
    for title, inside in rows:
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _at(0, y, _WIDTH, 1)}
        )
        y += 1
        x = height = 0
        for panel in inside:
            width, tall = panel.pop("size")
            if x + width > _WIDTH:
                x, y, height = 0, y + height, 0
            panels.append({**panel, "gridPos": _at(x, y, width, tall)})
            x, height = x + width, max(height, tall)
        y += height
    return [{"id": number, **panel} for number, panel in enumerate(panels, start=1)]


def _at(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _variable(name: str, label: str, query: str, everything: str) -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": everything,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _dashboard(
    uid: str, title: str, description: str, services: str, rows: list[tuple[str, list[dict[str, Any]]]]
) -> dict[str, Any]:
    known = f'{{__name__=~"kubetriage_({services})_build_info"'
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["kubetriage"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "title": "Kubetriage",
                "tags": ["kubetriage"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "annotations": {
            "list": [
                {
                    "name": "Restarts",
                    "datasource": SOURCE,
                    "enable": True,
                    "iconColor": "orange",
                    "expr": f"changes(process_start_time_seconds{{{WHERE}}}[1m]) > 0 and on (instance, job) {known}}}",
                    "titleFormat": "{{job}} started",
                }
            ]
        },
        "templating": {
            "list": [
                {
                    "type": "datasource",
                    "name": "datasource",
                    "label": "Data source",
                    "query": "prometheus",
                    "current": {},
                    "refresh": 1,
                },
                _variable("namespace", "Namespace", f"label_values({known}}}, namespace)", ".*"),
                _variable("job", "Job", f'label_values({known}, namespace=~"$namespace"}}, job)', ".+"),
                _variable(
                    "instance",
                    "Instance",
                    f'label_values({known}, namespace=~"$namespace", job=~"$job"}}, instance)',
                    ".+",
                ),
            ]
        },
        "panels": _placed(rows),
    }


_GATEWAY = "kubetriage_gateway"
_AGENT = "kubetriage_agent"
_INGEST = "kubetriage_ingest"
_API = 'route=~"/v1/.*"'
_REQUESTS = f"{_GATEWAY}_http_requests_total"
_RUNS = f"{_AGENT}_runs_total"


def _process(metric: str, service: str, *, rate: bool = False) -> str:
    value = f"rate({metric}{{{WHERE}}}[{RATE}])" if rate else f"{metric}{{{WHERE}}}"
    return f"{value} and on (instance, job) kubetriage_{service}_build_info{{{WHERE}}}"


OVERVIEW = _dashboard(
    "kubetriage-overview",
    "Kubetriage overview",
    "Does it answer, how fast, whom does it turn away, and is what it knows fresh.",
    "gateway|agent|ingest",
    [
        (
            "Now",
            [
                stat(
                    "Gateways",
                    "Gateways that Prometheus reaches.",
                    f"count({_GATEWAY}_build_info{{{WHERE}}})",
                    "short",
                    1,
                    low_is_bad=True,
                ),
                stat(
                    "Agents",
                    "Agents that Prometheus reaches.",
                    f"count({_AGENT}_build_info{{{WHERE}}})",
                    "short",
                    1,
                    low_is_bad=True,
                ),
                stat(
                    "Failed requests",
                    "Share of the API's requests that ended with a 5xx in the dashboard's time range.",
                    _share(
                        _all(_REQUESTS, f'{_API}, status=~"5.."', "$__range"),
                        _all(_REQUESTS, _API, "$__range"),
                    ),
                    "percentunit",
                    0.005,
                    0.05,
                ),
                stat(
                    "Question, p95",
                    "95 of 100 questions are answered within this time.",
                    _quantile(0.95, f"{_AGENT}_run_duration_seconds", window="$__range"),
                    "s",
                    15,
                    30,
                ),
                stat(
                    "Degraded answers",
                    "Share of the questions that were answered without the model or without the runbooks.",
                    _share(_all(_RUNS, 'outcome="degraded"', "$__range"), _all(_RUNS, "", "$__range")),
                    "percentunit",
                    0.01,
                    0.1,
                ),
                stat(
                    "Runbooks' age",
                    "Time since the last ingest that worked, of the source that is furthest behind.",
                    f"time() - min({_INGEST}_last_success_timestamp_seconds{{{WHERE}}} > 0)",
                    "s",
                    300,
                    900,
                ),
            ],
        ),
        (
            "Gateway: requests",
            [
                lines("Requests", "By route.", "reqps", (_rate(_REQUESTS, "route"), "{{route}}"), stacked=True),
                lines(
                    "Refused and failed",
                    "Answers with 4xx (the caller's part) and 5xx (ours), by status.",
                    "reqps",
                    (_rate(_REQUESTS, "status", 'status=~"[45].."'), "{{status}}"),
                ),
                lines(
                    "Duration",
                    "From a request's first byte to its answer's last; a stream lasts as long as its question.",
                    "s",
                    *_quantiles(f"{_GATEWAY}_http_request_duration_seconds"),
                ),
                lines(
                    "Duration by route, p95",
                    "95 of 100 requests are faster.",
                    "s",
                    (_quantile(0.95, f"{_GATEWAY}_http_request_duration_seconds", "route"), "{{route}}"),
                ),
                lines(
                    "Waiting for the agent, p95",
                    "Until the agent's answer, or the first byte of a stream.",
                    "s",
                    (_quantile(0.95, f"{_GATEWAY}_upstream_duration_seconds", "call, outcome"), "{{call}} {{outcome}}"),
                ),
                lines(
                    "Under way",
                    "Requests and streams being answered now.",
                    "short",
                    (f"sum({_GATEWAY}_http_requests_in_flight{{{WHERE}}})", "requests"),
                    (f"sum({_GATEWAY}_streams_open{{{WHERE}}})", "streams"),
                    (f"sum({_GATEWAY}_draining{{{WHERE}}})", "gateways draining"),
                ),
            ],
        ),
        (
            "Gateway: who is turned away, and Redis",
            [
                lines(
                    "Limiter: refused",
                    "Requests over a limit, by policy: user, ask, address.",
                    "reqps",
                    (_rate(f"{_GATEWAY}_limiter_decisions_total", "policy", 'decision="refused"'), "{{policy}}"),
                ),
                lines(
                    "Limiter: decisions",
                    "By decision and engine. `local` means that Redis was away and each gateway counted alone.",
                    "reqps",
                    (_rate(f"{_GATEWAY}_limiter_decisions_total", "decision, engine"), "{{decision}} {{engine}}"),
                    stacked=True,
                ),
                lines(
                    "Refused credentials",
                    "By reason. Many `password` from nowhere is somebody trying; `refresh_reused` is a stolen token.",
                    "reqps",
                    (_rate(f"{_GATEWAY}_auth_failures_total", "reason"), "{{reason}}"),
                ),
                lines(
                    "Redis failures",
                    "Calls that failed or timed out, of gateways and agents.",
                    "ops",
                    (_all(f"{_GATEWAY}_store_failures_total"), "gateway"),
                    (_all(f"{_AGENT}_memory_failures_total"), "agent"),
                    width=12,
                ),
                lines(
                    "Redis keeps what it is told",
                    "1: it writes an append-only file. 0: users and sessions die with it, or it did not say.",
                    "short",
                    (f"min({_GATEWAY}_store_persistent{{{WHERE}}})", "append-only file"),
                    width=12,
                ),
            ],
        ),
        (
            "What is wrong in the clusters",
            [
                lines(
                    "Questions by outcome",
                    "completed, degraded, limit_exceeded, timeout, error, cancelled.",
                    "reqps",
                    (_rate(_RUNS, "outcome"), "{{outcome}}"),
                    stacked=True,
                ),
                lines(
                    "Diagnoses by outcome",
                    "A fault was found, there was none, or what could be read was not enough.",
                    "reqps",
                    (_rate(f"{_AGENT}_diagnoses_total", "outcome"), "{{outcome}}"),
                    stacked=True,
                ),
                bars(
                    "Root causes",
                    "Of the first incident of each diagnosis, in the dashboard's time range.",
                    "short",
                    f"topk(10, sum by (cause) (increase({_AGENT}_causes_total{{{WHERE}}}[$__range])))",
                    "{{cause}}",
                ),
            ],
        ),
        (
            "Ingest",
            [
                lines(
                    "Age of the last ingest",
                    "Seconds since an ingest worked; it looks at its files once a minute.",
                    "s",
                    (f"time() - ({_INGEST}_last_success_timestamp_seconds{{{WHERE}}} > 0)", "{{instance}}"),
                ),
                lines(
                    "Ingests by outcome",
                    "One look at the files each.",
                    "ops",
                    (_rate(f"{_INGEST}_runs_total", "outcome"), "{{outcome}}"),
                    stacked=True,
                ),
                lines(
                    "Duration of an ingest, p95",
                    "Embedding what changed is what takes long.",
                    "s",
                    (_quantile(0.95, f"{_INGEST}_run_duration_seconds"), "p95"),
                ),
                lines(
                    "Runbooks",
                    "Documents and files that were left out.",
                    "short",
                    (f"sum({_INGEST}_documents{{{WHERE}}})", "documents"),
                    (f"sum({_INGEST}_skipped_files{{{WHERE}}})", "left out"),
                ),
                lines("Chunks", "What search finds.", "short", (f"sum({_INGEST}_chunks{{{WHERE}}})", "chunks")),
                lines(
                    "Chunks written",
                    "Added and removed.",
                    "ops",
                    (_rate(f"{_INGEST}_chunks_written_total", "change"), "{{change}}"),
                ),
            ],
        ),
        (
            "Processes",
            [
                lines(
                    "CPU of gateways and ingests",
                    "Cores.",
                    "short",
                    (_process("process_cpu_seconds_total", "gateway", rate=True), "{{job}} {{instance}}"),
                    (_process("process_cpu_seconds_total", "ingest", rate=True), "{{job}} {{instance}}"),
                    width=12,
                ),
                lines(
                    "Memory of gateways and ingests",
                    "Resident.",
                    "bytes",
                    (_process("process_resident_memory_bytes", "gateway"), "{{job}} {{instance}}"),
                    (_process("process_resident_memory_bytes", "ingest"), "{{job}} {{instance}}"),
                    width=12,
                ),
            ],
        ),
    ],
)

AGENT = _dashboard(
    "kubetriage-agent",
    "Kubetriage agent",
    "How questions end, how long they and their tools take, and what fails on the way.",
    "agent",
    [
        (
            "Questions",
            [
                lines(
                    "Questions by outcome",
                    "completed, degraded (without a part), limit_exceeded, timeout, error, cancelled by the caller.",
                    "reqps",
                    (_rate(_RUNS, "outcome"), "{{outcome}}"),
                    stacked=True,
                ),
                lines("Duration", "Of a whole question.", "s", *_quantiles(f"{_AGENT}_run_duration_seconds")),
                heat("Duration, all questions", "How many questions took how long.", f"{_AGENT}_run_duration_seconds"),
                lines(
                    "Being answered now",
                    "By agent. At `agent.concurrentRuns` further questions wait.",
                    "short",
                    (f"{_AGENT}_runs_active{{{WHERE}}}", "{{instance}}"),
                ),
                lines("Model calls of a question", "Each is one step.", "short", *_quantiles(f"{_AGENT}_run_steps")),
                lines(
                    "Not answered in full",
                    "Share of the questions that ended in any other way than completed.",
                    "percentunit",
                    (_share(_all(_RUNS, 'outcome!~"completed|cancelled"'), _all(_RUNS)), "share"),
                ),
            ],
        ),
        (
            "Tools",
            [
                lines(
                    "Calls",
                    "By tool.",
                    "reqps",
                    (_rate(f"{_AGENT}_tool_calls_total", "tool"), "{{tool}}"),
                    stacked=True,
                ),
                lines(
                    "Failed calls",
                    "Forbidden, not found, too slow, by tool.",
                    "reqps",
                    (_rate(f"{_AGENT}_tool_calls_total", "tool, status", 'status!="ok"'), "{{tool}} {{status}}"),
                ),
                lines(
                    "Duration, p95",
                    "95 of 100 calls are faster. Mostly the API server's time.",
                    "s",
                    (_quantile(0.95, f"{_AGENT}_tool_duration_seconds", "tool"), "{{tool}}"),
                ),
            ],
        ),
        (
            "What did not work",
            [
                lines(
                    "Degraded answers",
                    "By the part that was missing: `model` (the built-in one answered instead) or `retrieval`.",
                    "reqps",
                    (_rate(f"{_AGENT}_degraded_total", "part"), "{{part}}"),
                ),
                lines(
                    "Memory failures",
                    "Calls to Redis that failed or timed out: the question was refused with 503.",
                    "ops",
                    (_all(f"{_AGENT}_memory_failures_total"), "failures"),
                ),
                lines(
                    "Failed requests of the gateway",
                    "By route and status, 5xx.",
                    "reqps",
                    (_rate(f"{_AGENT}_http_requests_total", "route, status", 'status=~"5.."'), "{{route}} {{status}}"),
                ),
            ],
        ),
        (
            "Requests of the gateway",
            [
                lines("Requests", "By route.", "reqps", (_rate(f"{_AGENT}_http_requests_total", "route"), "{{route}}")),
                lines(
                    "Duration by route, p95",
                    "95 of 100 requests are faster.",
                    "s",
                    (_quantile(0.95, f"{_AGENT}_http_request_duration_seconds", "route"), "{{route}}"),
                ),
                lines(
                    "Under way",
                    "Requests being answered now.",
                    "short",
                    (f"{_AGENT}_http_requests_in_flight{{{WHERE}}}", "{{instance}}"),
                ),
            ],
        ),
        (
            "Diagnoses and tokens",
            [
                lines(
                    "Diagnoses by outcome",
                    "A fault was found, there was none, or what could be read was not enough.",
                    "reqps",
                    (_rate(f"{_AGENT}_diagnoses_total", "outcome"), "{{outcome}}"),
                    stacked=True,
                ),
                bars(
                    "Root causes",
                    "Of the first incident of each diagnosis, in the dashboard's time range.",
                    "short",
                    f"topk(15, sum by (cause) (increase({_AGENT}_causes_total{{{WHERE}}}[$__range])))",
                    "{{cause}}",
                ),
                lines(
                    "Tokens",
                    "As the model's vendor counts them, per second. The built-in model has none.",
                    "short",
                    (_rate(f"{_AGENT}_model_tokens_total", "model, kind"), "{{model}} {{kind}}"),
                ),
            ],
        ),
        (
            "Processes",
            [
                lines(
                    "CPU",
                    "Cores.",
                    "short",
                    (_process("process_cpu_seconds_total", "agent", rate=True), "{{instance}}"),
                    width=12,
                ),
                lines(
                    "Memory",
                    "Resident.",
                    "bytes",
                    (_process("process_resident_memory_bytes", "agent"), "{{instance}}"),
                    width=12,
                ),
            ],
        ),
    ],
)

DASHBOARDS = (OVERVIEW, AGENT)
