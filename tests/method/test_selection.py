"""Which layers and directions are kept."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from saber.method.selection import best_directions, candidate_layers, elbow, layers_in_band
from saber.options.selection_options import DepthBand, SelectionOptions
from saber.types import Direction, RankedDirection
from saber.vocabulary import LayerStrategy

RATIOS = torch.tensor([0.1, 5.0, 4.0, 0.3, 0.2, 3.0])
ALL = DepthBand(0.0, 1.0)


def chosen(strategy: LayerStrategy, band: DepthBand = ALL, **given: Any) -> list[int]:
    values: dict[str, Any] = {"layer_top_k": 2, "layer_threshold": 1.0, "layer_percentile": 50.0} | given
    return candidate_layers(RATIOS, SelectionOptions(depth_band=band, layer_strategy=strategy, **values))


def test_each_strategy_keeps_what_it_says() -> None:
    assert chosen("all") == [0, 1, 2, 3, 4, 5]
    assert chosen("top_k") == [1, 2]
    assert chosen("threshold", layer_threshold=3.0) == [1, 2, 5]
    assert chosen("percentile", layer_percentile=60.0) == [1, 2, 5]
    assert chosen("elbow") == [1, 2, 5]
    assert chosen("percentile", layer_percentile=90.0) == [1]


def test_a_percentile_between_two_layers_keeps_those_above_it() -> None:
    rising = torch.arange(101.0)
    options = SelectionOptions(depth_band=ALL, layer_strategy="percentile", layer_percentile=50.3)
    assert candidate_layers(rising, options) == list(range(51, 101))


def test_only_the_band_is_looked_at_and_the_best_layer_always_stays() -> None:
    assert chosen("top_k", band=DepthBand(0.6, 1.0)) == [3, 5]
    assert chosen("threshold", band=DepthBand(0.6, 0.8), layer_threshold=99.0) == [3]


def test_the_band_is_a_share_of_depth() -> None:
    assert layers_in_band(10, 0.2, 0.8) == [2, 3, 4, 5, 6, 7]
    assert layers_in_band(10, 0.0, 1.0) == list(range(10))
    assert layers_in_band(4, 0.4, 0.45) == [1]
    assert layers_in_band(10, 0.8, 0.85) == [7]
    assert layers_in_band(2, 0.6, 1.0) == [1]
    assert layers_in_band(1, 0.0, 0.5) == [0]


@pytest.mark.parametrize(
    ("falling", "kept"),
    [
        ([9.0, 8.0, 7.0, 0.1, 0.0], 3),
        ([3.0, 2.0, 1.0], 3),
        ([1.0] * 3, 3),
        ([5.0], 1),
        ([5.0, 0.1, 0.0], 1),
        ([5.0, 0.0, 0.0], 1),
        ([5.0, 5.0, 1.0, 0.0], 2),
        ([math.inf] * 3, 3),
    ],
)
def test_the_elbow_keeps_what_stands_before_the_bend(falling: list[float], kept: int) -> None:
    assert elbow(falling) == kept


def ranked(layer: int, index: int, ratio: float, rho: float) -> RankedDirection:
    return RankedDirection(Direction(layer, index, torch.ones(1)), ratio, rho)


def test_directions_are_ordered_by_ratio_times_purity() -> None:
    entangled, pure, weak = ranked(0, 0, 10.0, 0.9), ranked(1, 0, 4.0, 0.0), ranked(2, 0, 0.5, 0.0)
    assert best_directions([entangled, weak, pure], 2) == (pure, entangled)
    nothing_pure = ranked(0, 0, float("inf"), 1.0)
    assert best_directions([nothing_pure, weak], 1) == (weak,)
