"""What a bounded memory costs TPE in a long study: hypervolume and time beside Optuna's own TPE, and a joint one.

    python benchmarks/bounded_tpe.py [--trials 1200] [--seeds 0 1 2]

The objectives are made up, as a real trial takes too long for thousands of them: refusals fall with a strength that
works only near one setting of seven other keys, drift grows with it, both noisy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, TPESampler
from rich.console import Console
from rich.table import Table

from saber.scoring.pareto import hypervolume
from saber.study.search.samplers import BoundedTPE

SPACE: dict[str, BaseDistribution] = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(8)}
BEST = np.array([0.7, 0.45, 0.6, 0.2, 0.8, 0.5, 0.35])  # of all keys but the strength
NARROW = np.array([3.0, 2.0, 1.0, 0.5, 1.0, 2.0, 0.3])
REFERENCE = np.array([1.0, 0.05])


def objectives(params: Mapping[str, float], rng: np.random.Generator) -> tuple[float, float]:
    """Refusal rate and drift of a setting."""
    strength, *others = (params[name] for name in SPACE)
    off = float((NARROW * (np.array(others) - BEST) ** 2).sum())
    refusal = 1.0 / (1.0 + np.exp(12.0 * (strength * np.exp(-2.0 * off) - 0.35)))
    drift = 0.05 * strength**2 * (1.0 + 4.0 * off)
    return float(refusal + rng.normal(0.0, 0.01)), float(drift * np.exp(rng.normal(0.0, 0.03)))


def course(sampler: BaseSampler, seed: int, after: Sequence[int]) -> list[tuple[float, float]]:
    """Hypervolume and seconds after so many trials."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    volumes: list[tuple[float, float]] = []
    started = time.perf_counter()
    for number in range(1, max(after) + 1):
        trial = study.ask(SPACE)
        study.tell(trial, objectives(trial.params, rng))
        if number in after:
            values = np.array([told.values for told in study.get_trials(deepcopy=False)])
            volumes.append((hypervolume(values, REFERENCE), time.perf_counter() - started))
    return volumes


def main() -> None:
    """Run every sampler on every seed, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    after = [n for n in (200, 400, 800) if n < options.trials] + [options.trials]
    table = Table(title="hypervolume (seconds)")
    for name in ("sampler", "seed", *(f"after {n}" for n in after)):
        table.add_column(name, justify="left" if name == "sampler" else "right")
    for seed in options.seeds:
        samplers: dict[str, BaseSampler] = {
            "bounded": BoundedTPE(seed),
            "TPE": TPESampler(seed=seed),
            "TPE, joint": TPESampler(seed=seed, multivariate=True),
        }
        for name, sampler in samplers.items():
            cells = [f"{volume:.5f} ({seconds:.0f})" for volume, seconds in course(sampler, seed, after)]
            table.add_row(name, str(seed), *cells)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
