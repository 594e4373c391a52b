"""What came of one trial: its plan, its measurements, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass

from saber.lm.evaluation.measurement import Measured
from saber.lm.planning import PlannedEdit
from saber.types import Metrics


@dataclass(frozen=True, eq=False)
class TrialResult:
    """What came of one trial: a plan with its measurements, or the reason why there is none.

    ``base`` are the unedited model's metrics, where a constraint refers to them.
    """

    planned: PlannedEdit | None
    measured: Measured | None
    seconds: float
    failure: str | None = None
    base: Metrics | None = None
