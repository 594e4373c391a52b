"""Extraction finds planted directions, and does not care about rotations or the order of prompts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from saber.method.differences import top_right_singular, within_covariance
from saber.method.extraction import extract, orient, unit_rows
from saber.method.extractions import lda
from saber.vocabulary import Extraction

METHODS = ["svd", "dim", "lda", "whitened_svd"]


def planted(seed: int, n: int = 60, d: int = 16, gap: float = 6.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(d, generator=generator)
    direction = direction / direction.norm()
    spread = torch.linspace(0.5, 1.5, d)  # not spherical, or Ledoit-Wolf would shrink to a multiple of I
    noise_h, noise_s = torch.randn(2, n, d, generator=generator) * spread
    return noise_h + gap * direction, noise_s, direction


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 500))
@settings(max_examples=15, deadline=None)
def test_the_leading_direction_is_the_planted_one(method: Extraction, seed: int) -> None:
    harmful, harmless, direction = planted(seed)
    extracted = extract(harmful, harmless, method=method, n_directions=3)
    # Signed: harmful projects higher. Fisher's discriminant leans away from noisy axes.
    assert float(extracted[0] @ direction) > (0.7 if method == "lda" else 0.9)


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 500), k=st.integers(1, 6))
@settings(max_examples=15, deadline=None)
def test_directions_are_units_whose_harmful_mean_is_the_larger(method: Extraction, seed: int, k: int) -> None:
    harmful, harmless, _ = planted(seed, gap=1.0)
    extracted = extract(harmful, harmless, method=method, n_directions=k)
    assert len(extracted) == (1 if method == "dim" else k)
    torch.testing.assert_close(extracted.norm(dim=1), torch.ones(len(extracted)))
    assert bool(((harmful @ extracted.T).mean(dim=0) >= (harmless @ extracted.T).mean(dim=0) - 1e-5).all())


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 500))
@settings(max_examples=10, deadline=None)
def test_rotating_the_stream_rotates_the_directions(method: Extraction, seed: int) -> None:
    harmful, harmless, _ = planted(seed)
    rotation, _ = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(seed + 1)))
    before = extract(harmful, harmless, method=method, n_directions=1) @ rotation
    after = extract(harmful @ rotation, harmless @ rotation, method=method, n_directions=1)
    torch.testing.assert_close(after, before, atol=2e-4, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_pairs_does_not_matter(method: Extraction) -> None:
    harmful, harmless, _ = planted(3)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    before = extract(harmful, harmless, method=method, n_directions=2)
    after = extract(harmful[order], harmless[order], method=method, n_directions=2)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


def test_lda_directions_are_orthogonal_and_the_first_is_fishers() -> None:
    harmful, harmless, _ = planted(0, n=400, d=6)
    extracted = extract(harmful, harmless, method="lda", n_directions=3)
    assert len(extracted) == 3
    torch.testing.assert_close(extracted @ extracted.T, torch.eye(3), atol=1e-5, rtol=0)
    pooled = (torch.cov(harmful.T, correction=0) + torch.cov(harmless.T, correction=0)) / 2
    fisher = torch.linalg.solve(pooled, harmful.mean(0) - harmless.mean(0))
    assert float(extracted[0] @ (fisher / fisher.norm())) > 0.995  # little shrinkage with n >> d


def test_whitening_survives_fewer_prompts_than_dimensions() -> None:
    harmful, harmless, direction = planted(0, n=12, d=64, gap=12.0)
    for method in ("lda", "whitened_svd"):
        extracted = extract(harmful, harmless, method=method, n_directions=1)
        assert bool(torch.isfinite(extracted).all())
        assert float(extracted[0] @ direction) > 0.7


def test_pairs_must_match() -> None:
    harmful, harmless, _ = planted(0)
    with pytest.raises(ValueError, match="expected pairs, found 60 harmful and 50 harmless"):
        extract(harmful, harmless[:50], method="svd", n_directions=1)


@pytest.mark.parametrize("method", METHODS)
def test_equal_populations_have_no_direction(method: Extraction) -> None:
    _, harmless, _ = planted(0)
    assert len(extract(harmless, harmless.clone(), method=method, n_directions=2)) == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_the_scale_of_the_stream_does_not_matter(method: Extraction, scale: float) -> None:
    harmful, harmless, _ = planted(1, gap=1.0)
    before = extract(harmful, harmless, method=method, n_directions=3)
    after = extract(scale * harmful, scale * harmless, method=method, n_directions=3)
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)


def test_the_covariance_is_within_the_classes_shrunk_as_scikit_learn_does() -> None:
    harmful, harmless, _ = planted(2, n=30)
    harmless = harmless[:20] + 3
    x = torch.cat([harmful - harmful.mean(dim=0), harmless - harmless.mean(dim=0)]).double().numpy()
    expected = torch.from_numpy(LedoitWolf(assume_centered=True).fit(x).covariance_)
    torch.testing.assert_close(within_covariance(harmful, harmless), expected)


def test_discriminants_are_units_and_equal_populations_have_none() -> None:
    harmful, harmless, _ = planted(0)
    torch.testing.assert_close(lda.directions(harmful, harmless, 3, False).norm(dim=1), torch.ones(3))
    assert lda.directions(harmful, harmful.clone(), 2, False).shape == (0, 16)


def test_one_row_has_one_singular_vector_and_nothing_has_none() -> None:
    row = torch.tensor([[0.0, 3.0, 4.0]])
    torch.testing.assert_close(top_right_singular(row, 2).abs(), row / 5)
    assert top_right_singular(torch.zeros(2, 3), 2).shape == (0, 3)
    assert top_right_singular(torch.zeros(0, 3), 2).shape == (0, 3)
    assert unit_rows(torch.zeros(2, 3), scale=0.0).shape == (0, 3)


def test_a_direction_without_a_gap_is_left_as_it_is() -> None:
    axes, same = torch.eye(3), torch.ones(4, 3)
    assert torch.equal(orient(axes, same, same), axes)
