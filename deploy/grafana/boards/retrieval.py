"""Whether searches find runbooks, and whether the runbooks are fresh."""

from __future__ import annotations

from deploy.grafana.dashboard import build
from deploy.grafana.panels import heat, lines, number
from deploy.grafana.queries import (
    AGENT,
    INGEST,
    RANGE,
    RESIDENT,
    increase,
    mean,
    process,
    processor,
    quantile,
    quantiles,
    rate,
    series,
    share,
)

_SEARCH = f"{AGENT}_search_duration_seconds"
_SEARCHES = f"{_SEARCH}_count"
_PASSAGES = f"{AGENT}_search_passages"
_STAMP = f"{INGEST}_last_success_timestamp_seconds"

DASHBOARD = build(
    "kubetriage-retrieval",
    "Kubetriage retrieval and ingest",
    "Do searches find runbooks, how fast, and are the runbooks in Chroma fresh.",
    services=("agent", "ingest"),
    rows={
        "In the dashboard's time range": [
            number("Searches", "By callers and by questions.", increase(_SEARCHES), "short"),
            number(
                "Nothing found",
                "Share of the searches that no passage fitted: what people ask and no runbook covers.",
                share(rate(_SEARCHES, where='outcome="nothing"', window=RANGE), rate(_SEARCHES, window=RANGE)),
                "percentunit",
                0.1,
                0.3,
            ),
            number(
                "Failed",
                "Share of the searches that ended with an error; the answer goes on without runbooks.",
                share(rate(_SEARCHES, where='outcome="error"', window=RANGE), rate(_SEARCHES, window=RANGE)),
                "percentunit",
                0.01,
                0.1,
            ),
            number("Search, p95", "95 of 100 are faster.", quantile(0.95, _SEARCH, window=RANGE), "s", 0.5, 2),
            number("Runbooks", "Documents of all sources.", f"sum({series(f'{INGEST}_documents')})", "short"),
            number(
                "Runbooks' age",
                "Time since the last ingest that worked, of the source that is furthest behind.",
                f"time() - min({series(_STAMP)} > 0)",
                "s",
                300,
                900,
            ),
        ],
        "Search": [
            lines(
                "Searches",
                "By outcome: found, nothing (no passage fits), error.",
                "reqps",
                (rate(_SEARCHES, "outcome"), "{{outcome}}"),
                stacked=True,
            ),
            lines(
                "Duration",
                "Of a search; the look for newer runbooks is in it.",
                "s",
                *quantiles(_SEARCH),
            ),
            lines("Passages of a search", "The mean.", "short", (mean(_PASSAGES), "passages")),
        ],
        "What searches return": [
            heat("Passages, all searches", "How many searches returned how many.", _PASSAGES, "short", width=12),
            lines(
                "Answers without runbooks",
                "Questions that went on because search did not work.",
                "reqps",
                (rate(f"{AGENT}_degraded_total", where='part="retrieval"'), "questions"),
                width=12,
            ),
        ],
        "Ingest": [
            lines(
                "Age of the last ingest",
                "Seconds since an ingest worked; it looks at its files once a minute.",
                "s",
                (f"time() - ({series(_STAMP)} > 0)", "{{instance}}"),
            ),
            lines(
                "Ingests by outcome",
                "One look at the files each.",
                "ops",
                (rate(f"{INGEST}_runs_total", "outcome"), "{{outcome}}"),
                stacked=True,
            ),
            lines(
                "Duration of an ingest, p95",
                "Embedding what changed is what takes long.",
                "s",
                (quantile(0.95, f"{INGEST}_run_duration_seconds"), "p95"),
            ),
        ],
        "What is in Chroma": [
            lines(
                "Runbooks",
                "Documents and files that were left out.",
                "short",
                (f"sum({series(f'{INGEST}_documents')})", "documents"),
                (f"sum({series(f'{INGEST}_skipped_files')})", "left out"),
            ),
            lines("Chunks", "What search finds.", "short", (f"sum({series(f'{INGEST}_chunks')})", "chunks")),
            lines(
                "Chunks written",
                "Added and removed.",
                "ops",
                (rate(f"{INGEST}_chunks_written_total", "change"), "{{change}}"),
            ),
        ],
        "Processes": [
            lines("CPU of ingests", "Cores.", "short", (processor("ingest"), "{{instance}}"), width=12),
            lines(
                "Memory of ingests",
                "Resident.",
                "bytes",
                (process(RESIDENT, "ingest"), "{{instance}}"),
                width=12,
            ),
        ],
    },
)
