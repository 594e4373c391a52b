"""The cells of ``real_model.py`` in which ARA searches, as published, with Heretic's sampler and random share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import optuna
from front_ara import Ablation
from front_heretic import measured_with
from front_methods import n_startup
from peers.ara import suggested
from real_cells import Cell, Setting, configured, described, held_out, keep, numbers, open_bench
from real_peers import forget_unchosen, on_report
from safetensors.torch import save_file

from saber.study.context import study_folder
from saber.study.run.session import calm_optuna
from saber.study.store.storage import one_driver


def run_ara(cell: Cell, setting: Setting, say: Callable[[str], None]) -> None:
    """Search with ARA, measure each trial, and keep it all as one JSON file; a cell that is cut goes on."""
    config = configured(cell, setting)
    calm_optuna()
    folder = study_folder(config)
    with one_driver(folder):
        bench = open_bench(config)
        ara = Ablation(bench, cell.seed)
        kept, kept_weights = folder / "trials.json", folder / "weights"
        trials: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
        study = optuna.create_study(
            storage=f"sqlite:///{folder}/ara.db",
            study_name="ara",
            load_if_exists=True,
            directions=["minimize", "minimize"],
            sampler=optuna.samplers.TPESampler(
                n_startup_trials=n_startup(setting.n_trials), seed=1000 * cell.seed + len(trials)
            ),
        )
        while len(trials) < setting.n_trials:
            started = time.perf_counter()
            trial = study.ask()
            of = suggested(trial, bench.adapter.n_layers)
            weights = ara.weights(of)
            tune = numbers(measured_with(bench, weights, bench.splits["tune"], bench.reference).metrics)
            study.tell(trial, (tune["refusal_rate"], tune["kld_first"]))
            kept_weights.mkdir(exist_ok=True)
            save_file(weights, kept_weights / f"{trial.number}.safetensors")
            seconds = time.perf_counter() - started
            trials.append({"number": trial.number, "params": trial.params, "tune": tune, "own": {"seconds": seconds}})
            kept.write_text(json.dumps(trials), encoding="utf-8")
            forget_unchosen(kept_weights, trials)
            say(f"ara, seed {cell.seed}: {len(trials)} of {setting.n_trials} trials, {seconds:.0f} s")
        side = held_out(bench)
        row = described(cell, setting, bench, side)
        report = on_report(bench, side, kept_weights, trials)
    spent = sum(trial["own"]["seconds"] for trial in trials)
    keep(cell, setting, row | {"trials": trials, "report": report, "n_trials": len(trials), "search_s": spent})
