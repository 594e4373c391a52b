"""The sampler of a study: what suggests each trial's values. Its own is TPE with a bounded memory."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from saber.config import StudyConfig
from saber.scoring.pareto import Goal, pareto_mask
from saber.types import UserError

GP_TRIALS = 200  # beyond this a Gaussian process asks too slowly to be worth it
GP_BATCH = 8
MOST = 400  # trials in memory: until so many, it is TPE as it is
KEPT = 250  # of them, when there are more
BEST = 100  # of those kept, by front: TPE takes its 25 from these


def make_sampler(study: StudyConfig, n_begun: int, n_trials: int, n_batch: int) -> BaseSampler:
    """The configured sampler, seeded by (seed, trials begun): a resumed one must not repeat its first draws.

    Trials begun, not finished: one that was killed before any trial finished has drawn all the same.
    """
    seed = (study.seed * 1_000_003 + n_begun) % 2**32  # NumPy takes no larger one
    kind = study.sampler
    if kind == "auto":
        kind = "gp" if n_trials <= GP_TRIALS and n_batch <= GP_BATCH else "tpe"
    if kind == "gp":
        return GPSampler(seed=seed)
    if kind == "tpe":
        return BoundedTPE(seed)
    if "." in kind:
        return _by_path(kind, study.sampler_arguments, seed)
    return NSGAIISampler(seed=seed) if kind == "nsga2" else RandomSampler(seed=seed)


def _by_path(path: str, arguments: Mapping[str, Any], seed: int) -> BaseSampler:
    """The sampler of a dotted path, with its arguments and, where it takes one and none is given, the seed.

    Raises:
        UserError: there is no such class, it is no sampler, or it does not take the arguments.
    """
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"study.sampler: expected an Optuna sampler at {path}, found: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, BaseSampler)):
        raise UserError(f"study.sampler: expected a subclass of optuna.samplers.BaseSampler at {path}, found {kind!r}")
    seeded = {"seed": seed} if "seed" in signature(kind).parameters else {}
    try:
        return kind(**{**seeded, **arguments})
    except TypeError as error:
        raise UserError(f"study.sampler_arguments: {path} does not take them: {error}") from error


class BoundedTPE(BaseSampler):
    """TPE, key by key, over a study's best trials and an even sample of the others."""

    def __init__(self, seed: int) -> None:
        self._tpe = TPESampler(seed=seed)
        self._rng = random.Random(seed)
        self._seen: set[int] = set()
        self._memory = InMemoryStorage()
        self._recalled: Study | None = None

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:  # noqa: ARG002
        """Take in what has finished since the last trial began, and forget some if there is too much."""
        recalled = self._recalled or self._forget_all(study)
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        new = [done for done in finished if done.number not in self._seen]
        self._seen |= {done.number for done in new}
        known = recalled.get_trials(deepcopy=False)
        if len(known) + len(new) > MOST:
            recalled = self._forget_all(study)
            new = thinned([*known, *new], _goals(study), self._rng)
        recalled.add_trials([_bare(done) for done in new])
        # Optuna reads a study's trials once for each Study that is asked: another one reads what was added.
        self._recalled = optuna.load_study(study_name=recalled.study_name, storage=self._memory)

    def _forget_all(self, study: Study) -> Study:
        self._memory = InMemoryStorage()
        return optuna.create_study(storage=self._memory, directions=study.directions)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """No keys are drawn together."""
        return {}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """No keys are drawn together."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one key."""
        return self._tpe.sample_independent(self._recalled or study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Forget the seed."""
        self._tpe.reseed_rng()


def thinned(trials: Sequence[FrozenTrial], goals: Sequence[Goal], rng: random.Random) -> list[FrozenTrial]:
    """`KEPT` trials in the order they were in: the `BEST` front by front, and an even sample of the others."""
    shuffled = rng.sample(range(len(trials)), len(trials))
    values = np.array([trial.values for trial in trials], dtype=float)
    left = np.array([i for i in shuffled if all(value <= 0 for value in trials[i].constraints.values())], dtype=int)
    best: list[int] = []
    while len(left) and len(best) < BEST:
        on_front = pareto_mask(values[left], goals)
        best += left[on_front].tolist()
        left = left[~on_front]
    kept = list(dict.fromkeys([*best[:BEST], *shuffled]))[:KEPT]
    return [trials[i] for i in sorted(kept)]


def _goals(study: Study) -> list[Goal]:
    return [
        "minimize" if direction == optuna.study.StudyDirection.MINIMIZE else "maximize"
        for direction in study.directions
    ]


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """What TPE looks at of a trial."""
    return create_trial(
        values=trial.values, params=trial.params, distributions=trial.distributions, constraints=trial.constraints
    )
