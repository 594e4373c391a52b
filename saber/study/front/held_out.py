"""What is scored after the search: front points on the held-out report split, once."""

from __future__ import annotations

from collections.abc import Sequence

from saber.lm.editing.plan_file import load_plan
from saber.lm.evaluation.measurement import measure_trials
from saber.lm.evaluation.protocol import protocol_digest
from saber.study.context import Workbench
from saber.study.store.records import plan_path
from saber.study.store.score_cache import Kept, measured_from_json, measured_to_json
from saber.types import EditPlan, FrontierPoint, Metrics, Outcomes

BASE = "base"


def report_scores(bench: Workbench, front: Sequence[FrontierPoint]) -> dict[str, tuple[Metrics, Outcomes]]:
    """Metrics and outcomes on the report split by plan digest and of `BASE`; what was scored is not scored again."""
    split, profile = bench.splits["report"], bench.config.evaluate
    store = bench.folder / "report_scores.json"
    kept = Kept(store, f"{bench.model_digest} {protocol_digest(bench.adapter, split, profile)}")
    wanted = [point.plan_digest for point in front if point.plan_digest not in kept.rows]
    missing = list(dict.fromkeys(wanted)) + ([BASE] if BASE not in kept.rows else [])
    if missing:
        reference = bench.report_reference()
        size = bench.config.launch.batch
        for start in range(0, len(missing), size):
            digests = missing[start : start + size]
            plans = [EditPlan(()) if d == BASE else load_plan(plan_path(bench.folder, d), d) for d in digests]
            measured = measure_trials(bench.adapter, split, profile, reference, plans)
            kept.add({d: measured_to_json(trial_measured) for d, trial_measured in zip(digests, measured, strict=True)})
    return {digest: measured_from_json(row) for digest, row in kept.rows.items()}
