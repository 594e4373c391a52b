"""Neighbours are told apart on their own prompts where these are kept, and by intervals where not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from saber.publish.analysis.neighbours import neighbour_rows, neighbours, tell_apart
from saber.publish.report.front_report import render_report
from saber.types import Estimate, Frontier, FrontierPoint, Metrics, Objective

OBJECTIVES = (Objective("refusal_rate"), Objective("kld"))
N = 49


def point(number: int, refusals: int, kld: float, *, keeps_outcomes: bool = True) -> FrontierPoint:
    """A front point with so many refusals in 49 prompts and about that drift on 60."""
    drifts = kld * (1 + 0.5 * np.sin(np.arange(60)))
    outcomes = {"refusal_rate": (1.0,) * refusals + (0.0,) * (N - refusals), "kld": tuple(drifts.tolist())}
    rate = Estimate(refusals / N, N, max(0.0, refusals / N - 0.07), refusals / N + 0.07)
    tune = Metrics({"refusal_rate": rate, "kld": Estimate(kld, 60, 0.8 * kld, 1.2 * kld)}, {}, "p", "tune")
    kept = outcomes if keeps_outcomes else {}
    return FrontierPoint(number, f"point{number}", {}, tune, f"{number}", 0.1, on_front=True, outcomes=kept)


def study(*points: FrontierPoint) -> Frontier:
    return Frontier("s", "m", OBJECTIVES, points, points[0].tune, None, hypervolume=0.1)


def test_the_seeds_two_points_are_said_to_be_one_in_refusals_and_two_in_drift() -> None:
    frontier = study(point(0, 0, 0.4327), point(1, 1, 0.3164))
    (pair,) = neighbours(frontier.front, OBJECTIVES)
    assert not pair.is_distinct("refusal_rate")
    assert pair.is_distinct("kld")
    assert pair.wins is not None
    assert pair.wins[0] == 0.0  # it drifts more on every prompt
    assert pair.wins[1] == pytest.approx((48 / 49) ** 49, abs=0.05)  # where the one prompt is not drawn
    assert "can't be told apart by their keyword refusal rate (exact sign test" in tell_apart(frontier)
    assert "point0 and point1" in tell_apart(frontier)
    (row,) = neighbour_rows(frontier)
    assert row[2] == "-2.0 points [-6.1, +0.0], p = 1"
    assert row[-1] == "keyword refusal rate"


def test_pairing_tells_apart_what_overlapping_intervals_would_not() -> None:
    (pair,) = neighbours([point(0, 0, 0.4), point(1, 6, 0.3)], OBJECTIVES)
    assert pair.first.tune.estimates["refusal_rate"].high > pair.second.tune.estimates["refusal_rate"].low
    assert pair.is_distinct("refusal_rate")
    assert "All neighbouring front points can be told apart" in tell_apart(study(pair.first, pair.second))


def test_many_pairs_are_counted_and_left_to_the_table() -> None:
    points = [point(i, i, 0.4 - 0.01 * i) for i in range(5)]
    frontier = study(*points, point(9, 40, 0.1))
    assert tell_apart(frontier).startswith("4 of the 5 pairs of neighbouring front points can't be told apart by")
    assert "point" not in tell_apart(frontier).replace("front points", "")
    assert [row[-1] == "keyword refusal rate" for row in neighbour_rows(frontier)] == [True] * 4 + [False]


def test_without_outcomes_intervals_decide_and_it_is_said() -> None:
    frontier = study(point(0, 0, 0.4, keeps_outcomes=False), point(1, 6, 0.3))
    assert "95% intervals, as outcomes by prompt are missing" in tell_apart(frontier)
    assert neighbour_rows(frontier) == []


def test_points_of_two_protocols_are_never_paired() -> None:
    first, other = point(0, 0, 0.4), point(1, 6, 0.3)
    strange = dataclasses.replace(other, tune=dataclasses.replace(other.tune, protocol="q"))
    (pair,) = neighbours([first, strange], OBJECTIVES)
    assert pair.differences == {}
    assert pair.wins is None


def test_the_report_has_the_neighbours() -> None:
    page = render_report(study(point(0, 0, 0.4327), point(1, 1, 0.3164)), [], [])
    assert "Neighbours on the same prompts" in page
    assert "-2.0 points [-6.1, +0.0], p = 1" in page
