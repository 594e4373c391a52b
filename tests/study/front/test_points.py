"""Marked points are chosen by the refusal rate that the study asks for, among feasible points."""

from __future__ import annotations

import pytest

from saber.metrics import DRIFT, REFUSAL, UNPROTECTED_REFUSAL
from saber.study.front.points import mark, place_on_front, refusal_asked_for
from saber.types import Estimate, FrontierPoint, Metrics, Objective

ASKED = (Objective(UNPROTECTED_REFUSAL, "minimize", 1.0), Objective(DRIFT, "minimize", 1.0))


def point(number: int, unprotected: float, drift: float, *, feasible: bool = True) -> FrontierPoint:
    """A point whose protected prompts, a fifth of all, are refused throughout."""
    rates = {UNPROTECTED_REFUSAL: unprotected, REFUSAL: 0.2 + 0.8 * unprotected, DRIFT: drift}
    metrics = Metrics({name: Estimate(value, 50, value, value) for name, value in rates.items()}, {}, "p", "tune")
    return FrontierPoint(number, f"p{number}", {}, metrics, "d", score=unprotected + drift, feasible=feasible)


@pytest.mark.parametrize("asked", [UNPROTECTED_REFUSAL, REFUSAL])
def test_the_rate_that_is_sought_decides(asked: str) -> None:
    assert refusal_asked_for([Objective(asked, "minimize", 1.0)]) == asked


def test_marks_are_of_unprotected_refusals_and_of_feasible_points_alone() -> None:
    points = [point(0, 0.0, 0.03), point(1, 0.05, 0.01), point(2, 0.5, 0.001), point(3, 0.0, 0.001, feasible=False)]
    placed = place_on_front(points, ASKED)
    assert [point.on_front for point in placed] == [True, True, True, False]
    marked = {name: marked.number for marked in mark(placed, 0.1, UNPROTECTED_REFUSAL) for name in marked.marks}
    assert marked == {"aggressive": 0, "balanced": 0, "conservative": 1}
    assert not any(
        "conservative" in marked.marks for marked in mark(placed, 0.1)
    )  # of all prompts a fifth stay refused
