"""SABER as a worker: its own driver, with Optuna and its database, on the organism.

    python benchmarks/saber_worker.py ORGANISM FOLDER [--rounds 1] [--only refusals] [--trials-per-batch 2]
        [--workers 2] [key=value]

``--rounds`` fixes how many rounds every trial refines, with the rules that would stop it earlier off. ``--only
refusals`` measures what Heretic measures: refusals of the harmful prompts and KL on the harmless ones, nothing else.
``--workers`` evaluates in so many of Ray's actors, of one thread each, which share the study.
Further words are the command line's of ``saber.sweep``. Requests:

    {"run": 8}                             eight trials
    {"run": 8, "trials_per_batch": 4}      the same, four in a batch from now on
    {"memory": true}                       resident bytes now and at their peak
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from control import Control
from hydra import compose, initialize_config_module
from peers.lines import Answer, Request, claim_stdout, serve
from rich.console import Console

from saber.command import to_config
from saber.config import Config
from saber.keys import with_values
from saber.lm.evaluation.reference import make_reference
from saber.study.context import Workbench, open_workbench
from saber.study.run.driver import drive
from saber.study.run.evaluator import evaluate
from saber.study.run.progress import Progress
from saber.study.run.session import calm_optuna
from saber.study.run.start_workers import n_outstanding
from saber.study.run.workers import Evaluator, InProcess, Workers
from saber.study.search.samplers import make_sampler
from saber.study.search.space import parse_space
from saber.study.store.fingerprint import identity
from saber.study.store.records import finished_trials
from saber.study.store.storage import open_study
from saber.types import Split

MANY = 1_000_000


def composed(words: Sequence[str]) -> Config:
    """The configuration that ``python -m saber.sweep WORDS`` would run."""
    with initialize_config_module("saber.conf", version_base="1.3"):
        return to_config(compose("run", overrides=list(words)))


def with_rounds(config: Config, rounds: int | None) -> Config:
    """The configuration with every trial refining exactly so many rounds; as it is without a number."""
    if rounds is None:
        return config
    never = {"edit.patience": MANY, "edit.stable_cosine": 1.0, "edit.tolerance": 0.0}
    return Control(fixed={"edit.max_iterations": rounds, **never}).applied_to(config)


def only(bench: Workbench, kinds: Sequence[str], sizes: dict[str, int | None]) -> Workbench:
    """The workbench with a tune split of some kinds of prompts, the first so many of each."""
    tune = bench.splits["tune"]
    prompts = tuple(prompt for kind in kinds for prompt in tune.of(kind)[: sizes.get(kind)])  # type: ignore[arg-type]
    split = Split("tune", prompts)
    reference = make_reference(bench.adapter, split, bench.config.evaluate)
    return replace(bench, splits={**bench.splits, "tune": split}, reference=reference)


def organism_words(folder: Path) -> list[str]:
    """Words for a trained organism: its folder, and the seed and family that its prompts come from."""
    about = json.loads((folder / "organism.json").read_text(encoding="utf-8"))
    return [
        f"model.path={folder.resolve()}",
        f"organism.seed={about['seed']}",
        f"organism.family={about.get('family', 'gemma4')}",  # the first organisms did not say theirs
    ]


def configured(options: argparse.Namespace) -> Config:
    """The configuration of the study that the options describe."""
    words = [
        "+sweep=organism_outputs",
        *organism_words(options.organism),
        f"study.dir={options.folder.resolve()}",
        "study.name=benchmark",
        f"launch.threads={options.threads}",
        f"launch.trials_per_batch={options.trials_per_batch}",
        f"evaluate.max_new_tokens={options.tokens}",
    ]
    if options.only == "refusals":
        words += ["evaluate=heretic_compat", "evaluate.system_prompt=null"]
    if options.system_prompt:
        words += [f"+model.system_prompt='{options.system_prompt}'"]
    if options.workers > 1:
        words += ["launch=ray", f"launch.workers={options.workers}", "launch.threads=1"]
    config = with_rounds(composed([*words, *options.words]), options.rounds)
    return with_values(config, {"study.enqueue": (), "evaluate.max_new_tokens": options.tokens})


def bench_of(options: argparse.Namespace, config: Config) -> Workbench:
    """The workbench of that study, with the tune prompts that are to be measured."""
    bench = open_workbench(config, parse_space(config))
    drifting = ("harmful", "harmless")
    kinds = drifting if options.only == "refusals" else (*drifting, "borderline", "capability")
    return only(bench, kinds, {"harmful": options.n_harmful, "harmless": options.n_harmless})


def evaluator_of(options: argparse.Namespace, config: Config) -> Evaluator:
    """What an actor evaluates with."""
    return partial(evaluate, bench_of(options, config))


class Sweep:
    """A study that is driven some trials further at each request."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.config = configured(options)
        calm_optuna()
        self.knobs = parse_space(self.config)
        self.bench = bench_of(options, self.config)
        self.study = open_study(self.config, identity(self.config, self.knobs, self.bench))
        self.study.sampler = make_sampler(
            self.config.study, 0, int(self.config.study.n_trials), n_outstanding(self.config.launch)
        )
        self.quiet = Console(file=io.StringIO())
        self.closing = ExitStack()  # ends the actors
        self.actors = self._actors(options) if options.workers > 1 else None

    def _actors(self, options: argparse.Namespace) -> Workers:
        """Ray's workers, until ``closing`` is closed."""
        from saber.study.run.ray_workers import ray_workers

        actors = ray_workers(self.config.launch, partial(evaluator_of, options, self.config), self.quiet.print)
        return self.closing.enter_context(actors)

    def ready(self) -> dict[str, Any]:
        """What the benchmark is told at the start."""
        tune = self.bench.splits["tune"]
        return {
            "sampler": type(self.study.sampler).__name__,
            "threads": torch.get_num_threads(),
            **{f"n_{kind}": len(tune.of(kind)) for kind in ("harmful", "harmless", "borderline", "capability")},
        }

    def handle(self, request: Request) -> Answer:
        """Drive the study further, or say what memory it takes."""
        if "memory" in request:
            now = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()
            return {"resident": now, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        if "trials_per_batch" in request:
            values = {"launch.trials_per_batch": int(request["trials_per_batch"])}
            self.config = with_values(self.config, values)
        n_done = len(finished_trials(self.study))
        wanted = n_done + int(request["run"])
        started = time.perf_counter()
        progress = Progress(self.quiet, wanted, n_done)
        in_process = InProcess(partial(evaluate, self.bench), self.config.launch.batch)
        workers = in_process if self.actors is None else self.actors
        drive(self.study, self.config, self.knobs, workers, progress, wanted)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "trials": [self.row(trial) for trial in finished_trials(self.study)[n_done:]]}

    def row(self, trial: Any) -> dict[str, Any]:
        """What a trial gave."""
        row = {"number": trial.number, "params": trial.params, "stopped": trial.user_attrs.get("stopped")}
        if "metrics" in trial.user_attrs:
            estimates = trial.user_attrs["metrics"]["estimates"]
            row |= {"refusals": round(estimates["refusal_rate"]["value"] * estimates["refusal_rate"]["n"])}
            row |= {"kl_divergence": estimates["kld_first"]["value"]}
        return row | {"failure": trial.user_attrs.get("failure")}


def worker_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the worker's own command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("organism", type=Path)
    parser.add_argument("folder", type=Path, help="the study's database and caches")
    parser.add_argument("words", nargs="*", help="further words of the command line")
    parser.add_argument("--trials-per-batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, help="as the space says by default")
    parser.add_argument("--only", choices=("refusals", "all"), default="all")
    parser.add_argument("--n-harmful", type=int, help="tune prompts, all by default")
    parser.add_argument("--n-harmless", type=int, help="tune prompts, all by default")
    parser.add_argument("--system-prompt", default="")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    return parser.parse_args(words)


def main() -> None:
    """Open the workbench and a study, serve."""
    answers = claim_stdout()
    sweep = Sweep(worker_options())
    with sweep.closing:
        serve(answers, sweep.ready(), sweep.handle)


if __name__ == "__main__":
    main()
