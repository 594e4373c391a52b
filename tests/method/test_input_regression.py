"""What is read of inputs is the least-squares answer, in either form, and leaving rows out is what it says."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saber.method.input_regression import (
    RIDGES,
    SPARE_WEIGHTS,
    Population,
    Regression,
    best_weights,
    input_readers,
    left_out_error,
)


def draw(seed: int, n: int, d: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator) * torch.linspace(0.3, 3.0, d) + 0.5


WEIGHTS = (1.0, 3.0)


def problem(seed: int, n: int, d: int, k: int = 2) -> tuple[torch.Tensor, Regression]:
    spared = [Population(draw(seed + 1, n + 1, d)), Population(draw(seed + 2, 2 * n, d))]
    return draw(seed + 3, n, k), Regression(Population(draw(seed, n, d)), spared)


def stacked(
    targets: torch.Tensor, regression: Regression, lam: float, mu: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and targets of the whole least-squares problem, its ridge as rows, written out from the docstring."""
    taken, d = regression.taken.rows.double().numpy(), regression.d_in
    power = (taken**2).sum() / len(taken)
    others = [(group.rows.double().numpy(), weight) for group, weight in zip(regression.spared, WEIGHTS, strict=True)]
    spared_power = sum(weight * (rows**2).sum() / len(rows) for rows, weight in others)
    rows = [taken / len(taken) ** 0.5]
    rows += [(lam * power / spared_power * weight / len(x)) ** 0.5 * x for x, weight in others]
    z = np.concatenate(rows)
    wanted = np.zeros((len(z), targets.shape[1]))
    wanted[: len(taken)] = targets.double().numpy() / len(taken) ** 0.5
    return z, wanted, (mu * power / d) ** 0.5 * np.eye(d)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 99),
    n=st.sampled_from([1, 2, 5, 30]),
    lam=st.sampled_from([0.01, 1.0, 100.0]),
    mu=st.sampled_from([1e-3, 0.1, 10.0]),
    known=st.booleans(),
    steady=st.booleans(),
)
def test_it_is_the_least_squares_answer_in_every_form(
    seed: int, n: int, lam: float, mu: float, known: bool, steady: bool
) -> None:
    targets, regression = problem(seed, n, 12)
    inner = regression.products if known else None
    regression = Regression(regression.taken, regression.spared, inner, is_steady=steady)
    z, wanted, eye = stacked(targets, regression, lam, mu)
    expected = scipy.linalg.lstsq(np.concatenate([z, eye]), np.concatenate([wanted, np.zeros((12, 2))]))[0].T
    readers = input_readers(targets, regression, WEIGHTS, spare_weight=lam, ridge=mu).double().numpy()
    assert np.linalg.norm(readers - expected) < 1e-4 * np.linalg.norm(expected)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99),
    n=st.sampled_from([3, 12]),
    lam=st.sampled_from([0.1, 5.0]),
    mu=st.sampled_from([0.01, 1.0]),
)
def test_the_left_out_error_is_that_of_leaving_rows_out(seed: int, n: int, lam: float, mu: float) -> None:
    targets, regression = problem(seed, n, 5)
    z, wanted, eye = stacked(targets, regression, lam, mu)
    plain, _, _ = stacked(targets, regression, 1.0, mu)
    error = 0.0
    for i in range(len(z)):
        others = np.arange(len(z)) != i
        rows, goals = np.concatenate([z[others], eye]), np.concatenate([wanted[others], np.zeros((5, 2))])
        k = scipy.linalg.lstsq(rows, goals)[0]
        goal = wanted[i]
        error += float(((plain[i] @ k - goal * np.linalg.norm(plain[i]) / np.linalg.norm(z[i])) ** 2).sum())
    (closed_form,) = left_out_error(targets, regression, WEIGHTS, spare_weight=lam, ridges=[mu])
    assert float(closed_form) == pytest.approx(error / (wanted**2).sum(), rel=1e-6)


def test_what_is_spared_is_decomposed_once_by_its_weights() -> None:
    targets, plain = problem(2, 30, 12)
    steady = Regression(plain.taken, plain.spared, is_steady=True)
    for lam, mu, weights in ((0.1, 0.1, WEIGHTS), (50.0, 0.01, WEIGHTS), (1.0, 1.0, (1.0, 1.0))):
        expected = input_readers(targets, plain, weights, spare_weight=lam, ridge=mu)
        torch.testing.assert_close(input_readers(targets, steady, weights, spare_weight=lam, ridge=mu), expected)
    assert list(steady.spectra) == [WEIGHTS, (1.0, 1.0)]
    assert not plain.spectra


