"""What the search learned: which parameters mattered, and what the probe count does."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean, median

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from saber.metrics import DRIFT, REFUSAL
from saber.publish.analysis.probe_count_finding import PROBE_KEY, Correlation, probe_correlation
from saber.publish.figures import theme
from saber.publish.text.wording import label
from saber.types import Frontier, FrontierPoint

ROW_HEIGHT = 26
PROBE_METRICS = (REFUSAL, DRIFT)


def importances_figure(frontier: Frontier) -> go.Figure:
    """Draw how much each searched parameter explains of each objective."""
    importances = {metric: shares for metric, shares in frontier.importances.items() if shares}
    if not importances:
        return theme.sentence("No parameter importances: they need several finished trials that differ.")
    keys = _keys_by_importance(importances)
    metrics = list(importances)
    figure = make_subplots(
        rows=1, cols=len(metrics), shared_yaxes=True, horizontal_spacing=0.06,
        subplot_titles=[label(metric) for metric in metrics],
    )  # fmt: skip
    theme.styled(figure, height=110 + ROW_HEIGHT * len(keys))
    highest = max(max(shares.values()) for shares in importances.values())
    for i, metric in enumerate(metrics, start=1):
        shares = [importances[metric].get(key, 0.0) for key in keys]
        figure.add_bar(
            x=shares, y=[theme.safe(key) for key in keys], orientation="h", row=1, col=i, showlegend=False,
            marker={"color": theme.metric_colour(metric)}, text=[f"{share:.0%}" for share in shares],
            textposition="outside", cliponaxis=False, hoverinfo="skip",
        )  # fmt: skip
    figure.update_xaxes(range=[0, 1.12 * highest or 1], showticklabels=False, ticks="", showgrid=False, showline=False)
    figure.update_yaxes(ticks="", showgrid=False, tickfont={"color": theme.INK}, automargin=True)
    figure.update_layout(bargap=0.35, margin={"t": 44, "b": 16})
    theme.title_panels(figure)
    return figure


def probe_count_figure(frontier: Frontier) -> go.Figure:
    """Draw refusal and drift against the number of probe prompts, with the median of each count."""
    searched = [point for point in frontier.points if PROBE_KEY in point.params]
    if len({str(point.params[PROBE_KEY]) for point in searched}) < 2:
        return theme.sentence("The probe count was not searched in this study.")
    figure = make_subplots(
        rows=1, cols=2, horizontal_spacing=0.1,
        subplot_titles=[_probe_title(metric, probe_correlation(frontier, metric)) for metric in PROBE_METRICS],
    )  # fmt: skip
    theme.styled(figure, height=340)
    for i, metric in enumerate(PROBE_METRICS, start=1):
        points = [point for point in searched if metric in point.tune.estimates]
        _add_probe_panel(figure, points, metric, column=i)
    figure.update_xaxes(title_text="probe prompts of each kind")
    figure.update_layout(margin={"t": 44}, showlegend=False)
    theme.title_panels(figure)
    return figure


def _keys_by_importance(importances: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Parameters, the least important first, as a bar chart is drawn from below."""
    keys = {key for shares in importances.values() for key in shares}
    return sorted(keys, key=lambda key: (mean(shares.get(key, 0.0) for shares in importances.values()), key))


def _probe_title(metric: str, correlation: Correlation | None) -> str:
    if correlation is None:
        return label(metric)
    p = "p < .001" if correlation.p < 0.001 else f"p = {correlation.p:.3f}".replace("0.", ".")
    return f"{label(metric)}   <span style='color:{theme.MUTED}'>Spearman ρ {correlation.rho:+.2f}, {p}</span>"


def _add_probe_panel(figure: go.Figure, points: list[FrontierPoint], metric: str, *, column: int) -> None:
    counts = [int(str(point.params[PROBE_KEY])) for point in points]
    values = [point.tune[metric] for point in points]
    colour = theme.metric_colour(metric)
    figure.add_scatter(
        x=counts, y=values, mode="markers", row=1, col=column, hoverinfo="text",
        marker={"color": colour, "size": [8 if p.on_front else 5 for p in points], "opacity": 0.55},
        hovertext=[theme.point_hover(point) for point in points],
    )  # fmt: skip
    by_count = {
        count: median(v for c, v in zip(counts, values, strict=True) if c == count) for count in sorted(set(counts))
    }
    if len(by_count) * 3 <= len(points):  # otherwise the "median" is a trial or two
        figure.add_scatter(
            x=list(by_count), y=list(by_count.values()), mode="lines", row=1, col=column, hoverinfo="skip",
            line={"color": colour, "width": 2},
        )  # fmt: skip
    log = metric == DRIFT and theme.wants_log(values)
    figure.update_yaxes(tickformat=theme.tick_format(metric), type="log" if log else "linear", row=1, col=column)
    if log:
        figure.update_yaxes(dtick=1, row=1, col=column)
