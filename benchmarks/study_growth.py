"""How a large study starts and goes on: 5,000 stored trials, opened by a new process, asked and told.

    python benchmarks/study_growth.py [--trials 5000] [--sampler tpe] [--asks 20] [--folder FOLDER] [--out ...]

The trials carry what the driver stores of one: a real trial is driven first, and its attributes are stored again under
random parameters and values. A second process then does what a resumed sweep does after the model is loaded - open the
database, check the question, count, make the sampler - and drives some trials with an
evaluator that answers at once, so that all the time is the study's own. ``--folder`` keeps the database, and a kept one
is used again.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

START_S, ASK_MS = 5.0, 50.0
N_STACKS = 14
N_PROFILED = 5


def fill(options: argparse.Namespace, folder: Path) -> None:
    """Drive one real trial, then store its like until there are enough."""
    from optuna.trial import TrialState, create_trial
    from saber_worker import MANY, Sweep, worker_options

    sweep = Sweep(worker_options([str(options.organism), str(folder), "--rounds=1"]))
    sweep.handle({"run": 2})
    model = sweep.study.trials[-1]
    rng = random.Random(0)
    for number in range(len(sweep.study.trials), options.trials):
        params = {name: sampled(distribution, rng) for name, distribution in model.distributions.items()}
        attributes = {**model.user_attrs, "name": f"stored_{number}", "plan": f"{rng.randrange(16**12):012x}"}
        trial = create_trial(
            state=TrialState.COMPLETE,
            params=params,
            distributions=model.distributions,
            values=[rng.random(), rng.random() * 0.1],
            user_attrs=attributes,
            system_attrs={key: value for key, value in model.system_attrs.items() if "artifact" in key},
        )
        sweep.study.add_trial(trial)
    sweep.study.set_user_attr("n_trials", options.trials)
    assert len(sweep.study.trials) <= MANY


def sampled(distribution: Any, rng: random.Random) -> Any:
    """A uniform value of a distribution."""
    if hasattr(distribution, "choices"):
        return rng.choice(distribution.choices)
    step = distribution.step or (distribution.high - distribution.low) / 1000
    value = distribution.low + rng.randrange(int((distribution.high - distribution.low) / step) + 1) * step
    return distribution.to_external_repr(min(value, distribution.high))


def resume(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start on the stored study as a new process does, then ask and tell; seconds of each step."""
    steps: dict[str, float] = {}
    clock = time.perf_counter

    started = clock()
    import torch  # noqa: F401
    from optuna.trial import TrialState
    from saber_worker import composed

    from saber.keys import with_values
    from saber.study.run.driver import ask, drive
    from saber.study.run.progress import Progress
    from saber.study.run.session import calm_optuna
    from saber.study.run.workers import InProcess
    from saber.study.search.front_so_far import FrontSoFar
    from saber.study.search.samplers import make_sampler
    from saber.study.search.space import parse_space
    from saber.study.store.fingerprint import IDENTITY
    from saber.study.store.records import complete_trials, finished_trials, metrics_from_json
    from saber.study.store.storage import load_study
    from saber.study.trial_result import TrialResult

    steps["imports"] = clock() - started

    calm_optuna()
    words = [
        "+sweep=organism_outputs",
        f"study.dir={folder}",
        "study.name=benchmark",
        f"study.sampler={options.sampler}",
    ]
    config = with_values(composed([*words, "launch.trials_per_batch=1"]), {"study.enqueue": ()})
    knobs = parse_space(config)
    started = begun = clock()
    study = load_study(config)
    steps["open"] = clock() - begun
    begun = clock()
    study.user_attrs[IDENTITY]
    steps["identity"] = clock() - begun
    begun = clock()
    n_done = len(finished_trials(study))
    steps["read and count"] = clock() - begun
    begun = clock()
    study.sampler = make_sampler(config.study, n_done, 10**6, 1)
    steps["sampler"] = clock() - begun
    steps["start, without the imports"] = clock() - started

    metrics = metrics_from_json(complete_trials(study)[-1].user_attrs["metrics"])
    asked: list[float] = []
    last = [clock()]

    def answer_at_once(configs: Any, _front: FrontSoFar) -> list[TrialResult]:
        asked.append(clock() - last[0])
        return [stored_outcome(metrics) for _ in configs]

    class Stamped(Progress):
        def told(self, *rest: Any) -> None:
            super().told(*rest)
            last[0] = clock()

    wanted = n_done + options.asks
    last[0] = begun = clock()
    progress = Stamped(Console(file=io.StringIO()), wanted, n_done)
    drive(study, config, knobs, InProcess(answer_at_once, 1), progress, wanted)
    loop = (clock() - begun) / options.asks

    profiler = cProfile.Profile()
    n_now = len(finished_trials(study))
    wanted = n_now + N_PROFILED
    quiet = Progress(Console(file=io.StringIO()), wanted, n_now)
    profiler.runcall(drive, study, config, knobs, InProcess(answer_at_once, 1), quiet, wanted)

    bare: list[float] = []
    for _ in range(options.asks):
        begun = clock()
        (trial,) = ask(study, config, knobs, 1, FrontSoFar()).trials
        bare.append(clock() - begun)
        study.tell(trial, state=TrialState.FAIL)
    stacks = io.StringIO()
    pstats.Stats(profiler, stream=stacks).sort_stats("cumtime").print_stats(
        "saber|optuna/(study|storages|samplers)", N_STACKS
    )
    return {
        "n_stored": n_done,
        "steps_s": steps,
        "ask_ms": 1000 * median(bare),
        "ask_in_loop_ms": 1000 * median(asked[1:]),
        "first_ask_in_loop_ms": 1000 * asked[0],
        "loop_ms": 1000 * loop,
        "profile": stacks.getvalue(),
    }


