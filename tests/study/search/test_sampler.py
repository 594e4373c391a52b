"""What suggests a study's trials: which sampler, seeded how, and what TPE remembers of a long study."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from saber.config import StudyConfig
from saber.scoring.pareto import pareto_mask
from saber.study.search import samplers as bounded_tpe
from saber.study.search.samplers import BEST, KEPT, MOST, BoundedTPE, make_sampler, thinned
from saber.types import UserError

STUDY = StudyConfig(name="x", sampler="tpe")
SPACE: dict[str, BaseDistribution] = {key: FloatDistribution(0.0, 1.0) for key in "ab"}


def tried(of: optuna.samplers.BaseSampler, n: int) -> optuna.Study:
    """A study of so many trials with two keys and two objectives."""
    study = optuna.create_study(directions=["minimize"] * 2, sampler=of)
    for _ in range(n):
        trial = study.ask(SPACE)
        study.tell(trial, [trial.params["a"] + trial.params["b"], 1.0 - trial.params["a"]])
    return study


def params(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def trial_at(x: float, y: float, broken: float = 0.0) -> FrozenTrial:
    """A finished trial with these objectives."""
    return create_trial(values=[x, y], constraints={"kept": broken})


def test_until_its_memory_is_full_it_is_tpe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_tpe, "MOST", 30)
    bounded, plain = params(tried(BoundedTPE(0), 40)), params(tried(TPESampler(seed=0), 40))
    assert bounded[:31] == plain[:31]
    monkeypatch.setattr(bounded_tpe, "KEPT", 20)
    assert params(tried(BoundedTPE(0), 40))[31:] != plain[31:]


def test_a_long_study_is_remembered_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_tpe, "MOST", 30)
    monkeypatch.setattr(bounded_tpe, "KEPT", 20)
    seen: list[int] = []
    sample = TPESampler.sample_independent

    def watched(self: TPESampler, study: optuna.Study, *rest: Any) -> Any:
        seen.append(len(study.trials))
        return sample(self, study, *rest)

    monkeypatch.setattr(TPESampler, "sample_independent", watched)
    tried(BoundedTPE(0), 60)
    assert seen[::2] == [*range(31), *range(20, 31), *range(20, 31), *range(20, 27)]


def test_trials_under_way_and_failed_ones_are_not_learnt_from() -> None:
    study = tried(BoundedTPE(0), 3)
    study.ask(SPACE)
    study.tell(study.ask(SPACE), state=TrialState.FAIL)
    study.ask(SPACE)
    assert isinstance(study.sampler, BoundedTPE)
    assert study.sampler._recalled is not None
    assert params(study.sampler._recalled) == params(study)[:3]


def test_it_learns_from_constraints() -> None:
    study = optuna.create_study(directions=["minimize"] * 2, sampler=BoundedTPE(0))
    trial = study.ask(SPACE)
    trial.set_constraint("kept", 0.5)
    study.tell(trial, [0.0, 0.0])
    study.ask(SPACE)
    assert isinstance(study.sampler, BoundedTPE)
    assert study.sampler._recalled is not None
    assert study.sampler._recalled.trials[0].constraints == {"kept": 0.5}


@settings(max_examples=20)
@given(st.integers(), st.integers(1, 60), st.floats(0.0, 1.0))
def test_what_is_kept_is_the_best_and_a_sample_in_order(seed: int, n_levels: int, share_broken: float) -> None:
    rng = random.Random(seed)
    rows = [
        (rng.randrange(n_levels), rng.randrange(n_levels), rng.random() < share_broken)
        for _ in range(MOST + rng.randrange(1, 60))
    ]
    trials = [trial_at(x, y, float(broken)) for x, y, broken in rows]
    kept = thinned(trials, ["minimize", "maximize"], random.Random(seed))
    places = [next(i for i, known in enumerate(trials) if known is trial) for trial in kept]
    assert places == sorted(set(places))
    assert len(kept) == KEPT
    feasible = [i for i, (_, _, broken) in enumerate(rows) if not broken]
    if feasible:
        on_front = pareto_mask(np.array([trials[i].values for i in feasible], dtype=float), ["minimize", "maximize"])
        front = {i for i, on in zip(feasible, on_front, strict=True) if on}
        assert len(front & set(places)) >= min(len(front), BEST)
    assert kept == thinned(trials, ["minimize", "maximize"], random.Random(seed))


def test_draws_depend_on_the_seed_and_on_trials_begun_alone() -> None:
    first, same, other, later = (
        params(tried(make_sampler(replace(STUDY, seed=seed), n_begun, 60, 1), 3))
        for seed, n_begun in ((0, 0), (0, 0), (1, 0), (0, 3))
    )
    assert first == same
    assert first not in (other, later)


def test_a_forked_worker_draws_for_itself() -> None:
    sampler = make_sampler(STUDY, 0, 60, 1)
    sampler.reseed_rng()
    assert params(tried(sampler, 3)) != params(tried(make_sampler(STUDY, 0, 60, 1), 3))


def test_auto_takes_a_gaussian_process_where_it_asks_fast_enough() -> None:
    auto = replace(STUDY, sampler="auto")
    assert type(make_sampler(auto, 0, 200, 8)) is GPSampler
    assert type(make_sampler(auto, 0, 201, 8)) is BoundedTPE
    assert type(make_sampler(auto, 0, 200, 9)) is BoundedTPE


def test_a_sampler_of_another_package_is_named_by_its_dotted_path() -> None:
    study = StudyConfig(name="x", sampler="optuna.samplers.NSGAIISampler", sampler_arguments={"population_size": 7})
    first, again = (params(tried(make_sampler(study, 3, 20, 1), 5)) for _ in range(2))
    assert isinstance(make_sampler(study, 0, 20, 1), optuna.samplers.NSGAIISampler)
    assert first == again  # seeded
    assert first != params(tried(make_sampler(study, 4, 20, 1), 5))


@pytest.mark.parametrize(
    ("path", "arguments", "said"),
    [
        ("optuna.samplers.NoSuchSampler", {}, "expected an Optuna sampler at optuna.samplers.NoSuchSampler"),
        ("no.such.module.Sampler", {}, "expected an Optuna sampler at no.such.module.Sampler"),
        ("collections.OrderedDict", {}, "expected a subclass of optuna.samplers.BaseSampler"),
        ("optuna.samplers.RandomSampler", {"wrong": 1}, "study.sampler_arguments: optuna.samplers.RandomSampler"),
    ],
)
def test_what_is_no_sampler_is_said_in_one_line(path: str, arguments: dict[str, Any], said: str) -> None:
    study = StudyConfig(name="x", sampler=path, sampler_arguments=arguments)
    with pytest.raises(UserError, match=said):
        make_sampler(study, 0, 20, 1)


def test_a_word_that_is_neither_is_refused_by_the_configuration() -> None:
    with pytest.raises(ValueError, match="sampler"):
        StudyConfig(name="x", sampler="best")
