"""TPE with a bounded memory, so that asking takes as long in a study of thousands of trials as in one of hundreds.

Optuna's TPE fits one density to the best trials, at most 25, and another to all others, anew for every key it draws.
The second changes little with a sample in the place of all; so once there are `MOST` trials in memory, it is thinned.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from saber.scoring.pareto import Goal, pareto_mask

MOST = 400  # trials in memory: until so many, it is TPE as it is
KEPT = 250  # of them, when there are more
BEST = 100  # of those kept, by front: TPE takes its 25 from these


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
        new = [one for one in finished if one.number not in self._seen]
        self._seen |= {one.number for one in new}
        known = recalled.get_trials(deepcopy=False)
        if len(known) + len(new) > MOST:
            recalled = self._forget_all(study)
            new = thinned([*known, *new], _goals(study), self._rng)
        recalled.add_trials([_bare(one) for one in new])
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
    values = np.array([one.values for one in trials], dtype=float)
    left = np.array([i for i in shuffled if all(value <= 0 for value in trials[i].constraints.values())], dtype=int)
    best: list[int] = []
    while len(left) and len(best) < BEST:
        on_front = pareto_mask(values[left], goals)
        best += left[on_front].tolist()
        left = left[~on_front]
    kept = list(dict.fromkeys([*best[:BEST], *shuffled]))[:KEPT]
    return [trials[i] for i in sorted(kept)]


def _goals(study: Study) -> list[Goal]:
    return ["minimize" if one == optuna.study.StudyDirection.MINIMIZE else "maximize" for one in study.directions]


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """What TPE looks at of a trial."""
    return create_trial(
        values=trial.values, params=trial.params, distributions=trial.distributions, constraints=trial.constraints
    )
