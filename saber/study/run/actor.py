"""What runs in a worker's process; nothing heavy is imported here, so that it costs what its evaluator costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saber.config import Config
    from saber.study.run.workers import Evaluator
    from saber.study.search.front_so_far import FrontSoFar
    from saber.study.trial_result import TrialResult


class Actor:
    """A worker that makes its evaluator once and evaluates with it."""

    def __init__(self, make: Callable[[], Evaluator]) -> None:
        self.make = make
        self.evaluator: Evaluator | None = None

    def ready(self) -> None:
        """Make the evaluator."""
        self.evaluator = self.evaluator or self.make()

    def evaluate(self, configs: Sequence[Config], front: FrontSoFar) -> list[TrialResult]:
        """Evaluate a batch; one that died and came back makes its evaluator first."""
        self.ready()
        assert self.evaluator is not None
        return self.evaluator(configs, front)
