"""A KLD axis that can be read linear or logarithmic, with labels that follow it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from saber.publish.figures.theme import HAIRLINE, INK, MUTED, PAPER

LOG_TICKS = tuple(digit * 10.0**power for power in range(-6, 4) for digit in (1, 3))
ROOM = 0.2  # share of a log axis kept free on its left for a label
NEAR = 0.15  # labels of places closer than this share of both axes would lie on each other
LABEL_WIDTH = 92  # pixels of the longest mark


@dataclass(frozen=True)
class Label:
    """Words beside a place of the plane, moved by pixels and joined to it by a hairline."""

    x: float
    y: float
    text: str
    right: int
    down: int
    colour: str = INK


def add_scales(
    figure: go.Figure,
    *,
    across: Sequence[float],
    labels: Sequence[Label],
    fixed: Sequence[dict[str, object]],
    height: float,
    start_log: bool,
) -> None:
    """Give the x axis two buttons, linear and log, that also move the labels.

    ``across`` are all x values and ``height`` the span of y; ``fixed`` are annotations that stay where they are.
    """
    views = {name: _view(across, labels, fixed, height, log=name == "log") for name in ("linear", "log")}
    first = views["log" if start_log else "linear"]
    figure.update_layout(xaxis=first.axis, annotations=first.annotations)
    buttons = [{"label": name, "method": "relayout", "args": [view.relayout()]} for name, view in views.items()]
    figure.update_layout(
        updatemenus=[
            {
                "type": "buttons", "direction": "right", "buttons": buttons, "active": int(start_log),
                "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom", "pad": {"t": 0, "b": 2},
                "font": {"size": 11, "color": MUTED}, "bgcolor": PAPER, "bordercolor": HAIRLINE,
            }
        ]
    )  # fmt: skip


@dataclass(frozen=True)
class _View:
    """One reading of the axis, with every annotation placed for it."""

    axis: dict[str, object]
    annotations: list[dict[str, object]]

    def relayout(self) -> dict[str, object]:
        """The same with dotted keys, so that the rest of the axis stays as it is."""
        return {f"xaxis.{key}": value for key, value in self.axis.items()} | {"annotations": self.annotations}


def _view(
    across: Sequence[float],
    labels: Sequence[Label],
    fixed: Sequence[dict[str, object]],
    height: float,
    *,
    log: bool,
) -> _View:
    positive = [x for x in across if x > 0] or [1.0]
    if log:
        low, high = math.log10(min(positive)), math.log10(max(positive))
        ends = (low - ROOM * (high - low) - 0.05, high + 0.03 * (high - low) + 0.05)
        ticks = {"tickvals": list(LOG_TICKS), "ticktext": [f"{tick:g}" for tick in LOG_TICKS]}
        axis: dict[str, object] = {"type": "log", "tickmode": "array", "range": list(ends), **ticks}
        placed = [(math.log10(label.x), label) for label in labels if label.x > 0]
    else:
        low, high = min([0.0, *across]), max(positive)
        ends = (low - 0.05 * (high - low), high + 0.05 * (high - low))
        axis = {"type": "linear", "tickmode": "auto", "range": list(ends)}
        placed = [(label.x, label) for label in labels]
    return _View(axis, [*fixed, *_annotations(placed, ends, height)])


def _annotations(
    placed: Sequence[tuple[float, Label]], ends: tuple[float, float], height: float
) -> list[dict[str, object]]:
    """Place the labels from right to left, moving one aside where it would lie on the one before."""
    annotations: list[dict[str, object]] = []
    aside, last = 0, (math.inf, math.inf)
    for x, place in sorted(placed, key=lambda pair: -pair[0]):
        here = ((x - ends[0]) / (ends[1] - ends[0]), place.y / height)
        crowded = abs(here[0] - last[0]) < NEAR and abs(here[1] - last[1]) < NEAR
        aside, last = (aside + LABEL_WIDTH if crowded else 0), here
        at_edge = here[0] < ROOM / 2 and place.right < 0
        annotations.append(
            _annotation(place, x, right=-place.right if at_edge else place.right - aside, turned=at_edge)
        )
    return annotations


def _annotation(label: Label, x: float, *, right: int, turned: bool) -> dict[str, object]:
    return {
        "x": x,
        "y": label.y,
        "text": label.text,
        "ax": right,
        "ay": -label.down // 2 if turned else label.down,
        "xanchor": "right" if right < 0 else "left",
        "showarrow": True,
        "arrowhead": 0,
        "arrowwidth": 1,
        "arrowcolor": label.colour,
        "standoff": 7,
        "font": {"color": label.colour, "size": 12.5},
    }
