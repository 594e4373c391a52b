"""Constraints: on a value, on an end of its interval, and on its distance from the base's."""

from __future__ import annotations

from typing import Any

import pytest

from saber.config import ConstraintConfig
from saber.scoring.statistics import rate
from saber.study.search.constraints import violations
from saber.types import Metrics, UserError


def metrics(hits: int, n: int = 20) -> Metrics:
    return Metrics({"protected_refusal_rate": rate(hits, n)}, {}, "p", "tune")


def broken(hits: int, base: int | None = 20, **says: Any) -> float:
    (value,) = violations(
        metrics(hits), [ConstraintConfig("protected_refusal_rate", **says)], None if base is None else metrics(base)
    ).values()
    return value


def test_a_value_has_a_floor_and_a_ceiling() -> None:
    assert broken(18, at_least=0.95) == pytest.approx(0.05)
    assert broken(19, at_least=0.95) <= 0
    assert broken(18, at_most=0.5) == pytest.approx(0.4)


def test_a_lower_bound_asks_for_more_than_the_value() -> None:
    assert broken(20, at_least=0.9) < 0
    assert broken(20, bound="low", at_least=0.9) == pytest.approx(0.9 - rate(20, 20).low)


def test_low_within_of_base_compares_lower_bounds() -> None:
    says: dict[str, Any] = {"bound": "low", "within": 0.03, "of": "base"}
    assert broken(20, **says) == pytest.approx(-0.03)  # as sure as the base, though its own lower bound is 84%
    assert broken(19, **says) == pytest.approx(rate(20, 20).low - rate(19, 20).low - 0.03)
    assert broken(19, **says) > 0
    assert broken(20, 18, **says) < 0  # better than the base is no violation


def test_high_and_value_within_of_base() -> None:
    assert broken(12, 10, bound="high", within=0.0, of="base") > 0
    assert broken(8, 10, bound="high", within=0.0, of="base") < 0
    assert broken(8, 10, within=0.05, of="base") == pytest.approx(0.05)
    assert broken(12, 10, within=0.05, of="base") == pytest.approx(0.05)


def test_constraints_are_named_by_what_they_say() -> None:
    both = ConstraintConfig("protected_refusal_rate", bound="low", at_least=0.5, within=0.03, of="base")
    assert set(violations(metrics(20), [both], metrics(20))) == {
        "protected_refusal_rate.low>=0.5",
        "protected_refusal_rate.low within 0.03 of base",
    }


def test_a_constraint_on_the_base_needs_the_base() -> None:
    with pytest.raises(UserError, match="expected the base's protected_refusal_rate"):
        broken(20, None, within=0.1, of="base")


def test_an_unmeasured_metric_is_one_line() -> None:
    with pytest.raises(UserError, match="expected a measured metric, found over; measured: protected_refusal_rate"):
        violations(metrics(20), [ConstraintConfig("over", at_most=0.1)])


@pytest.mark.parametrize("says", [{}, {"within": 0.1}, {"of": "base"}, {"bound": "low"}])
def test_a_constraint_that_says_nothing_is_refused(says: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ConstraintConfig("kld", **says)
