"""What suggests a study's trials: which sampler, seeded how, and TPE's change of manner in a long study."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import GPSampler, TPESampler

from saber.config import StudyConfig
from saber.study import sampler
from saber.study.sampler import JOINT_TRIALS, LengtheningTPE, make_sampler

STUDY = StudyConfig(name="x", sampler="tpe")
SPACE = {key: FloatDistribution(0.0, 1.0) for key in "ab"}


def tried(of: optuna.samplers.BaseSampler, n: int) -> optuna.Study:
    """A study of so many trials with two keys and two objectives."""
    study = optuna.create_study(directions=["minimize"] * 2, sampler=of)
    for _ in range(n):
        trial = study.ask(SPACE)
        study.tell(trial, [trial.params["a"] + trial.params["b"], 1.0 - trial.params["a"]])
    return study


def params(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def test_a_long_study_begins_as_a_short_one_and_ends_as_a_joint_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "JOINT_TRIALS", 30)
    long = tried(make_sampler(STUDY, 0, 31, 1), 40)
    plain, joint = tried(TPESampler(seed=0), 40), tried(TPESampler(seed=0, multivariate=True), 40)
    assert params(long)[:30] == params(plain)[:30]
    assert params(long)[30:] != params(plain)[30:]
    assert len({str(params(one)[15]) for one in (plain, joint)}) == 2  # past the random ones, the manners differ
    assert len(long.ask().relative_params) == 2
    assert len(tried(make_sampler(STUDY, 0, 30, 1), 31).ask().relative_params) == 0


@pytest.mark.parametrize(("n_trials", "kind"), [(JOINT_TRIALS, TPESampler), (JOINT_TRIALS + 1, LengtheningTPE)])
def test_only_a_long_study_changes_its_manner(n_trials: int, kind: type) -> None:
    assert type(make_sampler(STUDY, 0, n_trials, 1)) is kind


@pytest.mark.parametrize("n_trials", [60, JOINT_TRIALS + 1])
def test_draws_depend_on_the_seed_and_on_trials_begun_alone(n_trials: int) -> None:
    first, same, other, later = (
        params(tried(make_sampler(replace(STUDY, seed=seed), n_begun, n_trials, 1), 3))
        for seed, n_begun in ((0, 0), (0, 0), (1, 0), (0, 3))
    )
    assert first == same
    assert first not in (other, later)


def test_a_forked_worker_draws_for_itself() -> None:
    one = make_sampler(STUDY, 0, JOINT_TRIALS + 1, 1)
    one.reseed_rng()
    assert params(tried(one, 3)) != params(tried(make_sampler(STUDY, 0, JOINT_TRIALS + 1, 1), 3))


def test_auto_takes_a_gaussian_process_where_it_asks_fast_enough() -> None:
    auto = replace(STUDY, sampler="auto")
    assert type(make_sampler(auto, 0, 200, 8)) is GPSampler
    assert type(make_sampler(auto, 0, 201, 8)) is TPESampler
    assert type(make_sampler(auto, 0, 200, 9)) is TPESampler
