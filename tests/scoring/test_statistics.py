"""Uncertainty: Wilson against scipy, the bootstrap against its theory, prompt counts against a search."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from scipy.stats import binomtest, norm
from sklearn.metrics import cohen_kappa_score

from saber.scoring import statistics
from saber.scoring.statistics import (
    bootstrap_mean,
    cohens_kappa,
    paired_bootstrap_difference,
    prompts_for_half_width,
    rate,
    wilson_interval,
)
from saber.types import Estimate

COUNTS = st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40).map(np.array)
ROUNDING = 1e-9


@given(COUNTS, st.floats(0.5, 0.999))
def test_wilson_equals_scipy(counts: tuple[int, int], confidence: float) -> None:
    k, n = counts
    wanted = binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(k, n, confidence=confidence) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@given(COUNTS)
def test_rate_lies_in_its_interval_and_that_in_the_unit(counts: tuple[int, int]) -> None:
    k, n = counts
    estimate = rate(k, n)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate == Estimate(k / n, n, *wilson_interval(k, n))


@given(COUNTS)
def test_refusals_and_compliance_mirror_each_other(counts: tuple[int, int]) -> None:
    k, n = counts
    low, high = wilson_interval(k, n)
    assert wilson_interval(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_the_seed_s_two_points_do_not_differ() -> None:
    assert wilson_interval(0, 49) == pytest.approx((0.0, 0.073), abs=5e-4)
    assert wilson_interval(0, 49)[0] == 0.0
    low, high = wilson_interval(1, 49)
    assert (round(low, 3), round(high, 2)) == (0.004, 0.11)
    assert wilson_interval(49, 49)[1] == 1.0


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        rate(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, math.nan])
def test_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        wilson_interval(1, 2, confidence=confidence)
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_mean(np.array([1.0, 2.0]), n_resamples=10, seed=0, confidence=confidence)


def half_width(p: float, n: int, z: float) -> float:
    return z * math.sqrt(p * (1 - p) * n + z**2 / 4) / (n + z**2)


@given(st.floats(0.01, 0.9), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_prompt_count_is_the_smallest_that_will_do(width: float, p: float, confidence: float) -> None:
    n = prompts_for_half_width(width, rate=p, confidence=confidence)
    z = float(norm.ppf((1 + confidence) / 2))
    assert half_width(p, n, z) <= width + ROUNDING
    assert n == 1 or half_width(p, n - 1, z) > width - ROUNDING


@given(st.floats(0.01, 0.9), st.floats(0, 1))
def test_a_prompt_count_is_solved_for_and_not_searched(width: float, p: float) -> None:
    with mock.patch.object(statistics, "_wilson_half_width", wraps=statistics._wilson_half_width) as tried:
        prompts_for_half_width(width, rate=p)
    assert tried.call_count <= 3


def test_known_prompt_counts() -> None:
    assert prompts_for_half_width(0.05) == 381
    assert prompts_for_half_width(0.005, rate=0.0) == 381  # 0 of 381 is [0, 1%]
    assert wilson_interval(0, 381)[1] <= 0.01 < wilson_interval(0, 380)[1]


@pytest.mark.parametrize(("width", "p"), [(0.0, 0.5), (1.0, 0.5), (0.1, -0.1), (0.1, 1.1), (math.nan, 0.5)])
def test_impossible_widths_are_refused(width: float, p: float) -> None:
    with pytest.raises(ValueError, match="half width"):
        prompts_for_half_width(width, rate=p)


# Bootstrap


@given(VALUES, st.integers(0, 2**32))
def test_bootstrap_is_finite_ordered_within_the_values_and_repeatable(values: np.ndarray, seed: int) -> None:
    estimate = bootstrap_mean(values, n_resamples=200, seed=seed)
    slack = ROUNDING * max(1.0, float(np.abs(values).max()))
    assert values.min() - slack <= estimate.low <= estimate.high <= values.max() + slack
    assert estimate.value == pytest.approx(float(np.mean(values)), abs=slack)
    assert estimate.n == len(values)
    assert estimate == bootstrap_mean(values, n_resamples=200, seed=seed)


@given(st.floats(-1e6, 1e6), st.integers(1, 30))
def test_equal_values_have_no_width(value: float, n: int) -> None:
    assert bootstrap_mean(np.full(n, value), n_resamples=10, seed=0) == Estimate(value, n, value, value)


def test_bootstrap_equals_a_loop() -> None:
    values = np.random.default_rng(1).exponential(size=17)
    drawn = np.random.default_rng(5).integers(17, size=(101, 17))
    means = sorted(float(np.mean([values[i] for i in row])) for row in drawn)
    estimate = bootstrap_mean(values, n_resamples=101, seed=5, confidence=0.9)
    assert (estimate.low, estimate.high) == pytest.approx((means[5], means[95]))


@pytest.mark.parametrize(("n_resamples", "confidence", "rank"), [(1, 0.95, 0), (10, 0.2, 4), (10, 0.1, 4)])
def test_the_interval_leaves_out_as_many_of_few_resamples(n_resamples: int, confidence: float, rank: int) -> None:
    values = np.random.default_rng(1).exponential(size=17)
    drawn = np.random.default_rng(5).integers(17, size=(n_resamples, 17))
    means = sorted(values[drawn].mean(axis=1))
    estimate = bootstrap_mean(values, n_resamples=n_resamples, seed=5, confidence=confidence)
    assert (estimate.low, estimate.high) == pytest.approx((means[rank], means[n_resamples - 1 - rank]))


def test_bootstrap_approaches_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    estimate = bootstrap_mean(values, n_resamples=4000, seed=0)
    half = 1.96 * values.std() / math.sqrt(400)
    assert (estimate.low, estimate.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    narrower = bootstrap_mean(values, n_resamples=4000, seed=0, confidence=0.5)
    assert estimate.low < narrower.low < narrower.high < estimate.high


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [bootstrap_mean(rng.normal(size=60), n_resamples=300, seed=seed) for seed in range(300)]
    assert 0.90 <= np.mean([interval.low <= 0 <= interval.high for interval in intervals]) <= 0.98


def test_an_infinite_value_gives_an_infinite_mean_and_never_nan() -> None:
    estimate = bootstrap_mean(np.array([0.1, math.inf, 0.2]), n_resamples=200, seed=0)
    assert (estimate.value, estimate.high) == (math.inf, math.inf)
    assert math.isfinite(estimate.low)
    assert bootstrap_mean(np.array([math.inf] * 2), n_resamples=10, seed=0).low == math.inf


@pytest.mark.parametrize("values", [[], [math.nan, 1.0], [-math.inf, 1.0]])
def test_bootstrap_refuses_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_mean(np.array(values), n_resamples=10, seed=0)


def test_bootstrap_refuses_to_draw_nothing() -> None:
    with pytest.raises(ValueError, match="n_resamples"):
        bootstrap_mean(np.array([1.0, 2.0]), n_resamples=0, seed=0)


def test_pairing_cancels_what_two_models_share() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(scale=10.0, size=100)
    better, worse = shared + rng.normal(scale=0.1, size=100), shared + 1.0
    estimate = paired_bootstrap_difference(better, worse, n_resamples=500, seed=0)
    assert estimate == bootstrap_mean(better - worse, n_resamples=500, seed=0)
    assert -1.1 < estimate.low < estimate.value < estimate.high < -0.9


@pytest.mark.parametrize(
    ("a", "b"), [([1.0], [1.0, 2.0]), ([math.inf, 1.0], [0.0, 1.0]), ([0.0, 1.0], [math.nan, 1.0])]
)
def test_unpaired_or_endless_values_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises((ValueError, TypeCheckError), match=r"paired|pairs"):
        paired_bootstrap_difference(np.array(a), np.array(b), n_resamples=10, seed=0)


# Agreement


LABELS = st.integers(1, 30).flatmap(lambda n: st.tuples(*[st.lists(st.booleans(), min_size=n, max_size=n)] * 2))


@given(LABELS)
def test_kappa_equals_scikit_learn(labels: tuple[list[bool], list[bool]]) -> None:
    a, b = labels
    kappa = cohens_kappa(a, b)
    if len({*a, *b}) == 1:
        assert kappa is None
    else:
        assert kappa == pytest.approx(cohen_kappa_score(a, b))


@pytest.mark.parametrize(("a", "b"), [([], []), ([True], [True, False]), ([], [True])])
def test_kappa_wants_two_labels_of_each_response(a: list[bool], b: list[bool]) -> None:
    with pytest.raises(ValueError, match="expected two labels"):
        cohens_kappa(a, b)
