"""How much of N workers' time the driver leaves idle: simulated evaluations of a known duration on Ray's actors.

    python benchmarks/ray_scaling.py workers=1,8,64 seconds=10 batches=8 out=scaling.json

Everything but the evaluation is real: the driver's loop, an SQLite study, the sampler that this number of workers and
trials gets by default, stored metrics, plans and responses. An evaluation sleeps, so that two cores hold 64 actors.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import optuna
import torch
from rich.console import Console

from saber.config import Config
from saber.keys import parse_config
from saber.lm.editing.compiled import CompiledPlan
from saber.lm.evaluation.measurement import Measured
from saber.lm.planning import PlannedEdit
from saber.study.run.driver import drive
from saber.study.run.progress import Progress
from saber.study.run.ray_workers import RayWorkers, ray_workers
from saber.study.run.session import calm_optuna
from saber.study.run.start_workers import n_outstanding
from saber.study.run.workers import Done
from saber.study.search.front_so_far import FrontSoFar
from saber.study.search.samplers import make_sampler
from saber.study.search.space import parse_space
from saber.study.store.patient_storage import StoredStudy
from saber.study.store.records import complete_trials
from saber.study.store.storage import open_storage
from saber.study.trial_result import TrialResult
from saber.types import EditPlan, Estimate, Metrics, Prompt, Response

SPACE = {
    "data.n_probe": {"low": 24, "high": 128, "step": 4},
    "edit.scope": {"choices": ["layer", "band", "all"]},
    "edit.max_iterations": {"low": 1, "high": 4},
    "edit.alpha_base": {"low": 0.2, "high": 1.2, "step": 0.025},
    "edit.alpha_entangled": {"low": 0.0, "high": 1.0, "step": 0.01},
    "edit.entanglement_threshold": {"low": 0.1, "high": 0.9, "step": 0.05},
    "edit.global_top_k": {"low": 1, "high": 28},
}
N_PROMPTS = 300
PAYLOAD = 50_000  # bytes of an outcome of as many prompts


def configured(folder: Path, n_workers: int, trials_per_batch: int) -> Config:
    """The organism's space and objectives, on so many workers."""
    objectives = [{"metric": "refusal_rate"}, {"metric": "kld", "reference": 0.5}]
    launch = {"kind": "ray", "workers": n_workers, "cpus_per_worker": 0, "trials_per_batch": trials_per_batch}
    return parse_config(
        {
            "model": {"path": "organism"},
            "data": {"source": "organism"},
            "edit": {},
            "evaluate": {},
            "study": {"name": f"w{n_workers}", "dir": str(folder), "objectives": objectives},
            "launch": launch,
            "space": SPACE,
        }
    )


def simulated(config: Config, seconds: float) -> TrialResult:
    """Metrics that follow the parameters, with as much to store as a real trial has."""
    edit = config.edit
    strength = edit.alpha_base * (0.5 + edit.global_top_k / 56)
    rates = {"refusal_rate": max(0.0, 1.0 - strength), "kld": 0.1 * strength**2 + 0.01 * edit.alpha_entangled}
    estimates = {name: Estimate(value, N_PROMPTS, value, value) for name, value in rates.items()}
    responses = tuple(Response(Prompt(f"prompt {i}", "harmful"), "a response", "comply") for i in range(N_PROMPTS))
    plan = EditPlan.from_directions({0: (torch.eye(256)[:, :8], torch.full((8,), strength))})
    measured = Measured(Metrics(estimates, {}, "simulated", "tune"), responses)
    return TrialResult(PlannedEdit(CompiledPlan(plan, (), ()), "stable", ()), measured, seconds)


class Simulated:
    """Ray's workers, whose payload becomes an outcome here: 64 processes without torch fit into this machine."""

    def __init__(self, workers: RayWorkers, seconds: float) -> None:
        self.workers, self.seconds = workers, seconds
        self.room, self.submit = workers.room, workers.submit

    def wait(self) -> list[Done]:
        """As real ones, with outcomes that follow the parameters."""
        return [
            Done(done.batch, [simulated(config, self.seconds) for config in done.batch.configs])
            for done in self.workers.wait()
        ]


def scaled(n_workers: int, seconds: float, n_batches: int, trials_per_batch: int) -> dict[str, Any]:
    """Drive a study to ``n_batches`` batches for each worker, and compare its time with theirs."""

    def make() -> Any:
        def evaluator(configs: Sequence[Config], _front: FrontSoFar) -> list[bytes]:
            time.sleep(seconds)
            return [b"x" * PAYLOAD] * len(configs)

        return evaluator

    n_trials = n_workers * n_batches * trials_per_batch
    with tempfile.TemporaryDirectory() as folder:
        config = configured(Path(folder), n_workers, trials_per_batch)
        knobs = parse_space(config)
        storage, name = open_storage(config, create=True), config.study.name
        optuna.create_study(study_name=name, storage=storage, directions=["minimize"] * len(config.study.objectives))
        study = StoredStudy(name, storage, make_sampler(config.study, 0, n_trials, n_outstanding(config.launch)))
        with ray_workers(config.launch, make, print) as workers:
            while len(workers.idle) < n_workers:  # a worker loads its model once; that is not what is measured
                workers._gather(timeout=None)
            started, cpu = time.monotonic(), time.process_time()
            progress = Progress(Console(quiet=True), n_trials, 0)
            drive(study, config, knobs, Simulated(workers, seconds), progress, n_trials)
            wall, cpu = time.monotonic() - started, time.process_time() - cpu
        assert len(complete_trials(study)) == n_trials
        sampler = type(study.sampler).__name__
    ideal = seconds * ceil(n_trials / (n_workers * trials_per_batch))
    return {
        "workers": n_workers,
        "sampler": sampler,
        "trials": n_trials,
        "trials_per_batch": trials_per_batch,
        "seconds_per_batch": seconds,
        "ideal_s": ideal,
        "wall_s": round(wall, 2),
        "share_of_ideal": round(ideal / wall, 4),
        "driver_cpu_ms_per_trial": round(1000 * cpu / n_trials, 1),
    }


def main(words: Sequence[str]) -> None:
    """Print a table, and write JSON where ``out=`` says."""
    given = {"workers": "1,8,64", "seconds": "10", "batches": "8", "trials_per_batch": "4", "out": ""}
    given |= dict(word.split("=", 1) for word in words)
    calm_optuna()
    rows = []
    print("workers  sampler      trials  ideal s   wall s  share of ideal  driver CPU ms/trial")
    for n_workers in map(int, given["workers"].split(",")):
        row = scaled(n_workers, float(given["seconds"]), int(given["batches"]), int(given["trials_per_batch"]))
        rows.append(row)
        print(
            f"{row['workers']:>7}  {row['sampler']:<11}  {row['trials']:>6}  {row['ideal_s']:>7.0f}"
            f"  {row['wall_s']:>7.1f}  {100 * row['share_of_ideal']:>13.1f}%  {row['driver_cpu_ms_per_trial']:>19.1f}",
            flush=True,
        )
    if given["out"]:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        Path(given["out"]).write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