def test_weights_that_are_not_given_have_the_least_left_out_error() -> None:
    targets, regression = problem(4, 12, 8)
    best = best_weights(targets, regression, WEIGHTS, spare_weight=None, ridge=None)
    errors = {
        (lam, mu): float(left_out_error(targets, regression, WEIGHTS, spare_weight=lam, ridges=[mu])[0])
        for lam in SPARE_WEIGHTS
        for mu in RIDGES
    }
    assert best == min(errors, key=errors.__getitem__)
    assert best_weights(targets, regression, WEIGHTS, spare_weight=2.0, ridge=None)[0] == 2.0
    assert best_weights(targets, regression, WEIGHTS, spare_weight=2.0, ridge=0.3) == (2.0, 0.3)
    lam, mu = best_weights(targets, regression, WEIGHTS, spare_weight=None, ridge=0.3)
    least = {w: left_out_error(targets, regression, WEIGHTS, spare_weight=w, ridges=[0.3]) for w in SPARE_WEIGHTS}
    assert (lam, mu) == (min(least, key=least.__getitem__), 0.3)


def test_what_is_spared_may_be_all_zero_and_a_target_too() -> None:
    targets, regression = problem(4, 12, 8)
    alone = Regression(regression.taken, [Population(torch.zeros(3, 8))])
    errors = [left_out_error(targets, alone, (1.0,), spare_weight=w, ridges=RIDGES) for w in SPARE_WEIGHTS]
    without = left_out_error(targets, Regression(regression.taken, []), (), spare_weight=1.0, ridges=RIDGES)
    assert all(torch.allclose(error, without) for error in errors)
    targets[0, 0] = 0.0
    best = best_weights(targets, alone, (1.0,), spare_weight=None, ridge=None)
    assert best == (SPARE_WEIGHTS[0], RIDGES[int(without.argmin())])
    assert best[1] != RIDGES[0]


def test_inputs_of_power_one_are_like_any_others() -> None:
    signs = torch.where(draw(0, 12, 4) > 0.5, 0.5, -0.5)
    regression = Regression(Population(signs), [])
    assert regression.taken.power == 1
    targets = signs @ draw(1, 4, 1) + draw(2, 12, 1)
    errors = left_out_error(targets, regression, (), spare_weight=1.0, ridges=RIDGES)
    assert errors.argmin() > 0
    assert best_weights(targets, regression, (), spare_weight=1.0, ridge=None) == (1.0, RIDGES[int(errors.argmin())])


def test_lam_and_mu_mean_the_same_whatever_the_scale_of_inputs() -> None:
    targets, regression = problem(1, 20, 6)
    as_it_is = input_readers(targets, regression, WEIGHTS, spare_weight=0.7, ridge=0.2)
    for scale in (1e-3, 1e3):
        spared = [Population(scale * population.rows) for population in regression.spared]
        scaled = Regression(Population(scale * regression.taken.rows), spared)
        read = input_readers(targets, scaled, WEIGHTS, spare_weight=0.7, ridge=0.2)
        torch.testing.assert_close(as_it_is, scale * read)


@pytest.mark.parametrize("d", [6, 200])
def test_little_is_read_of_what_is_spared_with_much_weight(d: int) -> None:
    targets, regression = problem(2, 20, d)
    read = [
        sum(float((group.rows @ input_readers(targets, regression, WEIGHTS, spare_weight=lam, ridge=1e-6).T).norm())
            for group in regression.spared)
        for lam in (0.01, 1.0, 1e4)
    ]  # fmt: skip
    assert read[0] > 2 * read[1] > 4 * read[2]


def test_a_component_that_inputs_show_is_read_exactly_where_nothing_is_spared() -> None:
    taken, k = draw(0, 40, 6), draw(1, 2, 6)
    readers = input_readers(taken @ k.T, Regression(Population(taken), []), (), spare_weight=1.0, ridge=1e-9)
    torch.testing.assert_close(readers, k, atol=1e-4, rtol=1e-4)


def test_dead_inputs_are_read_as_nothing() -> None:
    regression = Regression(Population(torch.zeros(4, 5)), [Population(torch.zeros(3, 5))])
    assert not input_readers(draw(0, 4, 2), regression, (1.0,), spare_weight=1.0, ridge=0.1).any()
    best = best_weights(draw(0, 4, 2), regression, (1.0,), spare_weight=None, ridge=None)
    assert best == (SPARE_WEIGHTS[0], RIDGES[0])
