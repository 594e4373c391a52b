"""The figures of docs/findings.md: what each part is worth, what is left for so much drift, how choosing flatters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from findings_numbers import DEFAULT, FORMER, KLD, pairs, within
from front_input_controls import INPUT_CONTROLS
from front_intervals import over_organisms, ratio
from front_methods import ARA, HERETIC
from front_page import methods_in
from front_score import SHOWN, Row, by_cell
from plotly.subplots import make_subplots

from saber.metrics import metric_of
from saber.publish.figures.theme import CHOSEN, INK, PUBLISHED, TRIAL, legend_below, styled, title_panels

DRAWN: Mapping[str, str] = {
    DEFAULT: CHOSEN,
    FORMER: TRIAL,
    "projected-read": metric_of("kld").colour,
    "projected": metric_of("over_refusal_rate").colour,
    HERETIC: metric_of("refusal_rate").colour,
    ARA: metric_of("protected_refusal_rate").colour,
    "saber-seed": PUBLISHED,
}
GROUPS: Mapping[str, str] = {
    "the default but for one part": CHOSEN,
    "other methods": metric_of("refusal_rate").colour,
}
DRIFTS = np.geomspace(0.0005, 0.1, 80)  # nats
SHADE = 0.14
MOST = 0.06  # nats, of the chosen points in the figure
IMMOBILE = 0.5  # times the default: what is below is said by the table


def figures(rows: Sequence[Row]) -> dict[str, go.Figure]:
    """Every figure by its file's name."""
    return {"worth": worth(rows), "reached": reached(rows), "curse": curse(rows)}


def worth(rows: Sequence[Row]) -> go.Figure:
    """Each control and recipe as times the default's held-out hypervolume, with its interval over organisms."""
    titles = [f"KLD of {kld} positions, reference (1, {reference})" for _, kld, reference in SHOWN]
    figure = make_subplots(1, len(SHOWN), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03)
    for column, side in enumerate(SHOWN, start=1):
        theirs = by_cell(rows, DEFAULT, *side)
        ratios = {name: ratio(by_cell(rows, name, *side), theirs) for name in methods_in(rows) if name != DEFAULT}
        known = {name: times for name, times in ratios.items() if times is not None and not math.isnan(times[1])}
        for group in GROUPS:
            names = [name for name in known if group_of(name) == group and known[name][0] >= IMMOBILE]
            figure.add_trace(bars(names, [known[name] for name in names], group, column == 1), row=1, col=column)
        figure.add_vline(x=1.0, line={"color": INK, "width": 1, "dash": "dot"}, row=1, col=column)
        figure.update_xaxes(title="times the default's hypervolume, held out", row=1, col=column)
    figure = styled(figure, height=120 + 26 * len(methods_in(rows)))
    figure.update_yaxes(autorange="reversed")
    title_panels(figure)
    legend_below(figure)
    figure.update_layout(margin={"l": 150})
    return figure


def group_of(method: str) -> str:
    """Whether a method is the default with a part taken away or another one."""
    parts, other = GROUPS
    return parts if method in INPUT_CONTROLS else other


def bars(names: Sequence[str], intervals: Sequence[tuple[float, float, float]], group: str, shown: bool) -> go.Scatter:
    """Values with their intervals, a method a line."""
    values, lows, highs = (list(column) for column in zip(*intervals, strict=True)) if intervals else ([], [], [])
    ends = {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, high in zip(values, highs, strict=True)],
        "arrayminus": [value - low for value, low in zip(values, lows, strict=True)],
        "thickness": 1.4,
    }
    look = {"color": GROUPS[group], "size": 8}
    return go.Scatter(
        x=values, y=list(names), mode="markers", marker=look, error_x=ends, name=group, legendgroup=group,
        showlegend=shown,
    )  # fmt: skip


def reached(rows: Sequence[Row]) -> go.Figure:
    """Held-out refusals of the front's end within each drift, the mean of organisms with its interval."""
    figure = go.Figure()
    for method, colour in DRAWN.items():
        of = {(row["organism"], row["seed"]): row for row in rows if row["method"] == method}
        if not of:
            continue
        intervals = [over_organisms({cell: within(row, drift) for cell, row in of.items()}) for drift in DRIFTS]
        around = [*(at_drift.high for at_drift in intervals), *(at_drift.low for at_drift in reversed(intervals))]
        figure.add_trace(
            go.Scatter(
                x=[*DRIFTS, *DRIFTS[::-1]], y=around, fill="toself", fillcolor=colour, opacity=SHADE,
                line={"width": 0}, hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip
        line = {"color": colour, "width": 2, "shape": "hv"}
        figure.add_trace(go.Scatter(x=DRIFTS, y=[at_drift.value for at_drift in intervals], line=line, name=method))
    styled(figure, height=420)
    ticks = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]
    figure.update_xaxes(
        type="log",
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        title=f"KLD of {KLD} positions at most (nats, on tune)",
    )
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", title="least refusals, held out")
    legend_below(figure)
    return figure


def curse(rows: Sequence[Row]) -> go.Figure:
    """Each point of the default's and Heretic's fronts: refusals on tune against those on report, and so the KLDs."""
    figure = make_subplots(1, 2, subplot_titles=["refusals of harmful prompts", f"KLD of {KLD} positions (nats)"])
    for method in (HERETIC, DEFAULT):
        points = [pair for row in rows if row["method"] == method for pair in pairs(row)]
        for column, metric in enumerate(("refusal_rate", f"kld_{KLD}"), start=1):
            look = {"color": DRAWN[method], "size": 5, "opacity": 0.55}
            figure.add_trace(
                go.Scatter(
                    x=[tune[metric] for tune, _ in points], y=[report[metric] for _, report in points],
                    mode="markers", marker=look, name=method, showlegend=column == 1,
                ), row=1, col=column,
            )  # fmt: skip
    for column, end in ((1, 1.0), (2, MOST)):
        line = {"color": INK, "width": 1, "dash": "dot"}
        figure.add_shape(type="line", x0=0, y0=0, x1=end, y1=end, line=line, row=1, col=column)
    styled(figure, height=420)
    figure.update_xaxes(title="on tune")
    figure.update_yaxes(title="held out")
    figure.update_xaxes(tickformat=".0%", col=1)
    figure.update_yaxes(tickformat=".0%", col=1)
    figure.update_xaxes(range=[0, MOST], col=2)
    figure.update_yaxes(range=[0, MOST], col=2)
    title_panels(figure)
    legend_below(figure)
    return figure
