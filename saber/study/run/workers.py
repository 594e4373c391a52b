"""Workers: what the driver hands batches of trials to, and what it gets their outcomes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from optuna.trial import Trial

from saber.config import Config
from saber.study.search.front_so_far import FrontSoFar
from saber.study.trial_result import TrialResult

Evaluator = Callable[[Sequence[Config], FrontSoFar], list[TrialResult]]


@dataclass(frozen=True, eq=False)
class Batch:
    """Trials that are evaluated together, each with its configuration, and the front when they were asked for."""

    trials: tuple[Trial, ...]
    configs: tuple[Config, ...]
    front: FrontSoFar


@dataclass(frozen=True, eq=False)
class Done:
    """A batch with the outcome of each of its trials."""

    batch: Batch
    outcomes: Sequence[TrialResult]


class Workers(Protocol):
    """One worker or many, all behind the same three questions."""

    def room(self, n_left: int) -> int:
        """How many of ``n_left`` trials the next batch should hold; 0 while nobody could take one."""

    def submit(self, batch: Batch) -> None:
        """Take a batch; this does not wait."""

    def wait(self) -> list[Done]:
        """Wait for one batch or more to be done; an interruption here loses only what was not told yet."""


class InProcess:
    """The one worker of ``launch=local``: this process, which evaluates while it waits."""

    def __init__(self, evaluator: Evaluator, trials_per_batch: int) -> None:
        self.evaluator, self.trials_per_batch = evaluator, trials_per_batch
        self.batch: Batch | None = None

    def room(self, n_left: int) -> int:
        """A whole batch, or what is left, when there is none yet."""
        return min(n_left, self.trials_per_batch) if self.batch is None else 0

    def submit(self, batch: Batch) -> None:
        """Keep the batch until it is waited for."""
        self.batch = batch

    def wait(self) -> list[Done]:
        """Evaluate the batch."""
        batch, self.batch = self.batch, None
        return [] if batch is None else [Done(batch, self.evaluator(batch.configs, batch.front))]
