"""Off the curve: planted selective points are found, points on the curve are not, and few prompts prove nothing."""

from __future__ import annotations

import numpy as np
import pytest

from saber.scoring.selectivity import OffCurve, Shaping, off_curve

N_BORDERLINE, N_PROTECTED = 64, 40


def model(over: int, kept: int) -> Shaping:
    """So many refusals of each kind, on the first prompts."""
    return Shaping((np.arange(N_BORDERLINE) < over).astype(float), (np.arange(N_PROTECTED) < kept).astype(float))


CURVE = [model(20, 40), model(14, 34), model(8, 22), model(3, 10), model(0, 0)]


def stands(point: Shaping, curve: list[Shaping] | None = None) -> OffCurve:
    return off_curve(point, CURVE if curve is None else curve, n_resamples=200, seed=0)


def test_a_point_that_keeps_all_and_over_refuses_little_is_off() -> None:
    standing = stands(model(5, 40))
    assert standing.is_off
    assert standing.nearest == 3
    assert standing.kept.estimate.value == pytest.approx(30 / 40)
    assert standing.over.estimate.value == pytest.approx(2 / 64)


@pytest.mark.parametrize("at", range(len(CURVE)))
def test_a_point_of_the_curve_is_on_it(at: int) -> None:
    standing = stands(CURVE[at])
    assert not standing.is_off
    assert standing.nearest == at
    assert standing.kept.estimate.value == 0


def test_a_little_better_than_the_curve_is_not_shown_by_these_prompts() -> None:
    assert not stands(model(8, 26)).is_off


def test_a_little_better_in_both_counts_together() -> None:
    assert stands(model(4, 26), [model(8, 22)]).is_off
    assert not stands(model(4, 22), [model(8, 22)]).is_off
    assert not stands(model(8, 26), [model(8, 22)]).is_off


def test_less_over_refusal_for_as_many_protected_refusals_lost_is_not_off() -> None:
    assert not stands(model(2, 30), [model(10, 38)]).is_off


def test_a_point_as_good_as_a_strength_is_seldom_called_off() -> None:
    rng = np.random.default_rng(0)
    n_off = 0
    for _ in range(400):
        point, strength = (
            Shaping((rng.random(N_BORDERLINE) < 0.2).astype(float), (rng.random(N_PROTECTED) < 0.8).astype(float))
            for _ in range(2)
        )
        n_off += off_curve(point, [strength], n_resamples=10, seed=0).is_off
    assert n_off <= 0.05 * 400


def test_worse_than_the_curve_is_not_off_it() -> None:
    assert not stands(model(8, 2)).is_off


def test_the_unedited_model_is_beaten_only_by_less_over_refusal() -> None:
    assert not stands(model(18, 40), [CURVE[0]]).is_off
    assert stands(model(5, 40), [CURVE[0]]).is_off


def test_where_no_strength_over_refuses_as_little_the_least_is_nearest() -> None:
    assert stands(model(0, 40), CURVE[:4]).nearest == 3


def test_a_curve_needs_a_strength() -> None:
    with pytest.raises(ValueError, match="at least one"):
        stands(model(1, 1), [])


def test_a_curve_of_other_prompts_is_refused() -> None:
    of_others = Shaping(np.zeros(N_BORDERLINE + 1), np.zeros(N_PROTECTED - 1))  # as many in all
    with pytest.raises(ValueError, match="the point's prompts"):
        stands(model(1, 1), [CURVE[0], of_others])


def test_of_equal_strengths_the_nearest_is_the_better_in_the_other_rate() -> None:
    assert stands(model(6, 40), [model(5, 10), model(3, 10)]).nearest == 1
    assert stands(model(0, 40), [model(5, 10), model(5, 20)]).nearest == 1
