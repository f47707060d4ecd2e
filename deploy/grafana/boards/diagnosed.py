"""The health of the clusters as diagnoses saw it: by cause and namespace, and what could not be judged."""

from __future__ import annotations

from deploy.grafana.dashboard import build
from deploy.grafana.panels import bars, lines, number, rows
from deploy.grafana.queries import AGENT, RANGE, increase, rate, share

_DIAGNOSES = f"{AGENT}_diagnoses_total"
_CAUSES = f"{AGENT}_causes_total"
_FAULT = 'outcome="fault_found"'

DASHBOARD = build(
    "kubetriage-diagnosed",
    "Kubetriage cluster health as diagnosed",
    "What diagnoses found, by cause and namespace. It counts what somebody asked about: nothing here means that "
    "nobody asked, not that nothing is wrong.",
    services=("agent",),
    rows={
        "In the dashboard's time range": [
            number("Diagnoses", "Asked for, or made for a question.", increase(_DIAGNOSES), "short"),
            number(
                "With a fault",
                "Share of the diagnoses that found one.",
                share(rate(_DIAGNOSES, where=_FAULT, window=RANGE), rate(_DIAGNOSES, window=RANGE)),
                "percentunit",
            ),
            number("Incidents", "An incident is counted in every diagnosis that finds it.", increase(_CAUSES), "short"),
            number(
                "Different causes",
                "Kinds of fault that were found.",
                f"count({increase(_CAUSES, 'cause')} > 0)",
                "short",
            ),
            number(
                "Namespaces with incidents",
                "Where a root cause was; `(cluster)` is an object without a namespace.",
                f"count({increase(_CAUSES, 'object_namespace')} > 0)",
                "short",
            ),
            number(
                "Not enough to read",
                "Share of the diagnoses for which the rights or the API server did not show enough.",
                share(
                    rate(_DIAGNOSES, where='outcome="inconclusive"', window=RANGE),
                    rate(_DIAGNOSES, window=RANGE),
                ),
                "percentunit",
                0.05,
                0.2,
            ),
        ],
        "Causes": [
            bars(
                "Root causes",
                "Of all incidents in the dashboard's time range.",
                "short",
                (f"sort_desc(topk(15, {increase(_CAUSES, 'cause')} > 0))", "{{cause}}"),
                width=12,
            ),
            lines(
                "Incidents per hour, by cause",
                "As diagnoses find them, the ten most frequent ones.",
                "short",
                (f"topk(10, 3600 * {rate(_CAUSES, 'cause')})", "{{cause}}"),
                stacked=True,
                width=12,
            ),
        ],
        "Namespaces": [
            bars(
                "Incidents by namespace",
                "Of the root cause's object. The first 50 namespaces of an agent have a bar of their own, the rest is "
                "`(other)`.",
                "short",
                (f"sort_desc(topk(15, {increase(_CAUSES, 'object_namespace')} > 0))", "{{object_namespace}}"),
                width=12,
            ),
            lines(
                "Incidents per hour, by namespace",
                "As diagnoses find them, the ten most frequent ones.",
                "short",
                (f"topk(10, 3600 * {rate(_CAUSES, 'object_namespace')})", "{{object_namespace}}"),
                stacked=True,
                width=12,
            ),
        ],
        "What is wrong where": [
            rows(
                "Causes by namespace",
                "Root causes in the dashboard's time range, the most frequent ones first.",
                f"sort_desc(topk(30, {increase(_CAUSES, 'object_namespace, cause')} > 0))",
                {"object_namespace": "Namespace", "cause": "Cause", "Value": "Incidents"},
                width=12,
            ),
            lines(
                "Diagnoses by outcome",
                "A fault was found, there was none, or what could be read was not enough.",
                "reqps",
                (rate(_DIAGNOSES, "outcome"), "{{outcome}}"),
                stacked=True,
                width=12,
            ),
        ],
    },
)
