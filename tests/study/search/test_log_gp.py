"""The process that sees logarithms of drift: it searches where drifts are small, draws keys together, and is seeded."""

from __future__ import annotations

import math

import optuna
import pytest

from saber.study.search import log_gp
from saber.study.search.log_gp import LogGP, log_odds

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def edit(trial: optuna.Trial) -> tuple[float, float]:
    """Refusals that fall with strength, and a drift that is least, by orders of magnitude, at one place."""
    strength, place = trial.suggest_float("strength", 0.0, 1.0), trial.suggest_float("place", 0.0, 1.0)
    return 1.0 - strength, strength * 10.0 ** (-4.0 + 8.0 * abs(place - 0.3))


def least(sampler: optuna.samplers.BaseSampler, n_trials: int = 22) -> float:
    """The least logarithm of drift among trials that take away most refusals."""
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    study.optimize(edit, n_trials=n_trials)
    return min(math.log10(t.values[1]) for t in study.trials if t.values[0] < 0.3)


def test_it_finds_drifts_that_are_small_among_small_ones() -> None:
    assert least(LogGP(seed=0)) < -3.7


def test_keys_are_drawn_at_random_until_enough_trials_have_finished() -> None:
    drawn = []
    for _ in range(2):
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=LogGP(seed=3, n_startup=4))
        study.optimize(edit, n_trials=6)
        drawn.append([trial.params for trial in study.trials])
    assert drawn[0] == drawn[1]
    assert len({trial["place"] for trial in drawn[0][:4]}) == 4


def test_no_drift_at_all_is_as_good_as_very_little() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=LogGP(seed=0, n_startup=2))
    study.optimize(lambda trial: (trial.suggest_float("strength", 0.0, 1.0), 0.0), n_trials=4)
    assert len(study.trials) == 4


def test_what_failed_is_not_asked_for_again() -> None:
    def failing(trial: optuna.Trial) -> tuple[float, float]:
        refusals, drift = edit(trial)
        if trial.params["strength"] > 0.9:
            raise ValueError("too strong")
        return refusals, drift

    study = optuna.create_study(directions=["minimize", "minimize"], sampler=LogGP(seed=0, n_startup=4))
    study.optimize(failing, n_trials=24, catch=(ValueError,))
    assert sum(trial.state.name == "FAIL" for trial in study.trials) < 8


def test_trials_that_are_asked_for_together_differ() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=LogGP(seed=0, n_startup=4))
    study.optimize(edit, n_trials=6)
    space = study.trials[0].distributions
    together = [study.ask(space).params for _ in range(3)]
    assert all(a != b for i, a in enumerate(together) for b in together[:i])


def test_a_long_study_is_drawn_by_tpe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_gp, "MOST", 11)
    monkeypatch.setattr(optuna.samplers.GPSampler, "sample_relative", lambda *_: {"strength": 0.5, "place": 0.5})
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=LogGP(seed=0))
    study.optimize(edit, n_trials=20)
    assert [trial.number for trial in study.trials if trial.params["place"] == 0.5] == [8, 9, 10, 11]


def test_edits_that_do_little_are_not_looked_for() -> None:
    """Drift falls by orders of magnitude towards no edit at all, which the front of both objectives would follow."""

    def steep(trial: optuna.Trial) -> tuple[float, float]:
        strength, place = trial.suggest_float("strength", 0.0, 1.0), trial.suggest_float("place", 0.0, 1.0)
        return 1.0 - strength, 10.0 ** (5.0 * (strength - 1.0) + (place - 0.3) ** 2)

    study = optuna.create_study(directions=["minimize", "minimize"], sampler=LogGP(seed=0, within=0.35))
    study.optimize(steep, n_trials=20)
    drawn = study.trials[8:]
    assert sum(trial.values[0] <= 0.4 for trial in drawn) > 0.7 * len(drawn)


def test_the_studys_own_constraints_are_kept() -> None:
    def bounded(trial: optuna.Trial) -> tuple[float, float]:
        refusals, drift = edit(trial)
        if trial.number == 9:
            raise ValueError("one that fails has none of them")
        trial.set_constraint("strength", trial.params["strength"] - 0.8)
        return refusals, drift

    study = optuna.create_study(directions=["minimize", "minimize"], sampler=LogGP(seed=0))
    study.optimize(bounded, n_trials=18, catch=(ValueError,))
    assert sum(trial.params["strength"] <= 0.8 for trial in study.trials[8:]) > 7


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.5, 0.0), (0.0, -math.log(99)), (1.0, math.log(99)), (0.2, -math.log(4))]
)
def test_log_odds(rate: float, expected: float) -> None:
    assert log_odds(rate) == pytest.approx(expected)
