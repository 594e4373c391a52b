"""The sampler of a study: what suggests each trial's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from saber.config import StudyConfig

GP_TRIALS = 200  # beyond this a Gaussian process asks too slowly to be worth it
GP_BATCH = 8
JOINT_TRIALS = 1000  # beyond this TPE draws all keys together: key by key takes over 50 ms, and sorts the trials anew


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
        return LengtheningTPE(seed) if n_trials > JOINT_TRIALS else TPESampler(seed=seed)
    return NSGAIISampler(seed=seed) if kind == "nsga2" else RandomSampler(seed=seed)


class LengtheningTPE(BaseSampler):
    """TPE that draws each key by itself for a study's first `JOINT_TRIALS` trials, and all keys together after them.

    All together takes a fifth of the time in a long study, but a young one searches worse by it (docs/speed.md).
    """

    def __init__(self, seed: int) -> None:
        self._young, self._long = TPESampler(seed=seed), TPESampler(seed=seed, multivariate=True)

    def _of(self, trial: FrozenTrial) -> TPESampler:
        return self._young if trial.number < JOINT_TRIALS else self._long

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The keys that are drawn together: none in a young study."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw those keys."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one key."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Tell the sampler in charge that a trial begins."""
        self._of(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Tell it that the trial ended."""
        self._of(trial).after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Forget the seed."""
        self._young.reseed_rng()
        self._long.reseed_rng()
