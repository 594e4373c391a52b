"""Which refusals go: over-refusal and protected refusals beside the headline rate."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from saber.metrics import OVER_REFUSAL, PROTECTED_REFUSAL, REFUSAL
from saber.publish.figures import theme
from saber.publish.text.wording import label
from saber.types import Frontier, FrontierPoint, Metrics

SELECTIVE = (OVER_REFUSAL, PROTECTED_REFUSAL)


def selectivity_figure(frontier: Frontier) -> go.Figure:
    """Draw over-refusal and protected refusals against the refusal rate, in two panels."""
    shown = [m for m in SELECTIVE if any(_has(point.tune, m) for point in frontier.points)]
    if not shown:
        return theme.sentence("Neither over-refusal nor protected refusals were measured in this study.")
    figure = make_subplots(
        rows=1, cols=len(shown), horizontal_spacing=0.1, subplot_titles=[label(metric) for metric in shown]
    )
    theme.styled(figure, height=400)
    for i, metric in enumerate(shown, start=1):
        _add_panel(figure, frontier, metric, column=i)
    figure.update_xaxes(title_text=label(REFUSAL), tickformat=".0%", range=[-0.03, 1.03])
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_layout(margin={"t": 44})
    theme.legend_below(figure)
    theme.title_panels(figure)
    return figure


def _has(metrics: Metrics, metric: str) -> bool:
    return {REFUSAL, metric} <= set(metrics.estimates)


def _add_panel(figure: go.Figure, frontier: Frontier, metric: str, *, column: int) -> None:
    place = {"row": 1, "col": column, "showlegend": column == 1}
    if metric == PROTECTED_REFUSAL:
        line = {"color": theme.TRIAL, "width": 1, "dash": "dot"}
        figure.add_scatter(
            x=[0, 1], y=[0, 1], mode="lines", line=line, hoverinfo="skip", row=1, col=column,
            name="as often as all harmful prompts", legendgroup="diagonal",
        )  # fmt: skip
    points = [point for point in frontier.points if _has(point.tune, metric)]
    front = [point for point in points if point.on_front]
    others = [point for point in points if not point.on_front]
    _add_points(figure, others, metric, "trials", theme.TRIAL, 6, place | {"legendrank": 1001})
    curve = sorted(
        (curve_point for curve_point in frontier.curve if _has(curve_point.tune, metric)),
        key=lambda along: along.strength,
    )
    if curve:
        figure.add_scatter(
            x=[along.tune[REFUSAL] for along in curve], y=[along.tune[metric] for along in curve], mode="lines",
            line={"color": theme.SINGLE_DIRECTION, "width": 1.5, "dash": "dash"}, hoverinfo="skip",
            name="one plain direction, strength swept", legendgroup="curve", **place,
        )  # fmt: skip
    _add_points(figure, front, metric, "front", theme.CHOSEN, 9, place)
    base = frontier.base_tune
    if _has(base, metric):
        figure.add_scatter(
            x=[base[REFUSAL]], y=[base[metric]], mode="markers", name="base model", legendgroup="base",
            marker={"color": theme.BASE, "size": 11, "symbol": "diamond"}, hoverinfo="text",
            hovertext=["<br>".join(["<b>base model</b>", *theme.metric_lines(base)])], **place,
        )  # fmt: skip


def _add_points(
    figure: go.Figure,
    points: list[FrontierPoint],
    metric: str,
    name: str,
    colour: str,
    size: int,
    place: Mapping[str, object],
) -> None:
    if points:
        figure.add_scatter(
            x=[point.tune[REFUSAL] for point in points], y=[point.tune[metric] for point in points],
            mode="markers", marker={"color": colour, "size": size, "opacity": 0.85}, name=name, legendgroup=name,
            hovertext=[theme.point_hover(point) for point in points], hoverinfo="text", **place,
        )  # fmt: skip
