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
from saber.console import announce
from saber.lm.evaluation.base_logits import GIGABYTE
from saber.lm.inference.generation.greedy import limits_of
from saber.lm.inference.oom import Room
from saber.lm.inference.positions import rows_to_read
from saber.study.context import Workbench, few_prompts
from saber.study.run.evaluator import evaluate, plan_trials
from saber.study.search.space import Knob, suggest
from saber.types import count_kinds

TRIALS_AT_ONCE = (1, 2, 4, 8)
FEW = 4  # prompts of each kind for a first look at how long a trial takes


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
    measured = calibrations(bench, knobs)
    probes = [*bench.probes.harmful, *bench.probes.harmless, *bench.probes.capability, *bench.probes.borderline]
    replies, profile = bench.reference.responses, bench.config.evaluate
    return Forecast(
        n_trials,
        tokens_read=sum(map(len, bench.reference.rows)) + sum(len(replies[i].tokens) for i in bench.reference.drifting),
        tokens_probed=sum(map(len, rows_to_read(bench.adapter, probes))),
        tokens_said=len(replies) * limits_of(bench.adapter, profile.max_new_tokens, profile.max_thinking_tokens).most,
        calibrations=tuple(measured),
    )


def fastest(calibrations: Sequence[Calibration]) -> Calibration:
    """The calibration with the fewest seconds a trial."""
    return min(calibrations, key=lambda calibration: calibration.seconds)


def calibrations(bench: Workbench, knobs: Sequence[Knob], *, until_slower: bool = False) -> list[Calibration]:
    """Measure batches of 1, 2, 4 and 8 trials drawn at random, up to what fits into memory, or to one no faster.

    Where all of that would take longer than ``launch.calibration_s`` it is done on fewer prompts, and what is left at
    the end of that time is not begun. The first trial pays for what is made once, so it is not counted.
    """
    budget = bench.config.launch.calibration_s
    announce(f"calibrating: at most about {duration(budget)} (launch.calibration_s)")
    drawn = _draw(bench, knobs)
    few = few_prompts(bench, FEW)
    evaluate(few, drawn[:1])
    seconds = _seconds(few, drawn[:1], None, _share(few, bench))
    n_prompts = _prompts_within(bench, budget / (seconds * len(drawn) * len(TRIALS_AT_ONCE)))
    if n_prompts is None:
        return _calibrate_all(bench, drawn, time.monotonic() + budget, 1.0, until_slower)
    few = few_prompts(bench, n_prompts)
    share = _share(few, bench)
    announce(f"a trial takes about {duration(seconds)}: calibrating on {share:.0%} of its prompts")
    return _calibrate_all(few, drawn, time.monotonic() + budget, share, until_slower)


def _draw(bench: Workbench, knobs: Sequence[Knob]) -> list[Config]:
    study = optuna.create_study(
        directions=[objective.direction for objective in bench.config.study.objectives],
        sampler=optuna.samplers.RandomSampler(seed=bench.config.study.seed),
    )
    return [suggest(study.ask(), knobs, bench.config) for _ in range(max(TRIALS_AT_ONCE))]


def _share(few: Workbench, bench: Workbench) -> float:
    """The share of a trial's prompts that a workbench of few has."""
    return len(few.splits["tune"].prompts) / len(bench.splits["tune"].prompts)


def _prompts_within(bench: Workbench, share: float) -> int | None:
    """How many prompts of each kind are that share of all, at least `FEW`; ``None`` where it is all."""
    most = max(count_kinds(bench.splits["tune"].prompts).values())
    return None if share >= 1 or most <= FEW else max(FEW, int(share * most))


def _calibrate_all(
    bench: Workbench, drawn: Sequence[Config], until: float, share: float, until_slower: bool
) -> list[Calibration]:
    """Each number of trials at once that is begun in time; the first is, whatever it takes."""
    calibrations: list[Calibration] = []
    for n in TRIALS_AT_ONCE:
        room = Room(n, bench.config.evaluate.batch_size, announce)
        calibrations.append(_calibrate(bench, drawn, room, share))
        slower = until_slower and fastest(calibrations) is not calibrations[-1]
        if room.trials < n or slower:  # more at once would not fit either
            break
        if n != TRIALS_AT_ONCE[-1] and time.monotonic() + calibrations[-1].seconds * share * len(drawn) > until:
            announce(f"launch.trials_per_batch={2 * n} and more are not tried: launch.calibration_s is over")
            break
    return calibrations


def _calibrate(bench: Workbench, drawn: Sequence[Config], room: Room, share: float) -> Calibration:
    """All drawn trials, as many at a time as there is room for: every calibration measures the same work.

    Each begins without a past, as a study does; that of the one before would know every reply.
    """
    bench = replace(bench, reference=bench.reference.emptied())
    seconds = _seconds(bench, drawn, room, share)
    announce(f"launch.trials_per_batch={room.trials}: {seconds:.2f} s a trial")
    return Calibration(room.trials, seconds, peak_bytes(bench.adapter.device))


def _seconds(bench: Workbench, configs: Sequence[Config], room: Room | None, share: float) -> float:
    """Seconds a trial on all prompts, from trials on a ``share`` of them: planning takes as long on any."""
    started = time.monotonic()
    if share < 1:
        plan_trials(bench, configs)
    planned = time.monotonic()
    evaluate(bench, configs, room=room)
    planning, both = planned - started, time.monotonic() - planned
    return (planning + max(0.0, both - planning) / share) / len(configs)


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
        f"{forecast.n_trials} trials; each reads {forecast.tokens_read} tokens, says at most {forecast.tokens_said}"
        " (fewer where an earlier one beats it),"
        f" and probes up to {forecast.tokens_probed} again for every round after the first"
    ]
    for calibration in forecast.calibrations:
        lines.append(
            f"launch.trials_per_batch={calibration.trials_per_batch}: {calibration.seconds:.2f} s a trial,"
            f" {duration(forecast.seconds(calibration))} in all,"
            f" {calibration.peak_bytes / GIGABYTE:.2f} GB at most so far"
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
