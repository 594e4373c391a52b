"""What each lever is worth: seconds a trial with all of them, and with one of them taken away, in turn in one run.

    python benchmarks/levers.py [--organism sweeps/_organism/seed0] [--trials 16] [--repeats 3] [--out levers.json]

The trials are drawn at random from the organism's space, the same for every contender, and each contender has seen them
once before: drafts are then as good as they get late in a study, which is what "late" says; "early" forgets them before
every repetition. Ratios are taken within a repetition.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

import optuna
import torch
from rich.console import Console
from rich.table import Table
from saber_worker import composed, organism_words

from saber.config import Config
from saber.lm import planning
from saber.lm.editing.compiled import compile_plan
from saber.lm.inference.residuals import probe
from saber.study.context import Workbench, open_workbench
from saber.study.run import evaluator
from saber.study.search.space import parse_space, suggest


def contenders(bench: Workbench) -> dict[str, tuple[Workbench, int, Callable[[], object] | None]]:
    """Each contender: its workbench, its trials in a batch, and what is patched while it runs."""
    reference = bench.reference
    no_drafts = replace(bench, reference=replace(reference, past=None))
    decoded_whole = replace(bench, reference=replace(reference, rows=(), past=None))
    return {
        "all levers, T = 2": (bench, 2, None),
        "no drafts": (no_drafts, 2, None),
        "no drafts, every reply decoded whole": (decoded_whole, 2, None),
        "every round compiled again": (bench, 2, compiled_again),
        "the last round probed as well": (bench, 2, last_round_probed),
        "T = 1": (bench, 1, None),
        "T = 4": (bench, 4, None),
        "T = 8": (bench, 8, None),
    }


@contextmanager
def compiled_again() -> Iterator[None]:
    """Forget what earlier rounds compiled to."""
    with patch.object(planning, "compile_plan", lambda adapter, plan, _begun=None: compile_plan(adapter, plan)):
        yield


@contextmanager
def last_round_probed() -> Iterator[None]:
    """Look once more at every finished plan, as refinement did before the measuring passes showed the residual."""
    plans_of = planning.make_plans

    def and_probe(adapter, probes, base, requests, *, batch_size):  # type: ignore[no-untyped-def]
        planned = plans_of(adapter, probes, base, requests, batch_size=batch_size)
        needed = probes.first(*planning.largest_sizes(requests))
        probe(adapter, needed, plans=[planned_edit.compiled for planned_edit in planned], batch_size=batch_size)
        return planned

    with patch.object(evaluator, "make_plans", and_probe):
        yield


def seconds_a_trial(bench: Workbench, configs: list[Config], n_batch: int, early: bool) -> float:
    """Evaluate all configurations in batches."""
    if early:
        bench = replace(bench, reference=bench.reference.emptied())
    started = time.perf_counter()
    for at in range(0, len(configs), n_batch):
        evaluator.evaluate(bench, configs[at : at + n_batch])
    return (time.perf_counter() - started) / len(configs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organism", type=Path, default=Path("sweeps/_organism/seed0"))
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("levers.json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with TemporaryDirectory() as folder:
        words = ["+sweep=organism_layers", *organism_words(args.organism), f"study.dir={folder}"]
        config = composed([*words, f"launch.threads={args.threads}"])
        knobs = parse_space(config)
        bench = open_workbench(config, knobs)
        study = optuna.create_study(directions=["minimize"] * 2, sampler=optuna.samplers.RandomSampler(seed=0))
        configs = [suggest(study.ask(), knobs, config) for _ in range(args.trials)]
        times: dict[str, list[float]] = {}
        for repeat in range(args.repeats + 1):  # the first one warms up
            for name, (its_bench, n_batch, patched) in contenders(bench).items():
                for early in (False, True) if name.startswith("all") else (False,):
                    with patched() if patched is not None else patch.dict({}, {}):  # type: ignore[attr-defined]
                        took = seconds_a_trial(its_bench, configs, n_batch, early)
                    if repeat:
                        times.setdefault(name + (", early" if early else ""), []).append(took)
    base = times["all levers, T = 2"]
    table = Table("contender", "s a trial", "times the first")
    for name, seconds in times.items():
        ratio = median(own / first for own, first in zip(seconds, base, strict=True))
        table.add_row(name, f"{median(seconds):.3f}", f"{ratio:.2f}")
    Console(width=120).print(table)
    args.out.write_text(
        json.dumps({"seconds": times, "threads": args.threads, "trials": args.trials}, indent=2) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
