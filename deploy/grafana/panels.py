"""The kinds of panel that our dashboards are made of, with one look."""

from __future__ import annotations

from string import ascii_uppercase

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as shapes
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from deploy.grafana.queries import Query, rate

SOURCE = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")
Panel = Builder[shapes.Panel]


def number(
    title: str, description: str, query: str, unit: str, *steps: float, low_is_bad: bool = False, width: int = 4
) -> Panel:
    """The latest value. ``steps``: from where it is orange and red, or red; with ``low_is_bad`` below where."""
    panel = (
        stat.Panel()
        .unit(unit)
        .thresholds(_thresholds(steps, low_is_bad=low_is_bad))
        .color_mode(options.BigValueColorMode.VALUE)
        .graph_mode(options.BigValueGraphMode.AREA)
        .reduce_options(_latest())
        .with_target(_target(query, ""))
    )
    return panel.title(title).description(description).datasource(SOURCE).span(width).height(4)


def lines(title: str, description: str, unit: str, *queries: Query, stacked: bool = False, width: int = 8) -> Panel:
    """Lines over time."""
    panel = (
        timeseries.Panel()
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(20 if stacked else 5)
        .show_points(options.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .calcs(["mean", "max"])
            .display_mode(options.LegendDisplayMode.TABLE)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    )
    if stacked:
        panel.stacking(common.StackingConfig().group("A").mode(options.StackingMode.NORMAL))
    for name, (query, legend) in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(_target(query, legend, name))
    return panel.title(title).description(description).datasource(SOURCE).span(width).height(8)


def bars(title: str, description: str, unit: str, query: Query, *, width: int = 8) -> Panel:
    """One bar for each series, of now."""
    panel = (
        bargauge.Panel()
        .unit(unit)
        .min(0)
        .thresholds(_thresholds(()))
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .orientation(options.VizOrientation.HORIZONTAL)
        .reduce_options(_latest())
        .with_target(_target(*query).instant())
    )
    return panel.title(title).description(description).datasource(SOURCE).span(width).height(8)


def heat(title: str, description: str, metric: str, unit: str = "s", *, width: int = 8) -> Panel:
    """A histogram over time."""
    panel = (
        heatmap.Panel()
        .unit("short")
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .with_target(_target(rate(f"{metric}_bucket", "le"), "{{le}}").format(PromQueryFormat.HEATMAP))
    )
    return panel.title(title).description(description).datasource(SOURCE).span(width).height(8)


def rows(title: str, description: str, query: str, columns: dict[str, str], *, width: int = 8) -> Panel:
    """A table of now. ``columns``: the labels with their headings; ``Value`` is the number's name."""
    panel = (
        table.Panel()
        .unit("short")
        .decimals(0)
        .with_target(_target(query, "").instant().format(PromQueryFormat.TABLE))
        .with_transformation(
            shapes.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": {name: place for place, name in enumerate(columns)},
                    "renameByName": columns,
                },
            )
        )
    )
    return panel.title(title).description(description).datasource(SOURCE).span(width).height(8)


def _target(query: str, legend: str, name: str = "A") -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query).legend_format(legend).ref_id(name).datasource(SOURCE)
    return target.editor_mode(QueryEditorMode.CODE).range()


def _latest() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)


def _thresholds(steps: tuple[float, ...], *, low_is_bad: bool = False) -> dashboard.ThresholdsConfig:
    colors = ["green", "orange", "red"] if len(steps) == 2 else ["green", "red"]
    if low_is_bad:
        colors.reverse()
    made = [shapes.Threshold(color=color, value=value) for color, value in zip(colors, (None, *steps), strict=False)]
    return dashboard.ThresholdsConfig().mode(shapes.ThresholdsMode.ABSOLUTE).steps(made)
