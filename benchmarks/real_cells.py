"""One cell of ``real_model.py``: a method with a search seed, searched on tune; points chosen there measured on report.

What is measured is the same for all methods: the prompts of the prepared folder, so many new tokens, its markers, fp32.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from front_cells import numbers_of, search
from front_methods import PEERS
from real_methods import METHODS, SWEEP
from saber_worker import composed, only

from saber.atomic_files import write_atomically
from saber.config import Config
from saber.keys import with_values
from saber.lm.editing.plan_file import load_plan
from saber.lm.evaluation.measurement import Measured, measure_trials
from saber.lm.evaluation.reference import Reference
from saber.study.context import Workbench, open_workbench, study_folder
from saber.study.run.calibration import STRENGTHS
from saber.study.run.session import calm_optuna
from saber.study.search.space import parse_space
from saber.study.store.records import complete_trials, finished_trials, plan_path
from saber.study.store.storage import one_driver
from saber.types import EditPlan, Metrics, Split, digest_json

KINDS = ("harmful", "harmless", "capability")  # what a search is told of; borderline prompts are held out
LEVELS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
BUDGET = 0.015  # nats of response KLD, for whoever wants refusals gone more surely than the least drift that does it
NUMBERS = (
    "refusal_rate",
    "kld_response",
    "kld_first",
    "kld_prompt",
    "over_refusal_rate",
    "capability",
    "harmless_refusal_rate",
    "degenerate_rate",
)
Point = Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """What is the same for all cells: the prepared folder, where cells go, sizes, further words, Heretic's Python."""

    folder: Path
    out: Path
    n_trials: int
    tokens: int
    words: tuple[str, ...] = ()
    heretic: Path | None = None


@dataclass(frozen=True)
class Cell:
    """A method with a search seed."""

    method: str
    seed: int

    def path(self, setting: Setting) -> Path:
        """Where its numbers are kept when it is done."""
        return setting.out / "cells" / f"{self.method}-{self.seed}.json"


def configured(cell: Cell, setting: Setting) -> Config:
    """The configuration of a cell's study; a peer's has the default's edit, which it does not use.

    What finds a scale of its own first has so many trials fewer.
    """
    words = [
        *METHODS.get(cell.method, (f"+sweep={SWEEP}",)),
        f"hydra.searchpath=[file://{(setting.folder / 'conf').resolve()}]",
        "data=real",
        f"model.path={(setting.folder / 'model').resolve()}",
        "model.dtype=float32",
        "model.device=cpu",
        f"study.dir={(setting.out / 'studies').resolve()}",
        f"study.seed={cell.seed}",
        "launch.threads=1",
        "launch.trials_per_batch=1",
        f"evaluate.max_new_tokens={setting.tokens}",
        "evaluate.labeller=markers",
        f"evaluate.marker_list={(setting.folder / 'markers.yaml').resolve()}",
        *setting.words,
    ]
    config = with_probes_there(composed(words))
    n_for_scale = len(STRENGTHS) if config.study.find_scale and cell.method not in PEERS else 0
    config = with_values(config, {"study.n_trials": setting.n_trials - n_for_scale})
    return with_values(config, {"study.name": f"{cell.method}-{cell.seed}-{fingerprint(cell, config)}"})


def with_probes_there(config: Config) -> Config:
    """The configuration with no more probes asked for, searched or in a known point, than the folder has."""
    most = min(config.data.probe.harmful, config.data.probe.harmless)
    space, data = dict(config.space), dict(config.space.get("data", {}))
    if "n_probe" in data:
        space["data"] = data | {"n_probe": {**data["n_probe"], "high": min(data["n_probe"]["high"], most)}}
    known = [
        {key: min(value, most) if key == "data.n_probe" else value for key, value in point.items()}
        for point in config.study.enqueue
    ]
    return with_values(
        config,
        {
            "space": space,
            "study.enqueue": tuple(known),
            "data.n_probe": min(config.data.n_probe or most, most),
            "data.n_capability": config.data.n_capability or config.data.probe.capability,
        },
    )


def fingerprint(cell: Cell, config: Config) -> str:
    """What a cell's numbers depend on, but for code: after a change of that begin another folder."""
    plain, study = asdict(config), asdict(config.study)
    is_peer = cell.method in PEERS
    parts = ["evaluate", "data", *([] if is_peer else ["edit", "space"])]
    asked = ["n_trials", *([] if is_peer else ["sampler", "enqueue", "objectives", "find_scale"])]
    return digest_json({name: plain[name] for name in parts} | {name: study[name] for name in asked})[:8]


