"""Options of selection: of which layers, and how many, directions are edited."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.options.conditions import INTERPOLATED
from saber.options.option import Option, when
from saber.options.strict import STRICT
from saber.vocabulary import LayerStrategy

OWN_LAYERS = ~INTERPOLATED  # between two layers the position says which


@dataclass(frozen=True, config=STRICT)
class DepthBand:
    """Candidate layers as shares of depth: 0 is the first block, 1 the last."""

    low: Annotated[float, Option("Depth band, low", code="bl", per=100, place=26)] = Field(default=0.2, ge=0.0, le=1.0)
    high: Annotated[float, Option("Depth band, high", code="bh", per=100, place=27)] = Field(
        default=0.8, ge=0.0, le=1.0
    )


@dataclass(frozen=True, config=STRICT)
class SelectionOptions:
    """Which layers of the band directions are taken from, by Fisher ratio, and how many directions are edited in all.

    ``all`` keeps the band, ``top_k`` the k best, ``threshold`` those at or above a ratio, ``percentile`` those at or
    above that percentile of the band, ``elbow`` those before the bend of the falling curve.
    """

    depth_band: Annotated[DepthBand, Option(when=OWN_LAYERS)] = DepthBand()
    layer_strategy: Annotated[LayerStrategy, Option("Layer strategy", when=OWN_LAYERS)] = "all"
    layer_top_k: Annotated[int, Option(when=OWN_LAYERS & when("layer_strategy", "top_k"))] = Field(default=10, ge=1)
    layer_threshold: Annotated[float, Option(when=OWN_LAYERS & when("layer_strategy", "threshold"))] = Field(
        default=1.0, ge=0.0
    )
    layer_percentile: Annotated[float, Option(when=OWN_LAYERS & when("layer_strategy", "percentile"))] = Field(
        default=50.0, ge=0.0, le=100.0
    )
    global_top_k: Annotated[int, Option("Global top-k", code="g", place=3)] = Field(default=14, ge=1)
