"""Winsorising: an oracle by NumPy, nothing at 1, and a planted direction found again beside a massive dimension."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saber.method.extraction import extract, largest_shares, winsorised
from saber.method.ranking import fisher_ratios
from saber.types import Activations
from saber.vocabulary import Extraction

N, D, MASSIVE = 40, 64, 7


def planted(seed: int, factor: float) -> tuple[Activations, torch.Tensor]:
    """Noise with a direction between the kinds, its dimension ``MASSIVE`` multiplied."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(D, generator=generator)
    direction[MASSIVE] = 0.0
    direction /= direction.norm()
    kinds = [torch.randn(1, N, D, generator=generator) for _ in range(3)]
    kinds[0] = kinds[0] + 6 * direction
    for x in kinds:
        x[..., MASSIVE] *= factor
    return Activations(*kinds), direction


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.floats(0.55, 0.99))
def test_every_vector_is_clipped_at_its_own_quantile(seed: int, quantile: float) -> None:
    seen, _ = planted(seed, 100.0)
    clipped = winsorised(seen, quantile)
    for before, after in ((seen.harmful, clipped.harmful), (seen.capability, clipped.capability)):
        limit = np.quantile(np.abs(before.numpy()), quantile, axis=-1, keepdims=True)
        np.testing.assert_allclose(after.numpy(), np.clip(before.numpy(), -limit, limit), rtol=1e-4)
    assert clipped.borderline is None


def test_one_clips_nothing() -> None:
    seen, _ = planted(0, 100.0)
    assert winsorised(seen, 1.0) is seen


@pytest.mark.parametrize("method", ["dim", "svd"])
@pytest.mark.parametrize("seed", range(3))
def test_a_massive_dimension_hides_a_direction_and_clipping_brings_it_back(method: Extraction, seed: int) -> None:
    seen, direction = planted(seed, 100.0)

    def extracted(activations: Activations) -> tuple[float, float]:
        h, s = activations.harmful[0], activations.harmless[0]
        (vector,) = extract(h, s, method=method, n_directions=1, is_paired=False)
        return float(abs(vector @ direction)), float(fisher_ratios(h, s, vector.unsqueeze(0)))

    hidden, low = extracted(seen)
    cosine, ratio = extracted(winsorised(seen, 0.98))
    assert hidden < 0.6
    assert cosine > 0.8
    assert ratio > 4 * low


def test_the_share_of_a_massive_dimension_is_its_variances_share() -> None:
    seen, _ = planted(1, 100.0)
    share = float(largest_shares(seen.harmless))
    variances = seen.harmless[0].numpy().var(axis=0, ddof=1)
    assert share == pytest.approx(variances[MASSIVE] / variances.sum(), rel=1e-4)
    assert share > 0.99
    assert float(largest_shares(planted(1, 1.0)[0].harmless)) < 0.1
    assert float(largest_shares(torch.zeros(1, 4, 3))) == 0


def test_a_share_has_no_unit() -> None:
    seen, _ = planted(1, 10.0)
    torch.testing.assert_close(largest_shares(1e-3 * seen.harmless), largest_shares(seen.harmless))
