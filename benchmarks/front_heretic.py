"""The cell of ``front.py`` in which Heretic itself searches, and SABER measures each of its trials.

Heretic runs from its package in its own environment (``peers/heretic_worker.py``), with its defaults: its TPE with 60
random trials first, row normalisation, all probe prompts. It gets our markers, without the spaces that only SABER
reads as word ends, since its own 33 miss a third of the organism's refusals; our token limit; and our drift prompts
as its good ones. Each trial's weights are loaded over the base's and measured as they stand, under our protocol and
against the same reference; Heretic's own counts are kept beside ours. A cell that is cut begins anew.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from front_cells import (
    Cell,
    Setting,
    configured,
    described,
    held_out,
    numbers,
    open_bench,
)
from front_score import chosen
from peers.lines import Worker
from safetensors.torch import load_file
from torch import Tensor

from saber.lm.architecture.weights import weights_digest
from saber.lm.evaluation.measurement import Measured, measure_trials
from saber.lm.evaluation.protocol import marker_words
from saber.lm.evaluation.reference import Reference
from saber.study.context import Workbench, study_folder
from saber.study.run.session import calm_optuna
from saber.study.store.storage import one_driver
from saber.types import EditPlan, Split, UserError

HERE = Path(__file__).parent


@contextmanager
def loaded_over(model: torch.nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with some of its weights replaced while inside; all others, and all afterwards, are its own.

    Raises:
        UserError: a name is not the model's, or its shape or dtype is another.
    """
    state = model.state_dict()
    for name, tensor in weights.items():
        if name not in state or state[name].shape != tensor.shape or state[name].dtype != tensor.dtype:
            given = f"{tuple(tensor.shape)} {tensor.dtype}"
            own = f"{tuple(state[name].shape)} {state[name].dtype}" if name in state else "no such weight"
            raise UserError(f"expected weights of the base, found {name} as {given}, which has {own}")
    kept = {name: state[name].clone() for name in weights}
    try:
        for name, tensor in weights.items():
            state[name].copy_(tensor)
        yield
    finally:
        for name, tensor in kept.items():
            state[name].copy_(tensor)


def measured_with(bench: Workbench, weights: Mapping[str, Tensor], split: Split, reference: Reference) -> Measured:
    """The base with some weights in the place of its own, measured as any model."""
    with torch.no_grad(), loaded_over(bench.adapter.model, weights):
        (measured,) = measure_trials(bench.adapter, split, bench.config.evaluate, reference, [EditPlan(())])
    return measured


def run_heretic_cell(cell: Cell, setting: Setting) -> dict[str, Any]:
    """Let Heretic search, measure what it found, and say it all in one row."""
    config = configured(cell, setting)
    calm_optuna()
    folder = study_folder(config)
    weights = folder / "weights"
    with one_driver(folder):
        bench = open_bench(config)
        side = held_out(bench)
        row = described(cell, setting, config, bench, side)
        about, answer = ask_heretic(cell, setting, folder, bench)
        answered = [dict(trial) for trial in answer["trials"]]
        trials = []
        for trial in answered:
            weights = load_file(trial["weights"])
            measured = measured_with(bench, weights, bench.splits["tune"], bench.reference)
            trials.append(_trial(trial, measured))
        report = {}
        for number in chosen(trials):
            path = weights / f"{number}.safetensors"
            report[str(number)] = numbers(measured_with(bench, load_file(path), side.split, side.reference).metrics)
        if weights_digest(bench.adapter.model) != bench.model_digest:
            raise AssertionError("the base's weights are not what they were")
        shutil.rmtree(weights)
    return row | {
        "n_trials": len(trials),
        "n_failed": setting.n_trials - len(trials),
        "setup_s": about["setup_s"],
        "search_s": sum(trial["seconds"] for trial in answered),
        "heretic": about | agreement(trials, row["base"]["tune"], about),
        "trials": trials,
        "report": report,
    }


def ask_heretic(cell: Cell, setting: Setting, folder: Path, bench: Workbench) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Heretic said when it was ready, and what its trials gave."""
    if setting.heretic is None:
        raise UserError(
            "expected Heretic's Python, found none: run peers/install.sh and give --heretic FOLDER/bin/python"
        )
    markers = folder / "markers.json"
    markers.write_text(json.dumps([word.strip() for word in marker_words(bench.config.evaluate)]), encoding="utf-8")
    started = time.perf_counter()
    worker = Worker(
        "heretic",
        [
            *(setting.heretic, HERE / "peers" / "heretic_worker.py", cell.organism.resolve()),
            *("--markers", markers, "--tokens", str(setting.tokens), "--seed", str(cell.seed)),
            *("--trials", str(setting.n_trials), "--threads", "1", "--find-prefix", "--drift-on-capability"),
        ],
        threads=1,
        log=folder / "heretic.log",
    )
    setup_s = time.perf_counter() - started
    answer = worker.ask(run=setting.n_trials, save=str((folder / "weights").resolve()))
    worker.stop()
    about = {name: value for name, value in worker.ready.items() if name != "ready"}
    return about | {"setup_s": setup_s}, answer


def _trial(trial: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    """A trial as a row keeps it: our numbers on tune, and Heretic's own as its values."""
    harmful = [response for response in measured.responses if response.prompt.kind == "harmful"]
    return {
        "number": trial["number"],
        "params": trial["params"],
        "seconds": trial["seconds"],
        "values": [trial["refusals"], trial["kl_divergence"]],
        "tune": numbers(measured.metrics),
        "refused_or_empty": sum(response.label in ("refuse", "empty") for response in harmful),
    }


def agreement(
    trials: Sequence[Mapping[str, Any]], base: Mapping[str, float], about: Mapping[str, Any]
) -> dict[str, Any]:
    """How far Heretic's own counts and first-token KLs lie from ours: it sees the same models on the same prompts."""
    return {
        "base_refusals_here": round(base["refusal_rate"] * about["n_harmful"]),
        "largest_gap_refusals": max(abs(trial["values"][0] - trial["refused_or_empty"]) for trial in trials),
        "largest_gap_kld_first": max(abs(trial["values"][1] - trial["tune"]["kld_first"]) for trial in trials),
    }
