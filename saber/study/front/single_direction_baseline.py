"""The null curve: the plain single direction (Arditi et al. 2024) at rising strength: what selectivity must beat."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from saber.config import Config
from saber.keys import with_values
from saber.lm.evaluation.measurement import Measured, measure_trials
from saber.lm.evaluation.protocol import protocol_digest
from saber.metrics import PROTECTED_REFUSAL
from saber.study.context import Workbench
from saber.study.run.evaluator import evaluate, plan_trials
from saber.study.store.score_cache import Kept, measured_from_json, measured_to_json
from saber.types import CurvePoint, SplitName, digest_json

STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 2.5, 3.0)
Measure = Callable[[Workbench, Sequence[Config]], list[Measured | None]]

PLAIN = {
    "edit.contrast": "refusal",
    "edit.extraction": "dim",
    "edit.n_directions": 1,
    "edit.winsorise": 1.0,
    "edit.purify": "none",
    "edit.fdr_folds": 1,
    "edit.layer_strategy": "all",
    "edit.depth_band.low": 0.2,
    "edit.depth_band.high": 1.0,
    "edit.global_top_k": 1,
    "edit.strength": "uniform",
    "edit.scope": "all",
    "edit.acting_band.low": 0.0,
    "edit.acting_band.high": 1.0,
    "edit.component_scale.attention": 1.0,
    "edit.component_scale.mlp": 1.0,
    "edit.component_scale.per_layer": 1.0,
    "edit.reader": "direction",
    "edit.norm_preserve": "none",
    "edit.max_iterations": 1,
}


def is_selective(config: Config) -> bool:
    """Whether the study asks for protected refusals to be kept, so that the curve is needed on held-out prompts too."""
    objectives, constraints = config.study.objectives, config.study.constraints
    return PROTECTED_REFUSAL in [
        *(objective.metric for objective in objectives),
        *(constraint.metric for constraint in constraints),
    ]


def null_curve(bench: Workbench) -> tuple[CurvePoint, ...]:
    """The plain single direction at rising strength on the tune split, and on report for a selective study."""
    tune = _kept_curve(bench, "tune", "null_curve.json", _on_tune)
    held_out = is_selective(bench.config)
    report = _kept_curve(bench, "report", "null_curve_report.json", _on_report) if held_out else None
    points: list[CurvePoint] = []
    for name in (str(strength) for strength in STRENGTHS):
        if name not in tune.rows:
            continue
        metrics, outcomes = measured_from_json(tune.rows[name])
        point = CurvePoint(float(name), metrics, outcomes=outcomes)
        if report is not None and name in report.rows:
            there, outcomes_there = measured_from_json(report.rows[name])
            point = dataclasses.replace(point, report=there, report_outcomes=outcomes_there)
        points.append(point)
    return tuple(points)


def _kept_curve(bench: Workbench, split: SplitName, file: str, measure: Measure) -> Kept:
    """Every strength measured on one split, what is missing now; a strength that fails is left out."""
    protocol = protocol_digest(bench.adapter, bench.splits[split], bench.config.evaluate)
    probes = f"{bench.config.data.n_probe} {bench.config.data.n_capability}"
    kept = Kept(bench.folder / file, f"{bench.model_digest} {protocol} {probes} {digest_json(PLAIN)}")
    missing = [strength for strength in STRENGTHS if str(strength) not in kept.rows]
    size = bench.config.launch.batch
    for start in range(0, len(missing), size):
        strengths = missing[start : start + size]
        configs = [
            with_values(bench.config, {**PLAIN, "edit.strength_unit": 1.0, "edit.alpha_base": a}) for a in strengths
        ]
        measured = zip(strengths, measure(bench, configs), strict=True)
        kept.add({str(a): measured_to_json(result) for a, result in measured if result is not None})
    return kept


def _on_tune(bench: Workbench, configs: Sequence[Config]) -> list[Measured | None]:
    return [result.measured for result in evaluate(bench, configs)]


def _on_report(bench: Workbench, configs: Sequence[Config]) -> list[Measured | None]:
    plans = [planned_edit.plan for planned_edit in plan_trials(bench, configs)]
    split, profile = bench.splits["report"], bench.config.evaluate
    return [*measure_trials(bench.adapter, split, profile, bench.report_reference(), plans)]
