"""A study finds its own scale once, searches in units of it, and each trial can be made again by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saber.study.run.calibration import LARGEST_KLD, SCALE, STRENGTHS, Tried, unit_of, weakening
from tests.commands import open_trials, run_here, words_of

untimed = settings(deadline=None, derandomize=True)


def model(half: float, kld_at_one: float) -> list[Tried]:
    """A model that refuses 1 / (1 + (s / half)^2) and drifts by kld s^2."""
    return [Tried(s, 1 / (1 + (s / half) ** 2), kld_at_one * s**2) for s in STRENGTHS]


@untimed
@given(st.floats(0.03, 1.5), st.floats(1e-4, 1e-2))
def test_the_unit_takes_away_half_of_the_refusals(half: float, kld_at_one: float) -> None:
    """Strengths stand a factor of two apart and the curve is smooth, so that interpolation is near."""
    assert unit_of(model(half, kld_at_one), 1.0, reach=1.0) == pytest.approx(half, rel=0.15)


@untimed
@given(st.floats(0.03, 1.5), st.floats(0.5, 500), st.floats(1, 4))
def test_the_strong_end_of_the_search_does_not_break_the_model(half: float, kld_at_one: float, reach: float) -> None:
    unit = unit_of(model(half, kld_at_one), 1.0, reach=reach)
    allowed = math.sqrt(LARGEST_KLD / kld_at_one) / reach
    assert unit <= max(allowed * 1.3, min(STRENGTHS) / reach)
    assert unit <= half * 1.15 or half < min(STRENGTHS)


@untimed
@given(st.floats(0.01, 3.0), st.floats(1e-4, 500), st.floats(1, 4))
def test_strengths_that_are_not_tried_would_not_change_the_unit(half: float, kld_at_one: float, reach: float) -> None:
    everything, asked = model(half, kld_at_one), list[float]()

    def measure(strengths: Sequence[float]) -> list[Tried]:
        asked.extend(strengths)
        return [attempt for attempt in everything if attempt.strength in strengths]

    tried = weakening(measure, 1.0)
    assert tried == everything[: len(tried)]
    assert asked == [attempt.strength for attempt in tried]
    assert unit_of(tried, 1.0, reach=reach) == unit_of(everything, 1.0, reach=reach)
    if half > 0.9 and kld_at_one < 0.5:
        assert len(tried) == 2


def test_strengths_that_cannot_be_measured_are_passed_over() -> None:
    measured = weakening(
        lambda strengths: [Tried(s, 0.8 if s < 0.1 else 0.1, 0.001) for s in strengths if s < 0.5], 1.0
    )
    assert [attempt.strength for attempt in measured] == [0.4, 0.2, 0.1, 0.05]


def test_where_nothing_takes_refusals_away_the_unit_is_as_large_as_drift_lets_it_be() -> None:
    tried = [Tried(s, 1.0, 0.001) for s in STRENGTHS]
    assert unit_of(tried, 1.0, reach=3.0) == max(STRENGTHS)
    drifting = [Tried(s, 1.0, s) for s in STRENGTHS]
    assert unit_of(drifting, 1.0, reach=2.0) == pytest.approx(LARGEST_KLD / 2, rel=0.2)


def test_where_the_weakest_does_it_all_the_unit_is_that() -> None:
    assert unit_of([Tried(s, 0.0, 0.0) for s in STRENGTHS], 1.0, reach=3.0) == min(STRENGTHS)


def test_it_is_found_once_shown_stored_and_used(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, "study.find_scale=true", "study.enqueue=[]")
    first = run_here("sweep", [*words, "study.n_trials=1"], tmp_path)
    assert first.status == 0, first.err
    again = run_here("sweep", [*words, "study.n_trials=2"], tmp_path)
    assert again.status == 0, again.err
    assert "scale:" not in again.out
    (path,) = tmp_path.rglob("study.db")
    study = optuna.load_study(study_name="organism", storage=f"sqlite:///{path}")
    scale = study.user_attrs[SCALE]
    assert f"one unit of strength is {scale['unit']:g} here" in first.out
    n_tried = len(scale["tried"])
    assert 2 <= n_tried < len(STRENGTHS)
    assert [attempt["strength"] for attempt in scale["tried"]] == list(STRENGTHS[:n_tried])
    assert first.out.count(" refused at ") == n_tried
    assert first.out.count("the unedited model replies to") == 1

    trials = open_trials(tmp_path)
    assert [trial.user_attrs["strength_unit"] for trial in trials] == [scale["unit"]] * 2
    alone = tmp_path / "alone"
    alone.mkdir()
    point = ", ".join(f"{key}: {value}" for key, value in trials[0].params.items())
    unit = f"edit.strength_unit={scale['unit']}"
    rerun = run_here(
        "sweep", words_of(organism_folder, alone, f"study.enqueue=[{{{point}}}]", unit, "study.n_trials=1"), alone
    )
    assert rerun.status == 0, rerun.err
    assert open_trials(alone)[0].user_attrs["plan"] == trials[0].user_attrs["plan"]


def test_a_study_begun_without_a_scale_goes_on_without(finished: Path, organism_folder: Path) -> None:
    words = words_of(organism_folder, finished, "study.find_scale=true", "study.n_trials=5")
    said = run_here("sweep", words, finished)
    assert said.status == 0, said.err
    assert "scale:" not in said.out
    assert all("strength_unit" not in trial.user_attrs for trial in open_trials(finished))
