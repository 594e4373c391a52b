"""Evaluate T trials together: plan them, measure them, and say of each what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from saber.config import Config
from saber.lm.measurement import Measured, measure_trials
from saber.lm.planning import PlannedEdit, PlanRequest, make_plans
from saber.study.workbench import Workbench
from saber.types import Metrics


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of one trial: a plan with its measurements, or the reason why there is none.

    ``base`` are the unedited model's metrics, where a constraint refers to them.
    """

    planned: PlannedEdit | None
    measured: Measured | None
    seconds: float
    failure: str | None = None
    base: Metrics | None = None


def evaluate(bench: Workbench, configs: Sequence[Config]) -> list[Outcome]:
    """Evaluate the trials in one batch; where one breaks the batch, each alone, so that only it fails."""
    started = time.monotonic()
    try:
        planned = plan_trials(bench, configs)
        measured = measure_trials(
            bench.adapter,
            bench.splits["tune"],
            bench.config.evaluate,
            bench.reference,
            [one.compiled for one in planned],
        )
    except (ValueError, LinAlgError) as error:
        if len(configs) == 1:
            return [Outcome(None, None, time.monotonic() - started, failure=str(error).splitlines()[0])]
        return [evaluate(bench, [config])[0] for config in configs]
    seconds = (time.monotonic() - started) / len(configs)
    base = bench.base_tune.metrics if any(one.of == "base" for one in bench.config.study.constraints) else None
    return [
        replace(_checked(replace(p, compiled=p.compiled.bare()), m, seconds), base=base)
        for p, m in zip(planned, measured, strict=True)
    ]


def plan_trials(bench: Workbench, configs: Sequence[Config]) -> list[PlannedEdit]:
    """The plans of some trials, from the shared activations."""
    requests = [PlanRequest(c.edit, c.data.n_probe, c.data.n_capability) for c in configs]
    return make_plans(
        bench.adapter,
        bench.probes,
        bench.activations,
        requests,
        batch_size=bench.config.evaluate.batch_size,
    )


def _checked(planned: PlannedEdit, measured: Measured, seconds: float) -> Outcome:
    """A trial with a number that is not finite has failed, and says which."""
    bad = [name for name, one in measured.metrics.estimates.items() if not math.isfinite(one.value)]
    if bad:
        return Outcome(planned, None, seconds, failure=f"{', '.join(sorted(bad))} not finite")
    return Outcome(planned, measured, seconds)
