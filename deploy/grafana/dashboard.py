"""A dashboard around its rows of panels: variables, links, annotations, ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as shapes

from deploy.grafana.panels import SOURCE, Panel
from deploy.grafana.queries import series

# The chart puts monitoring.prometheusRule.availabilityObjective in its place.
OBJECTIVE = "0.995"
_TAG = "kubetriage"
_ALL = shapes.VariableOption(selected=True, text=["All"], value=["$__all"])


def build(
    uid: str,
    title: str,
    description: str,
    *,
    services: Sequence[str],
    rows: Mapping[str, Sequence[Panel]],
    objective: bool = False,
) -> dict[str, Any]:
    """The dashboard as Grafana's JSON model. ``services``: those whose metrics it shows; ``objective``: it has a
    variable for the SLO. Panels stand side by side in the 24 columns of their row."""
    known = f'{{__name__=~"kubetriage_({"|".join(services)})_build_info"'
    made = (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([_TAG])
        .readonly()
        .tooltip(shapes.DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .refresh("30s")
        .time("now-6h", "now")
        .link(
            builders.DashboardLink("Kubetriage")
            .type(shapes.DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .as_dropdown(False)
            .include_vars(True)
            .keep_time(True)
        )
        .annotation(
            builders.AnnotationQuery()
            .name("Restarts")
            .datasource(SOURCE)
            .enable(True)
            .icon_color("orange")
            .expr(f"changes({series('process_start_time_seconds')}[1m]) > 0 and on (instance, job) {known}}}")
        )
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_variable("namespace", f"label_values({known}}}, namespace)", ".*"))
        .with_variable(_variable("job", f'label_values({known}, namespace=~"$namespace"}}, job)'))
        .with_variable(
            _variable("instance", f'label_values({known}, namespace=~"$namespace", job=~"$job"}}, instance)')
        )
    )
    if objective:
        made.with_variable(
            builders.TextBoxVariable("objective")
            .label("Objective")
            .description("Share of requests that must not fail, over 30 days.")
            .default_value(OBJECTIVE)
            .current(shapes.VariableOption(selected=True, text=OBJECTIVE, value=OBJECTIVE))
        )
    for heading, panels in rows.items():
        made.with_row(builders.Row(heading))
        for panel in panels:
            made.with_panel(panel)
    model = made.build()
    for number, panel_or_row in enumerate(model.panels or (), start=1):
        panel_or_row.id_val = number
    found: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(model))
    return found


def _variable(name: str, query: str, everything: str = ".+") -> builders.QueryVariable:
    """A choice of a label's values; ``everything``: what All matches (``.*``: also series without the label)."""
    return (
        builders.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(shapes.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(shapes.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(everything)
        .current(_ALL)
    )
