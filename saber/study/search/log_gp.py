"""A Gaussian process that sees log odds of refusal and logarithms of drift, and looks where refusals are few.

Optuna's process takes objectives as they are told. Between edits that drift by .3 nats and by .03, those by .003 and by
.001 are all alike to it, and the end of the front where a study should spend its trials stays as it was drawn. Of the
logarithm alone it would go on to edits that do nothing, whose drift is least of all: so it is told, as a constraint of
the search, that edits which leave more than a share of refusals are not wanted. Nor does it see trials that failed, and
asks for the same again: here they count as the worst there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from saber.study.search.samplers import BoundedTPE

LEAST_DRIFT = 1e-5  # nats; what drifts by less is as good as the base
LEAST_RATE = 0.01  # of refusals; between none of a hundred and one of them nothing is to be told
FEW_REFUSALS = "few refusals"
MOST = 200  # finished trials; beyond, the process would ask too slowly to be worth it


class LogGP(BaseSampler):
    """Optuna's Gaussian process over a copy of a study of two objectives, refusals and drift.

    It looks for edits that leave at most a share ``within`` refused. Before ``n_startup`` trials have finished, and
    beyond `MOST`, keys are drawn by TPE, the first ones at random.
    """

    def __init__(self, seed: int, within: float = 0.35, n_startup: int = 8) -> None:
        self._gp = GPSampler(seed=seed, n_startup_trials=n_startup)
        self._tpe = BoundedTPE(seed)
        self._within, self._n_startup = within, n_startup
        self._space = IntersectionSearchSpace()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Take in what has finished since the last trial began."""
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """The keys that every trial has, drawn together."""
        known = self._space.calculate(study)
        return {name: distribution for name, distribution in known.items() if not distribution.single()}

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Draw them where there are enough finished trials and not too many, of two objectives to be made least."""
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        fits = list(study.directions) == [StudyDirection.MINIMIZE] * 2 and self._n_startup <= len(finished) <= MOST
        if not search_space or not fits:
            return {}
        seen = optuna.create_study(directions=study.directions, sampler=self._gp)
        seen.add_trials(self._seen(study, finished, search_space))
        return seen.ask(search_space).params

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one key."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Forget the seed."""
        self._gp.reseed_rng()
        self._tpe.reseed_rng()

    def _seen(
        self, study: Study, finished: Sequence[FrozenTrial], search_space: dict[str, BaseDistribution]
    ) -> list[FrozenTrial]:
        """What the process is shown: finished trials, failed ones that nobody repeated, and those under way."""
        values = [(log_odds(trial.values[0]), math.log(max(trial.values[1], LEAST_DRIFT))) for trial in finished]
        bounds = [self._bounds(trial, value) for trial, value in zip(finished, values, strict=True)]
        worst = tuple(max(column) for column in zip(*values, strict=True))
        violated = {name: max(bound[name] for bound in bounds) for name in bounds[0]}
        others = study.get_trials(deepcopy=False, states=(TrialState.FAIL, TrialState.RUNNING))
        whole = [other for other in others if other.params.keys() >= search_space.keys()]
        known = [trial.params for trial in finished]
        return [
            *(_copy(*shown) for shown in zip(finished, values, bounds, strict=True)),
            *(_copy(t, worst, violated) for t in whole if t.state == TrialState.FAIL and t.params not in known),
            *(_copy(trial) for trial in whole if trial.state == TrialState.RUNNING),
        ]

    def _bounds(self, trial: FrozenTrial, values: Sequence[float]) -> dict[str, float]:
        """The study's own constraints, and that refusals are to be few."""
        return {FEW_REFUSALS: values[0] - log_odds(self._within), **trial.constraints}


def _copy(
    trial: FrozenTrial, values: Sequence[float] | None = None, constraints: dict[str, float] | None = None
) -> FrozenTrial:
    """A trial as if it had been told these values, or as one that is under way."""
    return create_trial(
        state=TrialState.RUNNING if values is None else TrialState.COMPLETE,
        values=values,
        params=trial.params,
        distributions=trial.distributions,
        constraints=constraints,
    )


def log_odds(rate: float) -> float:
    """ln(p / (1 - p)) of a rate, no further out than of one in a hundred."""
    p = min(max(rate, LEAST_RATE), 1 - LEAST_RATE)
    return math.log(p / (1 - p))