def open_bench(config: Config) -> Workbench:
    """The workbench, its tune split without borderline prompts."""
    bench = open_workbench(config, parse_space(config))
    return bench if not bench.splits["tune"].of("borderline") else only(bench, KINDS, {})


def numbers(metrics: Metrics) -> dict[str, float]:
    """The metrics of a point that the page shows."""
    return {name: metrics[name] for name in NUMBERS if name in metrics.estimates}


def least_drift(trials: Sequence[Point], level: float, kld: str = "kld_response") -> Point | None:
    """Of the trials that refuse at most ``level`` on tune and whose drift is known, the one of least drift there."""
    measured = [trial for trial in trials if kld in trial["tune"]]
    feasible = [trial for trial in measured if trial["tune"]["refusal_rate"] <= level + 1e-9]
    return min(feasible, key=lambda trial: trial["tune"][kld], default=None)


def surest(trials: Sequence[Point], budget: float = BUDGET) -> Point | None:
    """Of the trials of fewest refusals on tune within a budget of response KLD, the one that drifts most there.

    Of edits that leave none it is as a rule the strongest, which leaves the fewest of other prompts too.
    """
    within = [trial for trial in trials if trial["tune"].get("kld_response", budget + 1.0) <= budget]
    return min(within, key=lambda trial: (trial["tune"]["refusal_rate"], -trial["tune"]["kld_response"]), default=None)


def chosen(trials: Sequence[Point]) -> list[int]:
    """The trials that are measured on report: of least response drift at each level of refusals, and the surest."""
    points = [*(least_drift(trials, level) for level in LEVELS), surest(trials)]
    return sorted({int(point["number"]) for point in points if point is not None})


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The report split and the base's side of it."""

    split: Split
    reference: Reference

    def measured(self, bench: Workbench, plan: EditPlan) -> Measured:
        """A plan on the report split."""
        return measure_trials(bench.adapter, self.split, bench.config.evaluate, self.reference, [plan])[0]


def held_out(bench: Workbench) -> HeldOut:
    """The report split, with its borderline prompts."""
    return HeldOut(bench.splits["report"], bench.report_reference())


def run_cell(cell: Cell, setting: Setting, say: Callable[[str], None]) -> None:
    """Search with a method of our own, measure what was chosen, and keep it all as one JSON file."""
    config = configured(cell, setting)
    calm_optuna()
    with one_driver(study_folder(config)):
        started = time.perf_counter()
        bench = open_bench(config)
        say(f"{cell.method}, seed {cell.seed}: ready after {time.perf_counter() - started:.0f} s")
        study = search(bench, config)
        done = complete_trials(study)
        trials = [{"number": trial.number, "params": trial.params, "tune": numbers_of(trial)} for trial in done]
        plans: dict[Any, str] = {trial.number: str(trial.user_attrs["plan"]) for trial in done}
        side = held_out(bench)
        report = {
            str(number): numbers(
                side.measured(bench, load_plan(plan_path(bench.folder, plans[number]), plans[number])).metrics
            )
            for number in chosen(trials)
        }
        row = described(cell, setting, bench, side)
    plans = {number: plans[int(number)] for number in report}
    keep(cell, setting, row | counted(study, trials, report) | {"plans": plans})


def counted(study: Any, trials: Sequence[Point], report: Mapping[str, Any]) -> dict[str, Any]:
    """Trials, their time and the points on report, as a cell keeps them."""
    finished = finished_trials(study)
    seconds = study.user_attrs["search_s"]
    return {"trials": trials, "report": report, "n_trials": len(finished), "search_s": seconds}


def described(cell: Cell, setting: Setting, bench: Workbench, side: HeldOut) -> dict[str, Any]:
    """The cell, its settings, its prompts and the base."""
    tune, report = bench.splits["tune"], side.split
    return {
        "method": cell.method,
        "seed": cell.seed,
        "tokens": setting.tokens,
        "words": list(setting.words),
        "model": bench.model_digest,
        "base": {
            "tune": numbers(bench.base_tune.metrics),
            "report": numbers(side.measured(bench, EditPlan(())).metrics),
        },
        "n_prompts": {
            split.name: {kind: len(split.of(kind)) for kind in (*KINDS, "borderline")}  # type: ignore[arg-type]
            for split in (tune, report)
        },
    }


def keep(cell: Cell, setting: Setting, row: Mapping[str, Any]) -> None:
    """Write a finished cell."""
    cell.path(setting).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(cell.path(setting), json.dumps(row, indent=1) + "\n")
