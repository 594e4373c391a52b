"""Paired comparisons: the seed's two points, planted differences, and an exact oracle for the sign test."""

from __future__ import annotations

import math

import numpy as np
import pytest

from saber.scoring.paired import PairedDifference, paired_difference, probability_of_dominance, sign_test

N_SEED = 49  # the prompts of the seed's evaluation


def hits(n: int, of: int) -> np.ndarray:
    return np.array([1.0] * n + [0.0] * (of - n))


def difference(a: np.ndarray, b: np.ndarray) -> PairedDifference:
    return paired_difference(a, b, n_resamples=2000, seed=0)


def dominance(a: list[np.ndarray], b: list[np.ndarray], n_resamples: int = 4000) -> float:
    return probability_of_dominance(a, b, ["minimize"] * len(a), n_resamples=n_resamples, seed=0)


def test_the_seeds_two_points_cannot_be_told_apart_by_refusals() -> None:
    apart = difference(hits(0, N_SEED), hits(1, N_SEED))
    assert apart.estimate.value == pytest.approx(-1 / 49)
    assert apart.estimate.high == 0
    assert apart.p_exact == 1
    assert not apart.is_distinct


def test_the_seeds_aggressive_point_beats_the_other_in_refusals_as_often_as_the_one_prompt_is_drawn() -> None:
    drawn = 1 - (48 / 49) ** 49
    assert dominance([hits(0, N_SEED)], [hits(1, N_SEED)]) == pytest.approx(drawn, abs=0.03)


@pytest.mark.parametrize("n", range(12))
def test_the_sign_test_is_exact(n: int) -> None:
    exact = min(1.0, 2 * 0.5**n)
    apart = difference(hits(0, N_SEED), hits(n, N_SEED))
    assert apart.p_exact == pytest.approx(exact)
    assert apart.is_distinct == (n >= 6)


def test_a_bootstrap_interval_alone_would_claim_too_much_of_four_prompts() -> None:
    apart = difference(hits(0, N_SEED), hits(4, N_SEED))
    assert apart.estimate.high < 0
    assert not apart.is_distinct


def test_a_planted_difference_in_drift_is_found_though_the_intervals_overlap() -> None:
    rng = np.random.default_rng(0)
    shared = rng.gamma(1.0, 0.4, size=100)
    apart = difference(shared + 0.05 + 0.01 * rng.random(100), shared)
    assert apart.p_exact is None
    assert apart.is_distinct
    assert 0.05 < apart.estimate.low < apart.estimate.high < 0.06


def test_equal_models_dominate_nothing() -> None:
    same = [hits(3, 20), np.linspace(0, 1, 20)]
    assert dominance(same, same) == 0
    assert not difference(same[1], same[1]).is_distinct


def test_a_model_better_everywhere_dominates_and_is_never_dominated() -> None:
    better, worse = [hits(0, 20), np.full(30, 0.1)], [hits(20, 20), np.full(30, 0.2)]
    assert (dominance(better, worse), dominance(worse, better)) == (1, 0)


def test_a_trade_off_dominates_neither_way() -> None:
    a, b = [hits(0, 20), np.full(30, 0.3)], [hits(20, 20), np.full(30, 0.2)]
    assert (dominance(a, b), dominance(b, a)) == (0, 0)


def test_a_maximised_objective_counts_the_other_way() -> None:
    a, b = [hits(20, 20)], [hits(0, 20)]
    assert probability_of_dominance(a, b, ["maximize"], n_resamples=100, seed=0) == 1
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(20), rng.random(20)
    maximised = probability_of_dominance([ours], [theirs], ["maximize"], n_resamples=400, seed=0)
    assert maximised == dominance([-ours], [-theirs], 400)
    assert 0 < maximised < 1


def test_better_in_one_objective_and_equal_in_the_other_dominates() -> None:
    assert dominance([hits(0, 20), hits(3, 20)], [hits(20, 20), hits(3, 20)]) == 1


def test_only_outcomes_that_are_all_0_or_1_have_a_sign_test() -> None:
    assert difference(hits(3, 20), np.linspace(0, 1, 20)).p_exact is None
    assert difference(np.linspace(0, 1, 20), hits(3, 20)).p_exact is None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([hits(1, 3)], [hits(1, 4)]),
        ([], []),
        ([hits(0, 0)], [hits(0, 0)]),
        ([np.array([math.nan, 1.0])], [np.array([0.0, 1.0])]),
    ],
)
def test_outcomes_that_are_no_pairs_are_refused(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="expected"):
        dominance(a, b)


def test_a_sign_test_wants_outcomes_of_0_or_1() -> None:
    with pytest.raises(ValueError, match="expected outcomes of 0 or 1"):
        sign_test(np.array([0.0, 1.0]), np.array([0.5, 1.0]))
