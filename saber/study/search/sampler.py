"""The sampler of a study: what suggests each trial's values."""

from __future__ import annotations

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler

from saber.config import StudyConfig
from saber.study.search.bounded_tpe import BoundedTPE

GP_TRIALS = 200  # beyond this a Gaussian process asks too slowly to be worth it
GP_BATCH = 8


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
    return NSGAIISampler(seed=seed) if kind == "nsga2" else RandomSampler(seed=seed)
