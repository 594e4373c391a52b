"""The report says whether any point lies off the null curve, on held-out prompts where these were drawn."""

from __future__ import annotations

import dataclasses

from saber.publish.analysis.selective_points import deciding_split, selective_rows, selective_text
from saber.publish.report.front_report import render_report
from saber.types import CurvePoint, Frontier, Outcomes
from tests.publish.analysis.test_neighbours import point, study

N_BORDERLINE, N_PROTECTED = 64, 40


def shaped(over: int, kept: int) -> Outcomes:
    return {
        "over_refusal_rate": tuple(float(i < over) for i in range(N_BORDERLINE)),
        "protected_refusal_rate": tuple(float(i < kept) for i in range(N_PROTECTED)),
    }


def frontier(over: int, kept: int, *, held_out: bool = False) -> Frontier:
    """A study of one front point, a base that over-refuses and a curve that gives up both kinds together."""
    alone = point(0, 0, 0.3)
    curve = tuple(
        CurvePoint(strength, alone.tune, outcomes=shaped(*rates), report_outcomes=shaped(*rates) if held_out else {})
        for strength, rates in {0.3: (14, 34), 0.6: (8, 22), 1.0: (0, 0)}.items()
    )
    chosen = dataclasses.replace(alone, outcomes=shaped(over, kept), report=alone.tune, report_outcomes=shaped(8, 22))
    base = shaped(20, 40)
    return dataclasses.replace(study(chosen), curve=curve, base_outcomes=base, base_report_outcomes=base)


def test_a_point_off_the_curve_is_said_with_its_interval() -> None:
    text = selective_text(frontier(5, 40))
    assert "On the tune prompts, which chose the front, 1 of 1 front point lie off the curve" in text
    assert "beside strength 1 that is +100.0 points" in text
    assert selective_rows(frontier(5, 40))[0][-1] == "yes"


def test_a_point_on_the_curve_is_not_claimed() -> None:
    assert "none of 1 front point is shown to lie off the curve" in selective_text(frontier(8, 22))
    assert selective_rows(frontier(8, 22))[0][-1] == "not shown"


def test_held_out_prompts_decide_where_there_are_any() -> None:
    both = frontier(5, 40, held_out=True)  # off the curve on tune, on it on report
    assert deciding_split(both) == "report"
    assert "On held-out prompts, none of 1 front point" in selective_text(both)


def test_without_outcomes_nothing_is_said() -> None:
    assert selective_text(study(point(0, 0, 0.3))) == ""


def test_the_report_has_the_verdict_and_the_table() -> None:
    page = render_report(frontier(5, 40), [], [])
    assert "lie off the curve" in page
    assert "nearest strength" in page
