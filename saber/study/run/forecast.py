"""What a sweep will cost, from a few trials that are measured and thrown away: ``study.dry_run=true``."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import optuna
import torch

from saber.config import Config
from saber.lm.evaluation.base_logits import GIGABYTE
from saber.lm.inference.batches import tokenise
from saber.lm.inference.oom import Room
from saber.study.context import Workbench, announce
from saber.study.run.evaluator import evaluate
from saber.study.search.space import Knob, suggest

TRIALS_AT_ONCE = (1, 2, 4, 8)


@dataclass(frozen=True)
class Calibration:
    """T trials measured in one batch: seconds a trial, and the most memory the process has held so far in bytes."""

    trials_per_batch: int
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What ``n_trials`` will take: the tokens of a trial, and the calibrations that give its time and memory.

    ``tokens_read`` are prompt and base-response tokens of one trial's measurement, and ``tokens_probed`` those of one
    round of refinement; ``tokens_said`` is the most that it can decode.
    """

    n_trials: int
    tokens_read: int
    tokens_probed: int
    tokens_said: int
    calibrations: tuple[Calibration, ...]

    def seconds(self, calibration: Calibration) -> float:
        """Seconds for all trials at one calibration's rate."""
        return self.n_trials * calibration.seconds


def forecast(bench: Workbench, knobs: Sequence[Knob], n_trials: int) -> Forecast:
    """Calibrate, and count what a trial reads and says."""
    found = calibrations(bench, knobs)
    probes = [*bench.probes.harmful, *bench.probes.harmless, *bench.probes.capability, *bench.probes.borderline]
    replies = bench.reference.responses
    return Forecast(
        n_trials,
        tokens_read=sum(map(len, bench.reference.rows)) + sum(len(replies[i].tokens) for i in bench.reference.drifting),
        tokens_probed=sum(map(len, tokenise(bench.adapter, probes))),
        tokens_said=len(replies) * bench.config.evaluate.max_new_tokens,
        calibrations=tuple(found),
    )


def fastest(calibrations: Sequence[Calibration]) -> Calibration:
    """The calibration with the fewest seconds a trial."""
    return min(calibrations, key=lambda one: one.seconds)


def calibrations(bench: Workbench, knobs: Sequence[Knob], *, until_slower: bool = False) -> list[Calibration]:
    """Measure batches of 1, 2, 4 and 8 trials drawn at random, up to what fits into memory, or to one no faster.

    The first trial is run once before, and that time not counted: it pays for what is made once.
    """
    study = optuna.create_study(
        directions=[one.direction for one in bench.config.study.objectives],
        sampler=optuna.samplers.RandomSampler(seed=bench.config.study.seed),
    )
    drawn = [suggest(study.ask(), knobs, bench.config) for _ in range(max(TRIALS_AT_ONCE))]
    evaluate(bench, drawn[:1])
    found: list[Calibration] = []
    for n in TRIALS_AT_ONCE:
        room = Room(n, bench.config.evaluate.batch_size, announce)
        found.append(_calibrate(bench, drawn, room))
        if room.trials < n or (until_slower and fastest(found) is not found[-1]):  # more at once would not fit either
            break
    return found


def _calibrate(bench: Workbench, drawn: Sequence[Config], room: Room) -> Calibration:
    """All drawn trials, as many at a time as there is room for: every calibration measures the same work.

    Each begins without a past, as a study does; that of the one before would know every reply.
    """
    if bench.reference.past is not None:
        bench = replace(bench, reference=replace(bench.reference, past=bench.reference.past.emptied()))
    started = time.monotonic()
    evaluate(bench, drawn, room)
    return Calibration(room.trials, (time.monotonic() - started) / len(drawn), peak_bytes(bench.adapter.device))


def peak_bytes(device: torch.device) -> int:
    """The most memory held so far: of the accelerator where ``device`` is one, else of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def spoken(forecast: Forecast) -> list[str]:
    """The forecast in lines, the advice last."""
    best = fastest(forecast.calibrations)
    lines = [
        f"{forecast.n_trials} trials; each reads {forecast.tokens_read} tokens, says at most {forecast.tokens_said},"
        f" and probes up to {forecast.tokens_probed} again for every round after the first"
    ]
    for one in forecast.calibrations:
        lines.append(
            f"launch.trials_per_batch={one.trials_per_batch}: {one.seconds:.2f} s a trial,"
            f" {duration(forecast.seconds(one))} in all, {one.peak_bytes / GIGABYTE:.2f} GB at most so far"
        )
    lines.append(
        f"fastest here: launch.trials_per_batch={best.trials_per_batch}, {3600 / best.seconds:.0f} trials an hour;"
        " nothing was written to the study"
    )
    return lines


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
