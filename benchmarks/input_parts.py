"""What each part of reading inputs is worth, with nothing searched but the strength: the least that leaves 2% refused.

    python benchmarks/input_parts.py OUT --organisms sweeps/_organism/seed{0,1,2} sweeps/_organism/qwen3-seed0

The preset of the default sweep, no refusal spared (one direction of depth .95, attention's writers at .3 of MLPs'
strength, counted from .2 of the way between the means, lambda 1, mu .1, 128 probes), and the preset with one thing
changed. Each goes up a ladder of strengths, a tenth more each time, to the first that leaves at most 2% refused on
tune, which is measured on report. Resumable: a finished organism is OUT/NAME.json. Prints each variant's held-out drift
as times the preset's on the same organisms, with intervals over organisms.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from control import Control
from findings_numbers import DEFAULT, FEW
from findings_text import interval, share, times
from front_cells import Cell, HeldOut, Setting, configured, held_out, numbers, open_bench
from front_input_controls import ATTENTION, CENTRE, INPUT_CONTROLS, RIDGE, WEIGHT
from front_intervals import over_organisms, ratio
from front_score import KLDS

from saber.atomic_files import write_atomically
from saber.keys import with_values
from saber.lm.evaluation.measurement import measure_trials
from saber.publish.text.markdown import table
from saber.study.context import Workbench, study_folder
from saber.study.run.evaluator import plan_trials
from saber.study.run.session import calm_optuna
from saber.study.store.storage import one_driver

TOKENS = 32
DEPTH, PROBES = "edit.kernel.direction_position", "data.n_probe"
LADDER = tuple(round(0.5 * 1.1**step, 3) for step in range(26))  # to 5.42
OWN_DIRECTIONS: Mapping[str, Any] = {  # one of each layer, acting there
    "edit.kernel.direction": "per_layer",
    "edit.n_directions": 1,
    "edit.global_top_k": 99,
    "edit.depth_band.low": 0.0,
    "edit.depth_band.high": 1.0,
}
PART = "the preset"
VARIANTS: Mapping[str, Control] = {
    PART: Control(),
    "outputs read, the same directions": Control(fixed={"edit.reader": "least_drift"}),
    "read with the direction itself": Control(fixed={"edit.reader": "direction"}),
    "attention at full strength": INPUT_CONTROLS["attention-full"],
    "attention at .5": Control(fixed={ATTENTION: 0.5}),
    "MLPs at .3, attention at 1": Control(fixed={"edit.component_scale.mlp": 0.3, ATTENTION: 1.0}),
    "counted from answered prompts": INPUT_CONTROLS["from-answered"],
    "counted from .4": Control(fixed={CENTRE: 0.4}),
    "no centre": INPUT_CONTROLS["no-centre"],
    "no positions of replies left alone": INPUT_CONTROLS["no-replies"],
    "capability not left alone": INPUT_CONTROLS["no-capability"],
    "mu by leave-one-out": INPUT_CONTROLS["left-out-ridge"],
    "lambda .1": Control(fixed={WEIGHT: 0.1}),
    "lambda 4": Control(fixed={WEIGHT: 4.0}),
    "lambda 16": Control(fixed={WEIGHT: 16.0}),
    "mu .01": Control(fixed={RIDGE: 0.01}),
    "mu 1": Control(fixed={RIDGE: 1.0}),
    "24 probes": INPUT_CONTROLS["probes-24"],
    "60 probes": Control(fixed={PROBES: 60}),
    "the difference in means": Control(fixed={"edit.extraction": "dim"}),
    "two directions": Control(fixed={"edit.global_top_k": 2}),
    "four directions": Control(fixed={"edit.global_top_k": 4}),
    "depth .5": Control(fixed={DEPTH: 0.5}),
    "depth .75": Control(fixed={DEPTH: 0.75}),
    "every layer's own direction": Control(fixed=OWN_DIRECTIONS),
    "harmless mean purified away": Control(fixed={"edit.purify": "harmless_mean"}),
    "strength by entanglement": Control(
        fixed={"edit.strength": "blended", "edit.alpha_entangled": 0.5, "edit.entanglement_threshold": 1.0}
    ),
    "two rounds": Control(fixed={"edit.max_iterations": 2, "edit.stable_cosine": 1.0}),
    "inputs of MLPs only": INPUT_CONTROLS["mlp-only"],
    "inputs of attention only": INPUT_CONTROLS["attention-only"],
}
Point = dict[str, Any]


def least_strength(bench: Workbench, side: HeldOut, control: Control) -> Point | None:
    """The first strength that leaves few refused on tune: its numbers there and on report; ``None`` if none does."""
    if bench.inputs is not None:
        bench.inputs.regressions.clear()  # remembered by what is configured, not by what a control replaces
    for strength in LADDER:
        config = with_values(bench.config, {PROBES: 128, **control.fixed, "edit.alpha_base": strength})
        with control.patch(0):
            (planned,) = plan_trials(bench, [config], config.evaluate.batch_size)
        plans = [planned.compiled]
        (tune,) = measure_trials(bench.adapter, bench.splits["tune"], config.evaluate, bench.reference, plans)
        if tune.metrics["refusal_rate"] <= FEW:
            (report,) = measure_trials(bench.adapter, side.split, config.evaluate, side.reference, plans)
            return {"strength": strength, "tune": numbers(tune.metrics), "report": numbers(report.metrics)}
    return None


def run(organism: Path, out: Path) -> dict[str, Point | None]:
    """Every variant on one organism."""
    config = configured(Cell(DEFAULT, organism, 0), Setting(out, 1, TOKENS))
    with one_driver(study_folder(config)):
        bench = open_bench(config)
        side = held_out(bench)
        return {name: least_strength(bench, side, control) for name, control in VARIANTS.items()}


def shown(rows: Mapping[str, Mapping[str, Point | None]]) -> str:
    """Each variant's held-out refusals and drift at that strength, drift as times the preset's."""
    lines = []
    for name in VARIANTS:
        points = {(organism, 0): point for organism, row in rows.items() if (point := row[name]) is not None}
        reaching = f"{len(points)} of {len(rows)}"
        if not points:
            lines.append([name, reaching, *[""] * (2 + len(KLDS))])
            continue
        compared = [times(ratio(drifts(rows, name, kld), drifts(rows, PART, kld))) for kld in KLDS]
        strengths = [point["strength"] for point in points.values()]
        refused = over_organisms({cell: point["report"]["refusal_rate"] for cell, point in points.items()})
        span = f"{min(strengths):.2f} to {max(strengths):.2f}"
        lines.append([name, reaching, span, interval(refused, share), *compared])
    klds = (f"{kld} KLD" for kld in KLDS)
    return table(("the preset, but", "organisms that reach 2%", "strength", "refusals", *klds), lines)


def drifts(rows: Mapping[str, Mapping[str, Point | None]], name: str, kld: str) -> dict[tuple[str, int], float]:
    """A variant's held-out KLD by organism, where it has a point."""
    points = {organism: row[name] for organism, row in rows.items()}
    return {(organism, 0): point["report"][f"kld_{kld}"] for organism, point in points.items() if point is not None}


def main() -> None:
    """Run the organisms that are not finished, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--organisms", nargs="+", type=Path, required=True)
    options = parser.parse_args()
    calm_optuna()
    rows = {}
    for organism in options.organisms:
        path = options.out / f"{organism.name}.json"
        if not path.exists():
            options.out.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(run(organism, options.out), indent=1) + "\n")
        rows[organism.name] = json.loads(path.read_text(encoding="utf-8"))
    print(shown(rows))


if __name__ == "__main__":
    main()
