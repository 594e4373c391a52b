"""Export a point: bake, write, scan, reload, measure again, and only then move it into place with its card."""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna

from saber.config import Config
from saber.keys import with_values
from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.loading import load_as
from saber.lm.editing.apply import bake, edits_by_writer
from saber.lm.editing.checkpoint import release, save_checkpoint, scan_checkpoint
from saber.lm.editing.lora import merge_adapter, save_adapter
from saber.lm.editing.plan_file import load_plan, save_plan
from saber.lm.evaluation.measurement import measure
from saber.metrics import DRIFT, shown_in
from saber.publish.card.model_card import render_card
from saber.redaction import public, public_values
from saber.study.context import Workbench, in_full_dtype
from saber.study.front.frontier import frontier_of
from saber.study.front.points import find_point, read_points
from saber.study.store.records import metrics_to_json, plan_path
from saber.types import EditPlan, Frontier, FrontierPoint, Metrics, UserError

PACKAGES = ("saber-sweep", "torch", "transformers", "optuna", "safetensors")
OURS = "saber.json"  # the file by which a folder is known as one of our exports


@dataclasses.dataclass(frozen=True)
class Exported:
    """Where a point was written, and what its checkpoint measured when read back from there."""

    folder: Path
    tune: Metrics
    report: Metrics


def export_point(study: optuna.Study, config: Config, bench: Workbench) -> Exported:
    """Export ``config.point``; the workbench's model is baked in place and is no base afterwards.

    Raises:
        UserError: no such point, the target is not ours to replace, or the written checkpoint does not measure as its
            trial did.
    """
    find_point(read_points(study, config), config.point)  # a mistaken name is told before anything is scored
    frontier = frontier_of(study, config, bench)
    point = find_point(frontier.points, config.point)
    target = Path(config.export.dir).expanduser() / f"{frontier.study}_{point.name}"
    if target.exists() and not (target / OURS).exists():
        raise UserError(f"expected {target} to be free or one of our exports, found something else: move it away")
    plan = load_plan(plan_path(bench.folder, point.plan_digest), point.plan_digest)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        writers = edited_writers(bench, plan)
        trial = with_values(config, point.params)
        exported = _write_and_measure(in_full_dtype(bench), trial, plan, partial)
        _check_same(point, exported.tune, config)
        save_plan(plan, partial / "plan.safetensors")
        about = _about(bench, trial, frontier, point, plan, exported)
        (partial / OURS).write_text(json.dumps(about, indent=2, default=str) + "\n")
        comparison = _comparison(frontier, point)
        card = render_card(
            frontier,
            dataclasses.replace(point, report=exported.report),
            comparison,
            exported.tune,
            writers,
            about["versions"],
            about["plan"],
        )
        (partial / "README.md").write_text(card)
        _move(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported(target, exported.tune, exported.report)


def edited_writers(bench: Workbench, plan: EditPlan) -> list[Mapping[str, Any]]:
    """Every writer the plan edits: its module, layer, kind, rank, and what stands behind it."""
    return [
        {
            "name": writer.name,
            "layer": writer.layer,
            "kind": writer.kind,
            "rank": int(edit.u.shape[1]),
            "behind_norm": writer.gain is not None,
        }
        for writer, (edit,) in edits_by_writer(bench.adapter, [plan])
        if edit is not None
    ]


def _write_and_measure(bench: Workbench, trial: Config, plan: EditPlan, folder: Path) -> Exported:
    """Bake and write, then trust nothing but what is read back."""
    tune_reference, report_reference = bench.reference, bench.report_reference()
    profile = bench.config.evaluate
    again = _write_adapter(bench, plan, folder) if trial.export.format == "adapter" else _write(bench, plan, folder)
    layers = plan.edited_layers
    tune = measure(again, bench.splits["tune"], profile, reference=tune_reference, edited_layers=layers)
    report = measure(again, bench.splits["report"], profile, reference=report_reference, edited_layers=layers)
    return Exported(folder, tune, report)


def _write(bench: Workbench, plan: EditPlan, folder: Path) -> Adapter:
    """Write the whole checkpoint and load it again, the base's weights given back first: there may be room for one."""
    bake(bench.adapter, plan)
    save_checkpoint(bench.adapter, folder)
    scan_checkpoint(folder, bench.adapter)
    release(bench.adapter)
    return load_as(bench.config.model, str(folder), dtype=bench.adapter.dtype)


def _write_adapter(bench: Workbench, plan: EditPlan, folder: Path) -> Adapter:
    """Write the adapter and add what is read back to the base."""
    save_adapter(bench.adapter, plan, folder, public(str(bench.adapter.model.name_or_path)))
    bench.adapter.tokenizer.save_pretrained(folder)
    merge_adapter(bench.adapter, folder)
    return bench.adapter


def _check_same(point: FrontierPoint, exported: Metrics, config: Config) -> None:
    """Refuse a checkpoint that does not measure as its trial did, beyond what rounding explains."""
    if exported.protocol != point.tune.protocol:
        raise UserError(f"expected protocol {point.tune.protocol} of the trial, found {exported.protocol}")
    drift = abs(exported[DRIFT] - point.tune[DRIFT])
    if drift > config.export.tolerance_kld:
        raise UserError(
            f"the exported checkpoint's KLD is {exported[DRIFT]:.4f}, its trial's {point.tune[DRIFT]:.4f}:"
            " it is not the same model; nothing was exported"
        )
    for name in shown_in("rechecked"):
        if name in exported.estimates and abs(exported[name] - point.tune[name]) > config.export.tolerance_rate:
            raise UserError(
                f"the exported checkpoint's {name} is {exported[name]:.3f}, its trial's {point.tune[name]:.3f}: it is"
                " not the same model; nothing was exported"
            )


def _comparison(frontier: Frontier, point: FrontierPoint) -> FrontierPoint | None:
    """Another marked point of the same sweep, the balanced one first."""
    for wanted in ("balanced", "aggressive", "conservative"):
        other = frontier.marked(wanted)
        if other is not None and other.number != point.number:
            return other
    return None


def _about(
    bench: Workbench, trial: Config, frontier: Frontier, point: FrontierPoint, plan: EditPlan, exported: Exported
) -> dict[str, Any]:
    """Everything needed to know what this checkpoint is and to make it again; not where its database is."""
    versions = {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}
    about = {
        "study": frontier.study,
        "point": point.name,
        "trial": point.number,
        "params": dict(point.params),
        "plan": {
            "format": trial.export.format,
            "digest": plan.digest,
            "rounds": len(plan.rounds),
            "directions": [len(one.directions) for one in plan.rounds],
            "edited_layers": list(plan.edited_layers),
            "row_norm": plan.row_norm,
            "unit_rows": plan.unit_rows,
        },
        "protocol": {"tune": exported.tune.protocol, "report": exported.report.protocol},
        "metrics": {"tune": metrics_to_json(exported.tune), "report": metrics_to_json(exported.report)},
        "base": {"path": trial.model.path, "revision": trial.model.revision, "weights": bench.model_digest},
        "data": {name: split.digest for name, split in bench.splits.items()},
        "versions": versions,
        "config": dataclasses.asdict(with_values(trial, {"study.storage": None})),
    }
    return {key: public_values(value) for key, value in about.items()}


def _move(partial: Path, target: Path) -> None:
    """Put the finished folder in place, over an earlier export of the same point."""
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
