"""What is scored after the search: front points on the held-out report split, once, and the null curve."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saber.config import with_values
from saber.files import write_atomically
from saber.lm.measurement import measure_trials
from saber.lm.plan_file import load_plan
from saber.lm.reference import protocol_digest
from saber.study.evaluator import evaluate
from saber.study.records import metrics_from_json, metrics_to_json, plan_path
from saber.study.workbench import Workbench
from saber.types import CurvePoint, EditPlan, FrontierPoint, Metrics

BASE = "base"
STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)

# The plain single direction (Arditi et al. 2024): the reference that any selective edit must lie off.
PLAIN = {
    "edit.extraction": "dim",
    "edit.n_directions": 1,
    "edit.purify": "none",
    "edit.fdr_folds": 1,
    "edit.layer_strategy": "all",
    "edit.depth_band.low": 0.2,
    "edit.depth_band.high": 1.0,
    "edit.global_top_k": 1,
    "edit.strength": "blended",
    "edit.entanglement_threshold": 1.0,
    "edit.scope": "all",
    "edit.component_scale.attention": 1.0,
    "edit.component_scale.mlp": 1.0,
    "edit.component_scale.per_layer": 1.0,
    "edit.norm_preserve": "none",
    "edit.max_iterations": 1,
}


def report_metrics(bench: Workbench, front: Sequence[FrontierPoint]) -> tuple[dict[str, Metrics], Metrics]:
    """Metrics on the report split by plan digest, and the base's; what was scored before is not scored again."""
    split, profile = bench.splits["report"], bench.config.evaluate
    store = bench.folder / "report_scores.json"
    kept = _Kept(store, f"{bench.model_digest} {protocol_digest(bench.adapter, split, profile)}")
    wanted = [point.plan_digest for point in front if point.plan_digest not in kept.rows]
    missing = list(dict.fromkeys(wanted)) + ([BASE] if BASE not in kept.rows else [])
    if missing:
        reference = bench.report_reference()
        size = bench.config.launch.trials_per_batch
        for start in range(0, len(missing), size):
            digests = missing[start : start + size]
            plans = [EditPlan(()) if d == BASE else load_plan(plan_path(bench.folder, d), d) for d in digests]
            measured = measure_trials(bench.adapter, split, profile, reference, plans)
            kept.add({d: metrics_to_json(one.metrics) for d, one in zip(digests, measured, strict=True)})
    found = {digest: metrics_from_json(row) for digest, row in kept.rows.items()}
    return found, found[BASE]


def null_curve(bench: Workbench) -> tuple[CurvePoint, ...]:
    """The plain single direction at rising strength, on the tune split."""
    split, profile = bench.splits["tune"], bench.config.evaluate
    protocol = protocol_digest(bench.adapter, split, profile)
    probes = f"{bench.config.data.n_probe} {bench.config.data.n_capability}"
    kept = _Kept(bench.folder / "null_curve.json", f"{bench.model_digest} {protocol} {probes}")
    missing = [strength for strength in STRENGTHS if str(strength) not in kept.rows]
    size = bench.config.launch.trials_per_batch
    for start in range(0, len(missing), size):
        strengths = missing[start : start + size]
        configs = [
            with_values(bench.config, {**PLAIN, "edit.alpha_base": a, "edit.alpha_entangled": a}) for a in strengths
        ]
        outcomes = evaluate(bench, configs)
        kept.add(
            {
                str(a): metrics_to_json(one.measured.metrics)
                for a, one in zip(strengths, outcomes, strict=True)
                if one.measured is not None
            }
        )
    return tuple(CurvePoint(a, metrics_from_json(kept.rows[str(a)])) for a in STRENGTHS if str(a) in kept.rows)


class _Kept:
    """A JSON file of rows that belong to one key; under another key it starts anew."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self.rows: dict[str, Any] = {}
        if path.exists():
            try:
                stored = json.loads(path.read_text())
                self.rows = stored["rows"] if stored["key"] == key else {}
            except (ValueError, KeyError, TypeError) as error:
                warnings.warn(f"{path.name} is damaged ({error}); it is scored again", stacklevel=2)

    def add(self, rows: dict[str, Any]) -> None:
        """Add rows and write the file atomically."""
        self.rows |= rows
        write_atomically(self.path, json.dumps({"key": self.key, "rows": self.rows}))
