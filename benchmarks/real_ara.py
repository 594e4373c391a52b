"""The cells of ``real_model.py`` in which ARA searches, as published, with Heretic's sampler and random share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import optuna
import torch
from peers.ara import Seen, edited, suggested
from real_cells import Cell, Setting, configured, described, held_out, keep, numbers, open_bench
from real_peers import PROMPTS_AT_ONCE, forget_unchosen, measured_with, n_startup, on_report
from safetensors.torch import save_file
from torch import Tensor

from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.capture import capture
from saber.lm.inference.batches import pad_left, tokenise
from saber.study.context import Workbench, study_folder
from saber.study.run.session import calm_optuna
from saber.study.store.storage import one_driver
from saber.types import Prompt


def run_ara(cell: Cell, setting: Setting, say: Callable[[str], None]) -> None:
    """Search with ARA, measure each trial, and keep it all as one JSON file; a cell that is cut goes on."""
    config = configured(cell, setting)
    calm_optuna()
    folder = study_folder(config)
    with one_driver(folder):
        bench = open_bench(config)
        harmless, harmful = (seen_by_writers(bench.adapter, probes) for probes in both_probes(bench))
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
            weights = by_name(bench.adapter, edited(writer_weights(bench.adapter), harmless, harmful, of, cell.seed))
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


def both_probes(bench: Workbench) -> tuple[list[Prompt], list[Prompt]]:
    """The harmless and the harmful probes."""
    return list(bench.probes.harmless), list(bench.probes.harmful)


def writer_weights(adapter: Adapter) -> dict[tuple[int, str], Tensor]:
    """The weight of each writer by its layer and name."""
    return {(writer.layer, writer.name): writer.weight.detach() for writer in adapter.writers}


def by_name(adapter: Adapter, weights: Mapping[tuple[int, str], Tensor]) -> dict[str, Tensor]:
    """New weights by the names of the model's state."""
    modules = {module: name for name, module in adapter.model.named_modules()}
    return {
        f"{modules[writer.module]}.weight": weights[writer.layer, writer.name].contiguous()
        for writer in adapter.writers
        if (writer.layer, writer.name) in weights
    }


@torch.no_grad()  # not inference mode: what is seen is differentiated through
def seen_by_writers(adapter: Adapter, prompts: list[Prompt]) -> dict[tuple[int, str], Seen]:
    """Inputs and outputs of every writer at the last token of each prompt, fp32."""
    rows = tokenise(adapter, prompts)
    pieces: dict[tuple[int, str], list[tuple[Tensor, Tensor]]] = {(w.layer, w.name): [] for w in adapter.writers}
    for start in range(0, len(rows), PROMPTS_AT_ONCE):
        batch = pad_left(adapter, rows[start : start + PROMPTS_AT_ONCE])
        with capture({(w.layer, w.name): w.module for w in adapter.writers}, with_input=True) as seen:
            adapter.model(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                logits_to_keep=1,
                use_cache=False,
            )
        for key, (x, y) in seen.items():
            pieces[key].append((x[:, -1].float().clone(), y[:, -1].float().clone()))
    return {
        key: Seen(torch.cat([x for x, _ in pairs]).clone(), torch.cat([y for _, y in pairs]).clone())
        for key, pairs in pieces.items()
    }
