"""Intervals resample organisms: what one search seed more of an organism says is not another organism."""

from __future__ import annotations

import math

import numpy as np
import pytest
from front_intervals import by_organism, over_organisms, ratio
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.lists(st.floats(0.1, 10.0), min_size=3, max_size=6)


def test_an_organism_counts_with_the_mean_of_its_searches() -> None:
    assert by_organism({("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 5.0}) == {"a": 2.0, "b": 5.0}
    interval = over_organisms({("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 5.0})
    assert (interval.value, interval.n) == (3.5, 2)
    assert (interval.low, interval.high) == (2.0, 5.0)


@given(VALUES)
def test_searches_that_agree_change_no_interval(values: list[float]) -> None:
    once = {(str(i), 0): value for i, value in enumerate(values)}
    thrice = {(str(i), seed): value for i, value in enumerate(values) for seed in range(3)}
    theirs = dict.fromkeys(thrice, 2.0)
    for single, three in ((over_organisms(once), over_organisms(thrice)),):
        assert (three.low, three.high) == pytest.approx((single.low, single.high))
    assert ratio(thrice, theirs) == pytest.approx(ratio(once, theirs))


@given(VALUES, st.floats(0.1, 3.0))
def test_a_constant_ratio_has_an_interval_of_no_width(values: list[float], factor: float) -> None:
    theirs = {(str(i), 0): value for i, value in enumerate(values)}
    ours = {cell: factor * value for cell, value in theirs.items()} | {("more", 0): 99.0}
    assert ratio(ours, theirs) == pytest.approx((factor, factor, factor))


def test_the_interval_of_a_ratio_is_that_of_all_resamples() -> None:
    ours = {("a", 0): 2.0, ("b", 0): 2.0, ("c", 0): 6.0}
    theirs = {("a", 0): 1.0, ("b", 0): 2.0, ("c", 0): 3.0}
    draws = [(i, j, k) for i in "abc" for j in "abc" for k in "abc"]
    all_27 = [sum(ours[(name, 0)] for name in draw) / sum(theirs[(name, 0)] for name in draw) for draw in draws]
    measured = ratio(ours, theirs)
    assert measured is not None
    assert measured[0] == pytest.approx(10 / 6)
    assert measured[1:] == pytest.approx(tuple(np.quantile(np.repeat(all_27, 1000), [0.025, 0.975])), abs=0.05)


def test_two_organisms_give_no_interval_and_no_common_cell_no_ratio() -> None:
    measured = ratio({("a", 0): 2.0, ("a", 1): 2.0, ("b", 0): 2.0}, {("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 2.0})
    assert measured is not None
    assert measured[0] == pytest.approx(4 / 4)
    assert math.isnan(measured[1])
    assert ratio({("d", 0): 1.0}, {("a", 0): 1.0}) is None
    assert ratio({("a", 0): 1.0}, {("a", 0): 0.0}) is None
