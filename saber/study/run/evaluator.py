"""Evaluate T trials together: plan them, measure them, and say of each what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from saber.config import Config
from saber.console import announce
from saber.lm.evaluation.measurement import Measured, measure_trials
from saber.lm.evaluation.sought import Sought, kinds_for
from saber.lm.inference.oom import OutOfMemory, Room, within_memory
from saber.lm.planning import PlannedEdit, PlanRequest, make_plans
from saber.study.context import Workbench
from saber.study.search.front_so_far import FrontSoFar, sought_metrics
from saber.study.trial_result import TrialResult
from saber.types import Metrics


def evaluate(
    bench: Workbench, configs: Sequence[Config], front: FrontSoFar | None = None, *, room: Room | None = None
) -> list[TrialResult]:
    """Evaluate the trials together, in as large batches as memory has ``room`` for.

    Of those that the study's ``front`` puts out of reach only what the search asks for is measured, unless
    ``evaluate.beaten_trials`` asks for all; without a front all is.
    A trial that breaks its batch fails alone, and so does one that does not fit into memory by itself.
    """
    room = room or Room(len(configs), bench.config.evaluate.batch_size, announce)
    before = room.trials, room.rows
    outcomes: list[TrialResult] = []
    while len(outcomes) < len(configs):
        batch = configs[len(outcomes) : len(outcomes) + room.trials]
        try:
            outcomes += within_memory(partial(_together, bench, batch, room.rows, front))
        except OutOfMemory as error:
            if not room.shrink(len(batch)):
                outcomes.append(TrialResult(None, None, 0.0, failure=f"one row of this trial alone: {error}"))
                room.trials, room.rows = before  # the others need not be slow because of it
    return outcomes


def _together(bench: Workbench, configs: Sequence[Config], rows: int, front: FrontSoFar | None) -> list[TrialResult]:
    """Evaluate some trials in one batch; where one breaks it, each alone, so that only it fails."""
    started = time.monotonic()
    study = bench.config.study
    base = bench.base_tune.metrics if any(constraint.of == "base" for constraint in study.constraints) else None
    try:
        planned = plan_trials(bench, configs, rows)
        measured = measure_trials(
            bench.adapter,
            bench.splits["tune"],
            replace(bench.config.evaluate, batch_size=rows),
            bench.reference,
            [planned_edit.compiled for planned_edit in planned],
            sought=None if front is None else _sought(bench, front, base),
        )
    except (ValueError, LinAlgError) as error:
        if len(configs) == 1:
            return [TrialResult(None, None, time.monotonic() - started, failure=str(error).splitlines()[0])]
        return [_together(bench, [config], rows, front)[0] for config in configs]
    seconds = (time.monotonic() - started) / len(configs)
    return [
        replace(_checked(replace(p, compiled=p.compiled.bare()), m, seconds), base=base)
        for p, m in zip(planned, measured, strict=True)
    ]


def _sought(bench: Workbench, front: FrontSoFar, base: Metrics | None) -> Sought:
    """What the search asks of every trial, and that one which may be of the front goes on.

    Both settings of ``evaluate.beaten_trials`` make the same passes in the same order, so that no digit differs.
    """
    study, profile = bench.config.study, bench.config.evaluate

    def goes_on(metrics: Metrics) -> bool:
        return profile.beaten_trials == "all" or not front.is_out_of_reach(metrics, study, base)

    return Sought(kinds_for(sought_metrics(study), bench.splits["tune"].prompts, profile), goes_on)


def plan_trials(bench: Workbench, configs: Sequence[Config], rows: int | None = None) -> list[PlannedEdit]:
    """The plans of some trials, from the shared activations; those read at one position are planned together."""
    plans: dict[int, PlannedEdit] = {}
    for position in dict.fromkeys(config.edit.position for config in configs):
        here = [i for i, config in enumerate(configs) if config.edit.position == position]
        adapter, probed = bench.read_at(position)
        planned = make_plans(
            adapter,
            bench.probes,
            probed.activations,
            [PlanRequest(configs[i].edit, configs[i].data.probe_sizes) for i in here],
            batch_size=rows or bench.config.evaluate.batch_size,
            inputs=probed.inputs,
            steps=bench.steps,
        )
        plans |= dict(zip(here, planned, strict=True))
    return [plans[i] for i in range(len(configs))]


def _checked(planned: PlannedEdit, measured: Measured, seconds: float) -> TrialResult:
    """A trial with a number that is not finite has failed, and says which."""
    bad = [name for name, estimate in measured.metrics.estimates.items() if not math.isfinite(estimate.value)]
    if bad:
        return TrialResult(planned, None, seconds, failure=f"{', '.join(sorted(bad))} not finite")
    return TrialResult(planned, measured, seconds)
