"""Figures of a study: each is a function from a `Frontier` to a Plotly figure."""

from saber.publish.figures.behaviour import selectivity_figure
from saber.publish.figures.catalogue import CATALOGUE, Drawing
from saber.publish.figures.directions import entanglement_figure, fdr_figure
from saber.publish.figures.front import front_figure
from saber.publish.figures.search import importances_figure, probe_count_figure

__all__ = [
    "CATALOGUE",
    "Drawing",
    "entanglement_figure",
    "fdr_figure",
    "front_figure",
    "importances_figure",
    "probe_count_figure",
    "selectivity_figure",
]
