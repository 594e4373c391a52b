"""The cell of ``front.py`` in which ARA searches (``peers/ara.py``): its published keys, Heretic's sampler.

TPE on refusals and first-token KLD, with the same share of random trials as Heretic by default (60 of 200); writers of
attention and MLPs, all probe prompts. Each trial's weights are loaded over the base's and measured as they stand. A
cell that is cut begins anew.
"""

from __future__ import annotations

import time
from typing import Any

import optuna
from ara_on_model import ablated, seen_by_writers
from front_cells import Cell, Setting, configured, described, held_out, numbers, open_bench
from front_heretic import measured_with
from front_methods import n_startup
from front_score import chosen
from peers.ara import Settings, suggested
from torch import Tensor

from saber.lm.architecture.weights import weights_digest
from saber.lm.evaluation.reference import Reference
from saber.study.context import Workbench, study_folder
from saber.study.run.session import calm_optuna
from saber.study.store.storage import one_driver
from saber.types import Split


class Ablation:
    """ARA on a study's base: a trial's weights from its settings, always the same."""

    def __init__(self, bench: Workbench, seed: int) -> None:
        self.bench, self.seed = bench, seed
        self.harmless = seen_by_writers(bench.adapter, bench.probes.harmless)
        self.harmful = seen_by_writers(bench.adapter, bench.probes.harmful)

    def weights(self, of: Settings) -> dict[str, Tensor]:
        """The new weights by the names of the model's state."""
        return ablated(self.bench.adapter, self.harmless, self.harmful, of, self.seed)

    def measured(self, of: Settings, split: Split, reference: Reference) -> dict[str, float]:
        """The base with a trial's weights in the place of its own, measured as any model."""
        return numbers(measured_with(self.bench, self.weights(of), split, reference).metrics)


def run_ara_cell(cell: Cell, setting: Setting) -> dict[str, Any]:
    """Search with ARA, measure what was chosen, and say it all in one row."""
    config = configured(cell, setting)
    calm_optuna()
    with one_driver(study_folder(config)):
        started = time.perf_counter()
        bench = open_bench(config)
        ara = Ablation(bench, cell.seed)
        setup_s = time.perf_counter() - started
        trials = searched(ara, setting.n_trials)
        side = held_out(bench)
        row = described(cell, setting, config, bench, side)
        settings = {trial["number"]: Settings(**trial["params"]) for trial in trials}
        report = {str(n): ara.measured(settings[n], side.split, side.reference) for n in chosen(trials)}
        if weights_digest(bench.adapter.model) != bench.model_digest:
            raise AssertionError("the base's weights are not what they were")
    return row | {
        "n_trials": len(trials),
        "n_failed": 0,
        "setup_s": setup_s,
        "search_s": sum(trial["seconds"] for trial in trials),
        "trials": trials,
        "report": report,
    }


def searched(ara: Ablation, n_trials: int) -> list[dict[str, Any]]:
    """So many trials on tune, with their seconds."""
    sampler = optuna.samplers.TPESampler(n_startup_trials=n_startup(n_trials), seed=ara.seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    trials = []
    for _ in range(n_trials):
        started = time.perf_counter()
        trial = study.ask()
        of = suggested(trial, ara.bench.adapter.n_layers)
        tune = ara.measured(of, ara.bench.splits["tune"], ara.bench.reference)
        study.tell(trial, (tune["refusal_rate"], tune["kld_first"]))
        seconds = time.perf_counter() - started
        trials.append({"number": trial.number, "params": trial.params, "seconds": seconds, "tune": tune})
    return trials
