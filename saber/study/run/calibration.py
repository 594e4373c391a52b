"""Calibration: a study's unit of strength, by a coarse line search, and how many trials share a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import optuna
import torch

from saber.console import announce
from saber.keys import with_values
from saber.lm.evaluation.outcomes import rates
from saber.lm.inference.oom import Room
from saber.metrics import DRIFT, REFUSAL, UNPROTECTED_REFUSAL
from saber.study.context import Workbench, few_prompts
from saber.study.run.evaluator import evaluate
from saber.study.run.forecast import calibrations, fastest
from saber.study.search.front_so_far import out_of_reach
from saber.study.search.space import Knob, extremes
from saber.study.store.records import finished_trials
from saber.types import Estimate, UserError

SCALE = "scale"
UNIT = "edit.strength_unit"
STRENGTHS = (1.6, 0.8, 0.4, 0.2, 0.1, 0.05, 0.025)
AT_ONCE = 2  # the strongest two are often enough
N_PROMPTS = 24  # of each kind at most: a refusal rate to within 20 points is enough to place a range
LARGEST_KLD = 0.5  # nats at the strong end of the searched range; beyond it a model of any size talks nonsense
DIGITS = 2
REMEMBERED = "trials_per_batch"


@dataclass(frozen=True)
class Tried:
    """What one strength does to a few prompts: the share of harmful ones still refused, and the drift in nats."""

    strength: float
    refusal_rate: float
    kld: float


def with_scale(study: optuna.Study, bench: Workbench, knobs: Sequence[Knob]) -> Workbench:
    """The workbench in the study's unit of strength, found once before the first trial and then remembered.

    A study that was begun without one goes on without one.

    Raises:
        UserError: no strength that was tried leaves the model measurable.
    """
    if not _is_asked(bench, knobs):
        return bench
    if SCALE not in study.user_attrs and not finished_trials(study):
        study.set_user_attr(SCALE, find_scale(bench, knobs))
    return with_known_scale(study, bench)


def with_known_scale(study: optuna.Study, bench: Workbench) -> Workbench:
    """The workbench in the unit that the study has found, if it has."""
    known = study.user_attrs.get(SCALE)
    if known is None or bench.config.edit.strength_unit is not None:
        return bench
    return replace(bench, config=with_values(bench.config, {UNIT: known["unit"]}))


def find_scale(bench: Workbench, knobs: Sequence[Knob]) -> dict[str, object]:
    """Try `STRENGTHS` on a few prompts, the strongest first, with every other key as configured; say what was found.

    Raises:
        UserError: no strength that was tried leaves the model measurable.
    """
    announce(f"scale: trying up to {len(STRENGTHS)} strengths on at most {N_PROMPTS} prompts of each kind")
    few = few_prompts(bench, N_PROMPTS)
    base = _refused(rates(few.base_responses))
    failures: list[str | None] = []

    def measure(strengths: Sequence[float]) -> list[Tried]:
        configs = [with_values(bench.config, {UNIT: strength}) for strength in strengths]
        room = Room(len(configs), bench.config.evaluate.batch_size, announce)
        results = evaluate(few, configs, out_of_reach(bench.config.study.objectives), room=room)
        failures.extend(result.failure for result in results)
        return [
            Tried(strength, _refused(result.measured.metrics.estimates), result.measured.metrics[DRIFT])
            for strength, result in zip(strengths, results, strict=True)
            if result.measured is not None
        ]

    tried = weakening(measure, base)
    if not tried:
        raise UserError(f"scale: expected a strength that can be measured, found: {failures[-1]}")
    unit = unit_of(tried, base, reach=_reach(bench, knobs))
    for attempt in tried:
        announce(
            f"scale: strength {attempt.strength:g} leaves {attempt.refusal_rate:.0%} refused at {attempt.kld:.4f} nats"
        )
    announce(f"scale: one unit of strength is {unit:g} here ({UNIT}); unedited, {base:.0%} are refused")
    return {"unit": unit, "base_refusal_rate": base, "tried": [asdict(measured) for measured in tried]}


def weakening(measure: Callable[[Sequence[float]], list[Tried]], base_refusal_rate: float) -> list[Tried]:
    """What strengths do, some at once from the strongest on, until one does too little for any of them to be the unit.

    That is one that leaves more than half of the refusals and drifts by less than `LARGEST_KLD`: both are crossed above
    it. What is left out would not change `unit_of`.
    """
    tried: list[Tried] = []
    for begin in range(0, len(STRENGTHS), AT_ONCE):
        tried += measure(STRENGTHS[begin : begin + AT_ONCE])
        if tried and tried[-1].refusal_rate > base_refusal_rate / 2 and tried[-1].kld < LARGEST_KLD:
            break
    return tried


def _refused(estimates: Mapping[str, Estimate]) -> float:
    """The refusal rate that is to go: of prompts that nobody protects, where there are any."""
    return estimates[UNPROTECTED_REFUSAL if UNPROTECTED_REFUSAL in estimates else REFUSAL].value


def unit_of(tried: Sequence[Tried], base_refusal_rate: float, *, reach: float) -> float:
    """The least strength that takes away half of the refusals, by interpolation between those tried.

    It is lowered where ``reach`` times it, the strong end of the searched range, would drift by more than
    `LARGEST_KLD`. Where no strength takes away half, the unit is as large as that bound lets it be.
    """
    rising = sorted(tried, key=lambda measured: measured.strength)
    half = _crossing([(attempt.strength, base_refusal_rate / 2 - attempt.refusal_rate) for attempt in rising])
    bound = _crossing([(attempt.strength, attempt.kld - LARGEST_KLD) for attempt in rising]) / reach
    unit = min(half, bound)
    return float(f"{unit if math.isfinite(unit) else rising[-1].strength:.{DIGITS}g}")


def _crossing(points: Sequence[tuple[float, float]]) -> float:
    """The strength at which a value first is no longer negative, its logarithm interpolated; infinite where none is."""
    for i, (strength, value) in enumerate(points):
        if value >= 0:
            if i == 0:
                return strength
            before, below = points[i - 1]
            share = below / (below - value)
            return before * (strength / before) ** share
    return math.inf


def _is_asked(bench: Workbench, knobs: Sequence[Knob]) -> bool:
    given = bench.config.edit.strength_unit is not None or any(knob.key == UNIT for knob in knobs)
    return bench.config.study.find_scale and not given


def _reach(bench: Workbench, knobs: Sequence[Knob]) -> float:
    """How many times the strength that is tried the strongest of the study is."""
    configured = abs(bench.config.edit.alpha_base)
    strongest = max(abs(alpha) for alpha in extremes("edit.alpha_base", knobs, bench.config))
    return max(1.0, strongest / configured) if configured else 1.0


def with_batch(study: optuna.Study, bench: Workbench, knobs: Sequence[Knob]) -> Workbench:
    """The workbench with a number for ``launch.trials_per_batch=auto``; the study remembers it by machine.

    Sizes are doubled until the next one does not fit into memory or is no faster.
    """
    if not _is_auto(bench):
        return bench
    known, machine = dict(study.user_attrs.get(REMEMBERED, {})), machine_of(bench)
    if machine not in known:
        announce(f"launch.trials_per_batch=auto: measuring how many trials at once are fastest on {machine}")
        known[machine] = fastest(calibrations(bench, knobs, until_slower=True)).trials_per_batch
        study.set_user_attr(REMEMBERED, known)
        announce(f"launch.trials_per_batch={known[machine]} is fastest, and remembered")
    return _with(bench, known[machine])


def with_known_batch(study: optuna.Study, bench: Workbench) -> Workbench:
    """The same to look at a study or to export from it: nothing is measured or written.

    Where this machine never drove the study, the least that any machine found is taken, or one trial at a time.
    """
    if not _is_auto(bench):
        return bench
    known = dict(study.user_attrs.get(REMEMBERED, {}))
    return _with(bench, known.get(machine_of(bench), min(known.values(), default=1)))


def _is_auto(bench: Workbench) -> bool:
    return bench.config.launch.trials_per_batch == "auto"


def _with(bench: Workbench, n: int) -> Workbench:
    return replace(bench, config=with_values(bench.config, {"launch.trials_per_batch": n}))


def machine_of(bench: Workbench) -> str:
    """What decides the speed: the GPU, or the processor with its threads."""
    device = bench.adapter.device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    n = torch.get_num_threads()
    return f"{device.type}, {n} thread{'s' if n > 1 else ''}"
