"""The front so far: what a study's feasible trials have reached, and whether a trial is beaten by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial

from saber.config import StudyConfig
from saber.metrics import DRIFT, REFUSAL, RESIDUAL
from saber.scoring.pareto import is_beaten, pareto_mask
from saber.study.search.constraints import estimate_of, violations
from saber.types import Metrics, Objective

SCORED = (REFUSAL, DRIFT, RESIDUAL)  # what every trial's score is made of


@dataclass(frozen=True)
class FrontSoFar:
    """The objectives of trials that none of a study's beats, each turned so that less is better.

    A value, which an evaluator elsewhere can be handed; it may lack what was reached since.
    """

    costs: tuple[tuple[float, ...], ...] = ()

    def is_out_of_reach(self, metrics: Metrics, study: StudyConfig, base: Metrics | None) -> bool:
        """Whether a trial cannot be of the front: beaten, not feasible, or not a number in something.

        What beats it now does so at the end too, as no finished trial leaves a study.
        """
        if not all(math.isfinite(estimate.value) for estimate in metrics.estimates.values()):
            return True
        if any(value > 0 for value in violations(metrics, study.constraints, base).values()):
            return True
        values = [estimate_of(metrics, objective.metric).value for objective in study.objectives]
        return is_beaten(_costs(values, study.objectives), self.costs)


def front_so_far(trials: Sequence[FrozenTrial], objectives: Sequence[Objective]) -> FrontSoFar:
    """Of complete trials, the objectives of the feasible ones that no other of these beats."""
    costs = [_costs(trial.values, objectives) for trial in trials if trial.user_attrs["feasible"]]
    if not costs:
        return FrontSoFar()
    kept = pareto_mask(np.array(costs), ["minimize"] * len(objectives))
    return FrontSoFar(tuple(dict.fromkeys(cost for cost, on_front in zip(costs, kept, strict=True) if on_front)))


def out_of_reach(objectives: Sequence[Objective]) -> FrontSoFar:
    """A front that beats everything: only what the search asks for is measured."""
    return FrontSoFar(((-math.inf,) * len(objectives),))


def sought_metrics(study: StudyConfig) -> frozenset[str]:
    """What the search reads of every trial: objectives, constraints, and what scores are made of."""
    return frozenset([*SCORED, *(o.metric for o in study.objectives), *(c.metric for c in study.constraints)])


def _costs(values: Sequence[float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(
        value if objective.direction == "minimize" else -value
        for value, objective in zip(values, objectives, strict=True)
    )