def stored_outcome(metrics: Any) -> Any:
    """An outcome with these metrics, an empty plan and no responses."""
    from saber.lm.editing.compiled import CompiledPlan
    from saber.lm.evaluation.measurement import Measured
    from saber.lm.planning import PlannedEdit
    from saber.study.trial_result import TrialResult
    from saber.types import EditPlan

    planned = PlannedEdit(CompiledPlan(EditPlan(()), (), ()), "max_iterations", ())
    return TrialResult(planned, Measured(metrics, ()), 0.0)


def shown(steps: dict[str, Any], console: Console) -> None:
    """Print the steps beside their targets, and where the time goes."""
    table = Table(title=f"a study of {steps['n_stored']:,} stored trials")
    table.add_column("step")
    table.add_column("found", justify="right")
    table.add_column("target", justify="right")
    for name, seconds in steps["steps_s"].items():
        table.add_row(name, f"{seconds:.2f} s", f"< {START_S:g} s" if name.startswith("start") else "")
    table.add_row("ask and suggest", f"{steps['ask_ms']:.0f} ms", f"< {ASK_MS:g} ms")
    table.add_row("in the driver, from told to the next evaluation", f"{steps['ask_in_loop_ms']:.0f} ms", "")
    table.add_row("the driver's first ask", f"{steps['first_ask_in_loop_ms']:.0f} ms", "")
    table.add_row("the driver's whole turn but the evaluation", f"{steps['loop_ms']:.0f} ms", "")
    console.print(table)
    console.print(f"{N_PROFILED} turns of the driver, profiled:\n{steps['profile']}", highlight=False)


def main() -> None:
    """Fill a database in one process, resume it in another, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--sampler", choices=("tpe", "nsga2", "random"), default="tpe")
    parser.add_argument("--asks", type=int, default=20)
    parser.add_argument("--organism", type=Path, default=Path("sweeps/_organism/seed0"))
    parser.add_argument("--folder", type=Path, help="keep the study here")
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/study_growth.json"))
    options = parser.parse_args()
    if options.resume:
        print(json.dumps(resume(options, options.folder)))
        return
    console = Console() if sys.stdout.isatty() else Console(width=160)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "benchmark" / "study.db").exists():
            started = time.perf_counter()
            fill(options, folder)
            console.print(f"{options.trials:,} trials stored in {time.perf_counter() - started:.0f} s")
        again = [sys.executable, __file__, "--resume", f"--folder={folder}", f"--asks={options.asks}"]
        done = subprocess.run([*again, f"--sampler={options.sampler}"], check=True, stdout=subprocess.PIPE, text=True)
    steps = json.loads(done.stdout.splitlines()[-1])
    shown(steps, console)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(steps, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
