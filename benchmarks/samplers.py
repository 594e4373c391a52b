"""Hypervolume after 60 and 200 trials by sampler, through our own driver with batches of T.

    python benchmarks/samplers.py FOLDER [--samplers gp tpe tpe-joint nsga2 random] [--seeds 0 1 2 3 4]
        [--trials-per-batch 1]

``tpe-joint`` is Optuna's multivariate TPE, which draws all keys together; ``tpe``, ours, draws each key by itself,
which is Optuna's default for several objectives.

Resumable: every study keeps its database in FOLDER, and a finished one its line in FOLDER/samplers.jsonl. Borderline
prompts are left out of the tune split: neither objective counts them, so the hypervolume is what a whole trial gives.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from optuna.samplers import TPESampler
from rich.console import Console
from rich.table import Table
from saber_worker import Sweep, only, worker_options

from saber.keys import with_values
from saber.scoring.pareto import hypervolume
from saber.study.search.samplers import make_sampler
from saber.study.store.fingerprint import identity
from saber.study.store.records import complete_trials, finished_trials
from saber.study.store.storage import open_study

JOINT = "tpe-joint"
KINDS = ("harmful", "harmless", "capability")


def run(sweep: Sweep, sampler: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Drive one study to its trials and return its hypervolumes."""
    ours = "tpe" if sampler == JOINT else sampler
    values = {"study.name": f"{sampler}-{seed}", "study.sampler": ours, "study.seed": seed}
    sweep.config = with_values(sweep.config, values)
    sweep.study = open_study(sweep.config, identity(sweep.config, sweep.knobs, sweep.bench))
    n_done, wanted = len(finished_trials(sweep.study)), max(options.after)
    if sampler == JOINT:
        sweep.study.sampler = TPESampler(seed=seed * 1_000_003 + n_done, multivariate=True)  # seeded as ours are
    else:
        sweep.study.sampler = make_sampler(sweep.config.study, n_done, wanted, options.trials_per_batch)
    seconds = sweep.handle({"run": wanted - n_done})["seconds"] if n_done < wanted else 0.0
    reference = np.array([objective.reference for objective in sweep.config.study.objectives])
    points = [(trial.number, trial.values) for trial in complete_trials(sweep.study)]
    volumes = {}
    for n in options.after:
        values_until = [values for number, values in points if number < n]
        volumes[str(n)] = hypervolume(np.array(values_until), reference) if values_until else 0.0
    return {"sampler": sampler, "seed": seed, "T": options.trials_per_batch, "seconds": seconds, "hypervolume": volumes}


def shown(rows: list[dict[str, Any]], options: argparse.Namespace) -> Table:
    """Mean and standard deviation over the seeds."""
    table = Table(title=f"hypervolume, {options.trials_per_batch} trials in a batch")
    for name in ("sampler", "seeds", *(f"after {n}" for n in options.after), "seconds"):
        table.add_column(name, justify="left" if name == "sampler" else "right")
    for sampler in dict.fromkeys(row["sampler"] for row in rows):
        of = [row for row in rows if row["sampler"] == sampler]
        cells = []
        for n in options.after:
            values = [row["hypervolume"][str(n)] for row in of]
            cells.append(f"{mean(values):.4f} ± {stdev(values) if len(values) > 1 else 0.0:.4f}")
        table.add_row(sampler, str(len(of)), *cells, f"{mean(row['seconds'] for row in of):.0f}")
    return table


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--organism", type=Path, default=Path("sweeps/_organism/seed0"))
    parser.add_argument("--samplers", nargs="+", default=["gp", "tpe", JOINT, "nsga2", "random"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--after", type=int, nargs="+", default=[60, 200])
    parser.add_argument("--trials-per-batch", type=int, default=1)
    options = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=160)
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "samplers.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    done = {
        (row["sampler"], row["seed"], row["T"])
        for row in rows
        if set(row["hypervolume"]) == set(map(str, options.after))
    }
    sweep = Sweep(
        worker_options([str(options.organism), str(options.folder), f"--trials-per-batch={options.trials_per_batch}"])
    )
    sweep.bench = only(sweep.bench, KINDS, {})
    for seed in options.seeds:
        for sampler in options.samplers:
            if (sampler, seed, options.trials_per_batch) not in done:
                rows.append(run(sweep, sampler, seed, options))
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                console.print(f"{sampler}, seed {seed}: {rows[-1]['hypervolume']} in {rows[-1]['seconds']:.0f} s")
    console.print(shown(rows, options))


if __name__ == "__main__":
    main()
