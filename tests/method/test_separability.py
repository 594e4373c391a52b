"""Fisher ratios equal an oracle in loops, and cross-validation does not reward overfitting."""

from __future__ import annotations

import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saber.method.extraction import extract
from saber.method.ranking import (
    cross_validated_fisher_ratios,
    fisher_ratios,
    layer_fisher_ratio,
)


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
