"""One look for all figures: a colour means the same thing everywhere."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from saber.metrics import metric_of, shown_in
from saber.publish.text.wording import is_drift, is_rate, label, metric_text, plain
from saber.types import FrontierPoint, Metrics, Objective

INK = "#1d2733"
MUTED = "#6c7885"
GRID = "#e9edf1"
HAIRLINE = "#d4dae0"
PAPER = "#ffffff"

CHOSEN = "#14598c"  # the front, and whatever the balanced point selected
TRIAL = "#aab4be"
INFEASIBLE = "#cf9f94"
BASE = INK
SINGLE_DIRECTION = "#6c7885"
PUBLISHED = "#7b52a1"

FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
LOG_SPAN = 30.0  # a range of positive numbers wider than this is drawn on a log axis


def metric_colour(metric: str) -> str:
    """The colour that a metric has in every figure."""
    return metric_of(metric).colour


def styled(figure: go.Figure, height: int) -> go.Figure:
    """Give a figure the common look: light, hairline grid, no frame."""
    figure.update_layout(
        height=height,
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        font={"family": FONT, "size": 12.5, "color": INK},
        margin={"l": 64, "r": 24, "t": 28, "b": 56},
        hoverlabel={"bgcolor": PAPER, "bordercolor": MUTED, "align": "left", "font": {"size": 12}},
        legend={"font": {"size": 12}, "bgcolor": "rgba(255,255,255,0)"},
        hovermode="closest",
    )
    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": MUTED,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": MUTED,
        "tickfont": {"color": MUTED},
        "title": {"standoff": 10, "font": {"size": 13}},
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def title_panels(figure: go.Figure) -> None:
    """Set the titles of side-by-side panels flush with their left ends."""
    for i, title in enumerate(figure.layout.annotations, start=1):
        axis = figure.layout["xaxis" if i == 1 else f"xaxis{i}"]
        title.update(x=axis.domain[0], xanchor="left", font={"size": 13, "color": INK})


def legend_below(figure: go.Figure) -> None:
    """Put the legend in one row under the axes."""
    figure.update_layout(
        margin={"b": 104},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "xanchor": "left", "yanchor": "bottom"},
    )


def sentence(text: str) -> go.Figure:
    """A figure that says why there is nothing to draw."""
    figure = styled(go.Figure(), height=60)
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(
        text=safe(text), x=0, y=0.5, xref="paper", yref="paper", xanchor="left", showarrow=False,
        font={"color": MUTED, "size": 13},
    )  # fmt: skip
    return figure


def safe(value: object) -> str:
    """Text for Plotly, which reads a few HTML tags."""
    return escape(plain(value), quote=False)


def axis_title(objective: Objective) -> str:
    """An objective's metric in words with its unit, and that more is better where it is."""
    metric = objective.metric
    unit = " (nats)" if is_drift(metric) else ""
    return f"{label(metric)}{unit}{', more is better' if objective.direction == 'maximize' else ''}"


def tick_format(metric: str) -> str:
    """Per cent for rates, as few digits as needed for the rest."""
    return ".0%" if is_rate(metric) else ""


def point_hover(point: FrontierPoint) -> str:
    """Name, parameters and the four headline metrics of a trial."""
    head = f"<b>{safe(point.name)}</b>  trial {point.number}"
    if point.marks:
        head += f"  ({safe(', '.join(point.marks))})"
    if not point.feasible:
        head += "  infeasible"
    params = [f"{safe(key)} = {safe(_short(value))}" for key, value in point.params.items()]
    return "<br>".join([head, *params, "", *metric_lines(point.tune)])


def metric_lines(metrics: Metrics) -> list[str]:
    """The headline metrics, one a line."""
    return [f"{label(name)}: {metric_text(metrics, name)}" for name in shown_in("hover")]


def wants_log(values: list[float]) -> bool:
    """Whether the positive values span so much that a linear axis would hide most of them."""
    positive = [value for value in values if 0 < value < float("inf")]
    return bool(positive) and max(positive) / min(positive) > LOG_SPAN


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
