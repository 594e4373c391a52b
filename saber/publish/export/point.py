"""Export a point: write it, read it back, measure it again, and only then move it into place with its card."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saber.config import Config
from saber.keys import with_values
from saber.lm.editing.apply import edits_by_writer
from saber.lm.editing.plan_file import load_plan, save_plan
from saber.lm.evaluation.measurement import measure
from saber.metrics import DRIFT, shown_in
from saber.publish.card.front_picture import PICTURE, front_picture
from saber.publish.card.metadata import card_metadata
from saber.publish.card.model_card import render_card
from saber.publish.export.forms import Base, base_of, check_form, read_back, write_form
from saber.publish.export.provenance import OURS, PLAN_FILE, about_export, base_digests, file_digests
from saber.study.context import Workbench, in_full_dtype
from saber.study.front.points import find_point, read_points
from saber.study.front.study_front import frontier_beside
from saber.study.store.patient_storage import StoredStudy
from saber.study.store.records import plan_path
from saber.types import EditPlan, Frontier, FrontierPoint, Metrics, UserError


@dataclasses.dataclass(frozen=True)
class Exported:
    """Where a point was written, and what its checkpoint measured when read back from there."""

    folder: Path
    tune: Metrics
    report: Metrics


def export_point(study: StoredStudy, bench: Workbench) -> Exported:
    """Export the point that is configured; the workbench's model is no base afterwards.

    Raises:
        UserError: no such point, no such form of it, the target is not ours to replace, or what was written does not
            measure as its trial did.
    """
    config = bench.config
    named = find_point(read_points(study, config), config.point)  # a mistaken name is told before anything is scored
    target = Path(config.export.dir).expanduser() / f"{study.study_name}_{named.name}"
    if target.exists() and not (target / OURS).exists():
        raise UserError(f"expected {target} to be free or one of our exports, found something else: move it away")
    plan = load_plan(plan_path(bench.folder, named.plan_digest), named.plan_digest)
    if not edited_writers(bench, plan):
        raise UserError(
            f"expected an edit to export at point {named.name}, found one that edits no writer: it is the base"
        )
    base = base_of(config, bench.adapter)
    check_form(config.export.format, bench.adapter, plan, base)
    frontier = frontier_beside(study, bench, named.number)
    point = find_point(frontier.points, config.point)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        exported = _write_all(bench, frontier, point, plan, base, partial)
        _move(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return dataclasses.replace(exported, folder=target)


def _write_all(
    bench: Workbench,
    frontier: Frontier,
    point: FrontierPoint,
    plan: EditPlan,
    base: Base,
    folder: Path,
) -> Exported:
    """The weights, measured again as they are read back; the plan, the card, and what says how all of it was made."""
    writers = edited_writers(bench, plan)
    trial = with_values(bench.config, point.params)
    exported = _write_and_measure(in_full_dtype(bench), trial, plan, base, folder)
    _check_same(point, exported.tune, bench.config)
    save_plan(plan, folder / PLAN_FILE)
    measured = {"tune": exported.tune, "report": exported.report}
    about = about_export(bench, trial, frontier, point, plan, measured, base)
    (folder / PICTURE).write_text(front_picture(frontier, point), encoding="utf-8")
    card = render_card(
        frontier,
        dataclasses.replace(point, report=exported.report),
        _comparison(frontier, point),
        exported.tune,
        writers,
        about["versions"],
        about["plan"],
        card_metadata(frontier, point, trial, exported.report, base.folder),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    base_files = {} if base.commit else base_digests(base.folder)
    about |= {"files": file_digests(folder), "base": {**about["base"], "files": base_files}}
    (folder / OURS).write_text(json.dumps(about, indent=2, default=str) + "\n", encoding="utf-8")
    return exported


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


def _write_and_measure(bench: Workbench, trial: Config, plan: EditPlan, base: Base, folder: Path) -> Exported:
    """Write, then trust nothing but what is read back."""
    tune_reference, report_reference = bench.reference, bench.report_reference()
    profile, form = bench.config.evaluate, trial.export.format
    write_form(form, bench.adapter, plan, base, trial, folder)
    again, left = read_back(form, bench.adapter, plan, bench.config, folder)
    how: dict[str, Any] = {"plan": left, "edited_layers": plan.edited_layers}
    tune = measure(again, bench.splits["tune"], profile, reference=tune_reference, **how)
    report = measure(again, bench.splits["report"], profile, reference=report_reference, **how)
    return Exported(folder, tune, report)


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
        if not {name} <= exported.estimates.keys() & point.tune.estimates.keys():  # a beaten trial lacks some
            continue
        if abs(exported[name] - point.tune[name]) > config.export.tolerance_rate:
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


def _move(partial: Path, target: Path) -> None:
    """Put the finished folder in place, over an earlier export of the same point."""
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
