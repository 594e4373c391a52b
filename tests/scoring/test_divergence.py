"""Drift: KL against a float64 loop, -inf and NaN logits, means over positions, the profile over prompts."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import TypeCheckError
from torch import Tensor

from saber.scoring.divergence import drift_profile, kl_divergence_nats

INF = math.inf
FP32_NATS = 1e-4  # fp32 rounding of logits up to 30 in size


def logits(n_rows: int = 3, vocab: int = 7) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, (n_rows, vocab), elements=st.floats(-30, 30, width=32))


def kl_loop(base: np.ndarray, edited: np.ndarray) -> float:
    """One position in float64, term by term."""
    log_p = base - max(base) - math.log(sum(math.exp(x - max(base)) for x in base.tolist()))
    log_q = edited - max(edited) - math.log(sum(math.exp(x - max(edited)) for x in edited.tolist()))
    return math.fsum(math.exp(p) * (p - q) for p, q in zip(log_p.tolist(), log_q.tolist(), strict=True))


@given(logits(), logits())
def test_kl_equals_a_float64_loop(base: np.ndarray, edited: np.ndarray) -> None:
    nats = kl_divergence_nats(torch.from_numpy(base), torch.from_numpy(edited))
    wanted = [kl_loop(b, e) for b, e in zip(base.astype(float), edited.astype(float), strict=True)]
    np.testing.assert_allclose(nats.numpy(), wanted, rtol=FP32_NATS, atol=FP32_NATS)


@given(logits(), logits())
def test_kl_is_never_negative_and_nought_on_itself(base: np.ndarray, edited: np.ndarray) -> None:
    assert (kl_divergence_nats(torch.from_numpy(base), torch.from_numpy(edited)) >= 0).all()
    assert (kl_divergence_nats(torch.from_numpy(base), torch.from_numpy(base)) == 0).all()


@given(logits(), logits(), st.sets(st.integers(0, 5)))
def test_suppressing_tokens_in_both_is_leaving_them_out(
    base: np.ndarray, edited: np.ndarray, dropped: set[int]
) -> None:
    kept = [i for i in range(7) if i not in dropped]
    p, q = torch.from_numpy(base), torch.from_numpy(edited)
    wanted = kl_divergence_nats(p[:, kept], q[:, kept])
    p[:, list(dropped)] = q[:, list(dropped)] = -INF
    torch.testing.assert_close(kl_divergence_nats(p, q), wanted)


def test_known_values() -> None:
    half = torch.tensor([0.0, 0.0])
    skew = torch.tensor([0.25, 0.75]).log()
    assert kl_divergence_nats(half, skew).item() == pytest.approx(0.5 * math.log(4 / 3))
    certain = torch.tensor([0.0, -INF])
    assert kl_divergence_nats(certain, half).item() == pytest.approx(math.log(2))
    assert kl_divergence_nats(half, certain).item() == INF


def test_nan_logits_are_never_a_small_drift() -> None:
    fine, broken = torch.zeros(4), torch.tensor([0.0, math.nan, 0.0, 0.0])
    suppressed = torch.tensor([0.0, -INF, 0.0, 0.0])
    for base, edited in ((fine, broken), (broken, fine), (suppressed, broken)):
        assert kl_divergence_nats(base, edited).isnan()


def test_log_probabilities_will_do_and_leading_axes_broadcast() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(2, 3, 11, generator=generator)
    edited = torch.randn(4, 2, 3, 11, generator=generator)
    nats = kl_divergence_nats(base.log_softmax(-1), edited)
    assert nats.shape == (4, 2, 3)
    for trial in range(4):
        torch.testing.assert_close(nats[trial], kl_divergence_nats(base, edited[trial]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_softmax_is_in_fp32(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(5, 1000, generator=generator).to(dtype)
    edited = torch.randn(5, 1000, generator=generator).to(dtype)
    nats = kl_divergence_nats(base, edited)
    assert nats.dtype == torch.float32
    torch.testing.assert_close(nats, kl_divergence_nats(base.float(), edited.float()))


def test_another_vocabulary_is_refused() -> None:
    with pytest.raises((ValueError, TypeCheckError), match="vocab"):
        kl_divergence_nats(torch.zeros(2, 5), torch.zeros(2, 1))
    unchecked = inspect.unwrap(kl_divergence_nats)
    with pytest.raises(ValueError, match="found 5 base and 1 edited logits"):
        unchecked(torch.zeros(1, 2, 5), torch.zeros(1, 2, 1))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_profile_agrees_with_numpy(drifts: list[float]) -> None:
    profile = drift_profile(torch.tensor(drifts, dtype=torch.float64))
    assert profile["mean"] == pytest.approx(np.mean(drifts))
    assert profile["median"] == pytest.approx(np.median(drifts))
    assert profile["max"] == max(drifts)
    assert profile["worst_index"] == drifts.index(max(drifts))
    assert 0 <= profile["worst_share"] <= 1
    assert sum(d <= profile["p95"] for d in drifts) >= 0.95 * len(drifts)
    assert sum(d < profile["p95"] for d in drifts) < 0.95 * len(drifts)


def test_of_a_hundred_prompts_five_are_above_the_p95() -> None:
    assert drift_profile(torch.arange(1.0, 101.0))["p95"] == 95


def test_profile_of_one_prompt_that_supplies_it_all() -> None:
    profile = drift_profile(torch.tensor([0.0, 0.9, 0.1, 0.0]))
    assert profile["worst_index"] == 1
    assert profile["max"] == pytest.approx(0.9)
    assert profile["worst_share"] == pytest.approx(0.9)


def test_profile_without_drift_and_with_endless_drift() -> None:
    assert drift_profile(torch.zeros(3))["worst_share"] == 0
    endless = drift_profile(torch.tensor([INF, 1.0, INF]))
    assert endless["worst_share"] == 1
    assert not any(math.isnan(float(str(value))) for value in endless.values())


@pytest.mark.parametrize("drifts", [torch.empty(0), torch.tensor([0.1, math.nan]), torch.tensor([-0.1])])
def test_profile_refuses_what_is_no_drift(drifts: Tensor) -> None:
    with pytest.raises(ValueError, match="expected drifts"):
        drift_profile(drifts)
