"""All figures in the order in which a report shows them, each with its title and one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

from saber.publish.figures.behaviour import selectivity_figure
from saber.publish.figures.directions import entanglement_figure, fdr_figure
from saber.publish.figures.front import front_figure
from saber.publish.figures.search import importances_figure, probe_count_figure
from saber.types import Frontier


@dataclass(frozen=True)
class Drawing:
    """A figure's key, title, the sentence that tells how to read it, and the function that draws it."""

    key: str
    title: str
    caption: str
    draw: Callable[[Frontier], go.Figure]


CATALOGUE: tuple[Drawing, ...] = (
    Drawing(
        "front",
        "The front",
        "Lower left is better, unless an axis says that more is. Hollow circles are the same points on held-out"
        " prompts; the dashed line, where drawn, is what one plain direction reaches at any strength: only points"
        " beyond it are better than one knob. Published rows were measured under another protocol and are not"
        " comparable. On a log axis, a drift of exactly 0 has no place.",
        front_figure,
    ),
    Drawing(
        "selectivity",
        "Which refusals go",
        "A useful edit moves left and, in the first panel, down; in the second it stays high: protected categories"
        " keep their refusals. Points on the dashed curve are no more selective than one plain direction.",
        selectivity_figure,
    ),
    Drawing(
        "fdr",
        "Separability by layer",
        "How well each layer as a whole, and each direction extracted from it, separates refused from answered prompts"
        " before any edit. Blue: selected by the balanced point.",
        fdr_figure,
    ),
    Drawing(
        "entanglement",
        "Separability against entanglement",
        "Upper left is what SABER looks for: directions that carry refusal and little capability. Those above the"
        " thin line but not selected usually lie outside the candidate layers.",
        entanglement_figure,
    ),
    Drawing(
        "importances",
        "What mattered in the search",
        "The share of each objective's variation over the trials that a parameter explains.",
        importances_figure,
    ),
    Drawing(
        "probes",
        "The probe count",
        "Each dot is a trial, larger ones are on the front. Other parameters vary too, and the search chose where to"
        " look, so a trend here is a hint and not an effect.",
        probe_count_figure,
    ),
)
