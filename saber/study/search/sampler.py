"""The sampler of a study: what suggests each trial's values."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from typing import Any

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler

from saber.config import StudyConfig
from saber.study.search.bounded_tpe import BoundedTPE
from saber.types import UserError

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
