"""The unedited model's directions: how separable they are by layer, and how entangled with capability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from saber.publish.analysis.settings import setting
from saber.publish.figures import theme
from saber.types import DirectionRow, Frontier

HEIGHT = 430
FLOOR = 1e-6  # where a ratio of exactly 0 is drawn on a log axis
NOTHING = "The directions of the unedited model were not stored with this study."


def fdr_figure(frontier: Frontier) -> go.Figure:
    """Draw the Fisher ratio of each layer as a line and of each direction as a point."""
    if not frontier.layer_fdr and not frontier.directions:
        return theme.sentence(NOTHING)
    figure = theme.styled(go.Figure(), height=HEIGHT)
    if frontier.layer_fdr:
        figure.add_scatter(
            x=list(range(len(frontier.layer_fdr))),
            y=[max(value, FLOOR) for value in frontier.layer_fdr],
            mode="lines",
            line={"color": theme.MUTED, "width": 2},
            name="whole layer",
            hovertemplate="layer %{x}<br>layer ratio %{y:.3f}<extra></extra>",
        )
    _add_directions(figure, frontier.directions, across="layer")
    _ratio_axis(figure, [*frontier.layer_fdr, *(row.fisher_ratio for row in frontier.directions)])
    figure.update_xaxes(title_text="layer (residual stream after the block)", tickformat="d")
    return figure


def entanglement_figure(frontier: Frontier) -> go.Figure:
    """Draw entanglement against separability, with the line of equal score through the weakest selected one."""
    if not frontier.directions:
        return theme.sentence(NOTHING)
    figure = theme.styled(go.Figure(), height=HEIGHT)
    _add_equal_score(figure, frontier.directions)
    _add_directions(figure, frontier.directions, across="entanglement")
    point = frontier.marked("balanced")
    threshold = setting(frontier, point, "edit.entanglement_threshold")
    if threshold is not None and setting(frontier, point, "edit.strength") != "uniform":
        figure.add_vline(x=float(threshold), line={"color": theme.MUTED, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=float(threshold), y=1, yref="paper", yanchor="bottom", showarrow=False,
            text=f"threshold {float(threshold):g}", font={"color": theme.MUTED, "size": 12},
        )  # fmt: skip
    _ratio_axis(figure, [row.fisher_ratio for row in frontier.directions], always_log=True)
    figure.update_xaxes(title_text="entanglement with the capability subspace, ρ", range=[-0.02, 1.02])
    return figure


def _add_directions(figure: go.Figure, rows: Sequence[DirectionRow], *, across: str) -> None:
    looks = (
        ("directions", False, {"color": theme.TRIAL, "size": 6, "opacity": 0.8}),
        ("selected", True, {"color": theme.CHOSEN, "size": 10}),
    )
    for name, selected, marker in looks:
        chosen = [row for row in rows if row.selected is selected]
        if chosen:
            figure.add_scatter(
                x=[getattr(row, across) for row in chosen],
                y=[max(row.fisher_ratio, FLOOR) for row in chosen],
                mode="markers",
                marker=marker,
                name=name,
                hovertext=[_row_hover(row) for row in chosen],
                hoverinfo="text",
            )


def _add_equal_score(figure: go.Figure, rows: Sequence[DirectionRow]) -> None:
    """FDR = s / (1 - rho), s the lowest score among the selected."""
    scores = [row.fisher_ratio * (1 - row.entanglement) for row in rows if row.selected]
    if not scores or min(scores) <= 0:
        return
    highest = 1.5 * max(row.fisher_ratio for row in rows)
    rho = np.linspace(0.0, max(0.0, 1 - min(scores) / highest), 100)
    figure.add_scatter(
        x=rho,
        y=min(scores) / (1 - rho),
        mode="lines",
        line={"color": theme.CHOSEN, "width": 1},
        opacity=0.45,
        name="score of the weakest selected",
        hoverinfo="skip",
    )


def _row_hover(row: DirectionRow) -> str:
    return (
        f"<b>layer {row.layer}, direction {row.index + 1}</b><br>Fisher ratio {row.fisher_ratio:.3f}"
        f"<br>entanglement {row.entanglement:.3f}"
    )


def _ratio_axis(figure: go.Figure, values: Sequence[float], *, always_log: bool = False) -> None:
    log = always_log or theme.wants_log(list(values))
    figure.update_yaxes(title_text="Fisher ratio", type="log" if log else "linear")
    if log:
        figure.update_yaxes(dtick=1)
    else:
        figure.update_yaxes(rangemode="tozero")
    theme.legend_below(figure)
