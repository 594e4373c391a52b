"""Fronts are chosen on tune and judged on report, by hand-made cells."""

from __future__ import annotations

from typing import Any

import pytest
from front_score import at_equal_time, chosen, front_of, hypervolumes, scored, within_time


def point(refusal: float, response: float, first: float | None = None) -> dict[str, float]:
    first = response if first is None else first
    return {"refusal_rate": refusal, "kld_response": response, "kld_first": first, "kld_prompt": response}


@pytest.fixture
def row() -> dict[str, Any]:
    """Trials 4 and 5 are the front by response, 5 and 9 by first; 6 is 5 again, 7 is beaten."""
    tune = {
        4: point(0.0, 0.05, 0.9),
        5: point(0.5, 0.01, 0.02),
        6: point(0.5, 0.01, 0.02),
        7: point(0.6, 0.02, 0.03),
        9: point(0.25, 0.06, 0.3),
    }
    report = {"4": point(0.1, 0.06, 0.9), "5": point(0.4, 0.02, 0.02), "9": point(0.3, 0.06, 0.3)}
    trials = [{"number": number, "tune": metrics} for number, metrics in tune.items()]
    about = {"method": "saber", "organism": "a", "seed": 0, "n_trials": 10, "search_s": 20.0}
    return about | {"trials": trials, "report": report}


def test_the_front_is_chosen_on_tune_for_each_kld_and_equal_points_once(row: dict[str, Any]) -> None:
    assert front_of(row["trials"], "response") == [4, 5]
    assert front_of(row["trials"], "first") == [4, 5, 9]
    assert chosen(row["trials"]) == [4, 5, 9]
    assert front_of([], "response") == []


def test_hypervolume_is_of_the_chosen_points_on_either_split(row: dict[str, Any]) -> None:
    volumes = hypervolumes(row)
    assert volumes["tune"]["response"]["0.1"] == pytest.approx(0.5 * 0.09 + 0.5 * 0.05)
    assert volumes["report"]["response"]["0.1"] == pytest.approx(0.6 * 0.08 + 0.3 * 0.04)
    assert volumes["report"]["first"]["0.5"] == pytest.approx(0.6 * 0.48 + 0.1 * 0.2)  # trial 4 lies beyond .5


def test_a_scored_row_says_how_many_points_were_chosen_and_leaves_trials_out(row: dict[str, Any]) -> None:
    scores = scored(row)
    assert scores["n_front"] == 3
    assert "trials" not in scores
    assert scores["method"] == "saber"


def test_at_equal_time_a_slow_method_has_its_first_trials_and_a_fast_one_all(row: dict[str, Any]) -> None:
    ours = scored(row)
    course = ours["course"]["response 0.1"]
    assert course[:4] == [0.0] * 4
    assert course[4] == pytest.approx(0.05)
    assert course[5] == course[9] == pytest.approx(0.5 * 0.09 + 0.5 * 0.05)
    assert within_time(ours, 11.0, "response 0.1") == course[4]  # five trials of 2 s
    assert within_time(ours, 1.9, "response 0.1") == 0.0
    assert within_time(ours, 99.0, "response 0.1") == course[9]
    theirs = ours | {"method": "heretic", "search_s": 11.0}
    table = at_equal_time([ours, theirs], "saber", "heretic", "response 0.1")
    assert table is not None
    assert table[0] == pytest.approx(course[4] / course[9])
