"""The tables and the figure of ``front.py``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from statistics import mean

import numpy as np
import plotly.graph_objects as go
from front_intervals import ratio
from front_methods import HERETIC, METHODS
from front_score import KLDS, REFERENCES, SHOWN, SPLITS, Row, at_equal_time, by_cell, front_points, plane
from plotly.colors import qualitative
from plotly.subplots import make_subplots
from rich.table import Table

from saber.publish.figures.theme import legend_below, styled, title_panels

PANEL_WIDTH = 420


def tables(rows: Sequence[Row]) -> list[Table]:
    """Ours and the prototypes' hypervolume by organism, and every other one on the mean."""
    return [*(by_organism(rows, *which) for which in SHOWN), *(means(rows, split) for split in SPLITS)]


def methods_in(rows: Sequence[Row]) -> list[str]:
    """The methods that have a cell, in the order of the list."""
    return [name for name in METHODS if any(row["method"] == name for row in rows)]


def organisms_in(rows: Sequence[Row]) -> list[str]:
    """The organisms that have a cell."""
    return sorted({row["organism"] for row in rows})


def by_organism(rows: Sequence[Row], split: str, kld: str, reference: str) -> Table:
    """Mean and range over search seeds on each organism, with the ratio to Heretic's mean there."""
    title = f"hypervolume on {split}, KLD of {kld} positions, reference (1, {reference})"
    caption = "mean and range over search seeds; x: times Heretic's on the same cells; in its time: on tune"
    table = Table(title=title, caption=caption)
    for name in ("method", "cells", *organisms_in(rows), "mean", "x Heretic (95%)", "x in its time", "s a trial"):
        table.add_column(name, justify="left" if name == "method" else "right")
    theirs = by_cell(rows, HERETIC, split, kld, reference)
    for method in methods_in(rows):
        ours = by_cell(rows, method, split, kld, reference)
        cells = []
        for organism in organisms_in(rows):
            mine = {cell: value for cell, value in ours.items() if cell[0] == organism}
            times_heretic = ratio(mine, theirs) if method != HERETIC else None
            cells.append(spread(list(mine.values())) + (f" x{times_heretic[0]:.2f}" if times_heretic else ""))
        seconds = [row["search_s"] / row["n_trials"] for row in rows if row["method"] == method]
        compared = ["", ""]
        if method != HERETIC:
            timed = at_equal_time(rows, method, HERETIC, f"{kld} {reference}")
            compared = [times(ratio(ours, theirs)), times(timed)]
        table.add_row(method, str(len(ours)), *cells, f"{mean(ours.values()):.4f}", *compared, f"{mean(seconds):.2f}")
    return table


def spread(values: Sequence[float]) -> str:
    """Mean with least and largest."""
    if not values:
        return "-"
    return f"{mean(values):.4f}" + (f" [{min(values):.4f}, {max(values):.4f}]" if len(values) > 1 else "")


def times(interval: tuple[float, float, float] | None) -> str:
    """A ratio with its interval, where there are cells enough for one."""
    if interval is None:
        return "-"
    value, low, high = interval
    return f"{value:.2f}" + ("" if np.isnan(low) else f" ({low:.2f} to {high:.2f})")


def means(rows: Sequence[Row], split: str) -> Table:
    """Every hypervolume of one split on the mean over cells, with its ratio to Heretic's."""
    table = Table(title=f"hypervolume on {split}, mean over cells; x: times Heretic's on the same cells (95%)")
    wanted = [(kld, name) for name in REFERENCES for kld in KLDS]
    table.add_column("KLD, reference")
    for kld, name in wanted:
        table.add_column(f"{kld}, {name}", justify="right")
    for method in methods_in(rows):
        cells = []
        for kld, name in wanted:
            ours, theirs = (by_cell(rows, side, split, kld, name) for side in (method, HERETIC))
            times_heretic = ratio(ours, theirs) if method != HERETIC else None
            cells.append(f"{mean(ours.values()):.4f}" + (f"\nx{times(times_heretic)}" if times_heretic else ""))
        table.add_row(method, *cells)
    return table


def page(rows: Sequence[Row], kld: str = "response") -> str:
    """One panel an organism: each cell's front as measured on report, coloured by method."""
    organisms = organisms_in(rows)
    figure = make_subplots(cols=len(organisms), shared_yaxes=True, subplot_titles=organisms, horizontal_spacing=0.04)
    colours = dict(zip(METHODS, cycle(qualitative.Dark24), strict=False))  # there are more methods than colours
    named: set[str] = set()
    for row in sorted(rows, key=lambda row: list(METHODS).index(row["method"])):
        values = plane(front_points(row, "report", kld), kld)
        values = values[np.argsort(values[:, 1])]
        method = row["method"]
        figure.add_trace(
            go.Scatter(
                x=values[:, 1],
                y=values[:, 0],
                mode="lines+markers",
                line={"color": colours[method], "width": 1.2},
                marker={"size": 5},
                name=method,
                legendgroup=method,
                showlegend=method not in named,
                hovertemplate=f"{method}, seed {row['seed']}<br>refusals %{{y:.1%}}, KLD %{{x:.4f}}<extra></extra>",
            ),
            row=1,
            col=organisms.index(row["organism"]) + 1,
        )
        named.add(method)
    styled(figure, height=520)
    figure.update_xaxes(range=[0, REFERENCES["0.1"][1]], title=f"KLD of {kld} positions (nats), report")
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title="refusals of harmful prompts, report", col=1)
    title_panels(figure)
    legend_below(figure)
    figure.update_layout(width=max(2, len(organisms)) * PANEL_WIDTH)
    return str(figure.to_html(include_plotlyjs=True, full_html=True))
