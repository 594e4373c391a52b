"""Fisher ratios equal an oracle in loops, and cross-validation does not reward overfitting."""

from __future__ import annotations

import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saber.method.extraction import extract
from saber.method.ranking import (
    Ranking,
    cross_validated_fisher_ratios,
    fisher_ratios,
    interpolate_layers,
    layer_fisher_ratio,
    layers_around,
    rank,
    residual_refusal,
)
from saber.options.ranking_options import RankingOptions
from saber.types import Activations, Direction, RankedDirection


def loop_ratio(harmful: list[float], harmless: list[float]) -> float:
    gap = statistics.fmean(harmful) - statistics.fmean(harmless)
    return gap**2 / (statistics.variance(harmful) + statistics.variance(harmless))


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_ratio_of_a_direction_equals_the_oracle(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    harmful, harmless = torch.randn(9, 5, generator=generator) + 1, torch.randn(7, 5, generator=generator)
    direction = torch.nn.functional.normalize(torch.randn(1, 5, generator=generator))
    expected = loop_ratio((harmful @ direction[0]).tolist(), (harmless @ direction[0]).tolist())
    assert float(fisher_ratios(harmful, harmless, direction)[0]) == pytest.approx(expected, rel=1e-4)


def test_the_ratio_of_a_layer_in_one_dimension_is_that_of_its_only_direction() -> None:
    harmful, harmless = torch.randn(3, 9, 1) + 2, torch.randn(3, 8, 1)
    layers = layer_fisher_ratio(harmful, harmless)
    for layer in range(3):
        alone = fisher_ratios(harmful[layer], harmless[layer], torch.ones(1, 1))
        torch.testing.assert_close(layers[layer], alone[0])


def test_no_gap_is_not_separable_and_no_spread_is_infinitely_so() -> None:
    same = torch.ones(4, 2)
    axes = torch.eye(2)
    assert fisher_ratios(same, same, axes).tolist() == [0.0, 0.0]
    assert fisher_ratios(same + 1, same, axes).tolist() == [float("inf")] * 2


def test_cross_validation_shrinks_the_ratio_of_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    harmful, harmless = torch.randn(2, 24, 200, generator=generator)

    def extractor(h: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return extract(h, s, method="dim", n_directions=1)

    fitted = fisher_ratios(harmful, harmless, extractor(harmful, harmless))
    held_out = cross_validated_fisher_ratios(harmful, harmless, extractor=extractor, n_directions=1, folds=4)
    assert float(fitted[0]) > 3.0
    assert float(held_out[0]) < 0.5


def test_too_many_folds_are_refused() -> None:
    x = torch.randn(6, 3)
    with pytest.raises(ValueError, match="at least 8 prompts a class for 4 folds"):
        cross_validated_fisher_ratios(x, x, extractor=lambda h, s: h[:1] - s[:1], n_directions=1, folds=4)


def test_the_held_out_ratio_equals_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    harmful, harmless = torch.randn(7, 5, generator=generator) + 1, torch.randn(6, 5, generator=generator)

    def extractor(h: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return extract(h, s, method="dim", n_directions=1)

    expected = 0.0
    for fold in range(3):
        h_out, s_out = harmful[fold::3], harmless[fold::3]
        h_in = torch.stack([row for i, row in enumerate(harmful) if i % 3 != fold])
        s_in = torch.stack([row for i, row in enumerate(harmless) if i % 3 != fold])
        direction = h_in.mean(dim=0) - s_in.mean(dim=0)
        direction = direction / direction.norm()
        expected += loop_ratio((h_out @ direction).tolist(), (s_out @ direction).tolist()) / 3
    ratios = cross_validated_fisher_ratios(harmful, harmless, extractor=extractor, n_directions=1, folds=3)
    assert float(ratios[0]) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="at least 6 prompts a class"):
        cross_validated_fisher_ratios(harmful, harmless[:5], extractor=extractor, n_directions=1, folds=3)
    seen = Activations(harmful[None, :6], harmless[None], harmless[None])
    ranked = (
        rank(seen, RankingOptions(extraction="dim", n_directions=1, purify="none", fdr_folds=2))
        .directions[0][0]
        .fisher_ratio
    )
    two = cross_validated_fisher_ratios(harmful[:6], harmless, extractor=extractor, n_directions=1, folds=2)
    assert ranked == pytest.approx(float(two[0]))


def test_a_single_layer_needs_no_axis_of_layers() -> None:
    harmful, harmless = torch.randn(3, 9, 4) + 2, torch.randn(3, 8, 4)
    layers = layer_fisher_ratio(harmful, harmless)
    torch.testing.assert_close(layer_fisher_ratio(harmful[1], harmless[1]), layers[1])


def test_the_residual_is_the_mean_over_edited_layers_or_all() -> None:
    harmful, harmless = torch.randn(3, 9, 4) + 2, torch.randn(3, 8, 4)
    layers = layer_fisher_ratio(harmful, harmless)
    assert residual_refusal(harmful, harmless, [0, 2]) == pytest.approx(float((layers[0] + layers[2]) / 2))
    assert residual_refusal(harmful, harmless, []) == pytest.approx(float(layers.mean()))


def test_a_position_lies_between_two_layers() -> None:
    assert layers_around(0.0, 9) == (0, 1, 0.0)
    assert layers_around(0.375, 9) == (3, 4, 0.0)
    assert layers_around(0.40625, 9) == (3, 4, 0.25)
    assert layers_around(1.0, 9) == (8, 8, 0.0)
    assert layers_around(1.0, 1) == (0, 0, 0.0)


def test_between_layers_directions_turn_and_numbers_go_straight() -> None:
    axes = torch.eye(3)
    rows = [
        (RankedDirection(Direction(0, 0, axes[0]), 8.0, 0.1), RankedDirection(Direction(0, 1, axes[1]), 1.0, 0.0)),
        (RankedDirection(Direction(1, 0, axes[2]), 4.0, 0.5),),
    ]
    ranking = Ranking(torch.ones(2), dict(enumerate(rows)), {})
    (between,) = interpolate_layers(ranking, 0.75)
    expected = 0.25 * axes[0] + 0.75 * axes[2]
    torch.testing.assert_close(between.direction.vector, expected / expected.norm())
    assert (between.direction.layer, between.direction.index) == (1, 0)
    assert between.fisher_ratio == pytest.approx(0.25 * 8 + 0.75 * 4)
    assert between.entanglement == pytest.approx(0.25 * 0.1 + 0.75 * 0.5)
