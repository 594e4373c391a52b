"""One cell of ``front.py`` with a method of our own: search on tune, then measure the chosen points on report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from front_methods import METHODS, PEERS
from front_score import KLDS, chosen
from peers.lines import prompts_of
from rich.console import Console
from saber_worker import composed, only, organism_words

from saber.config import Config
from saber.keys import with_values
from saber.lm.editing.plan_file import load_plan
from saber.lm.evaluation.measurement import measure_trials
from saber.lm.evaluation.reference import Reference, make_reference
from saber.study.context import Workbench, open_workbench, study_folder
from saber.study.run.calibration import with_scale
from saber.study.run.driver import drive
from saber.study.run.evaluator import evaluate
from saber.study.run.progress import Progress
from saber.study.run.session import calm_optuna
from saber.study.run.workers import InProcess
from saber.study.search.samplers import make_sampler
from saber.study.search.space import parse_space
from saber.study.store.fingerprint import identity
from saber.study.store.records import complete_trials, finished_trials, metrics_from_json, plan_path
from saber.study.store.storage import one_driver, open_study
from saber.types import EditPlan, Metrics, Split, UserError, digest_json

KINDS = ("harmful", "harmless", "capability")  # neither objective counts borderline prompts
RATES = ("refusal_rate", "capability", "harmless_refusal_rate", "degenerate_rate")
NUMBERS = (*RATES, *(f"kld_{position}" for position in (*KLDS, "p95", "max")))
AT_ONCE = 10  # trials between two looks at the clock: a cell that is cut loses the time of so many at most
SEARCH_S = "search_s"


@dataclass(frozen=True)
class Cell:
    """A method on an organism with a search seed."""

    method: str
    organism: Path
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What names it among the others."""
        return self.method, self.organism.name, self.seed


@dataclass(frozen=True)
class Setting:
    """What is the same for all cells."""

    folder: Path
    n_trials: int
    tokens: int
    words: tuple[str, ...] = ()
    heretic: Path | None = None


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The report split with the base's side of it."""

    split: Split
    reference: Reference


def configured(cell: Cell, setting: Setting) -> Config:
    """The configuration that a cell is searched with."""
    method = METHODS[cell.method]
    words = [
        *organism_words(cell.organism),
        f"study.dir={setting.folder / 'studies' / cell.organism.name}",
        f"study.n_trials={setting.n_trials}",
        f"study.seed={cell.seed}",
        "launch.threads=1",
        f"evaluate.max_new_tokens={setting.tokens}",
    ]
    config = method.control.applied_to(composed([f"+sweep={method.sweep}", *words, *setting.words, *method.words]))
    return with_values(config, {"study.name": f"{cell.method}-{cell.seed}-{fingerprint(cell, config)}"})


def fingerprint(cell: Cell, config: Config) -> str:
    """What the cell's numbers depend on, so that those made under another configuration are not taken for them.

    Code is not in it: after a change of the core's or of a control's code, begin another folder.
    """
    plain = asdict(config)
    is_peer = cell.method in PEERS
    study = ("n_trials", "seed", *(() if is_peer else ("sampler", "objectives", "enqueue")))
    parts = ("evaluate", *(() if is_peer else ("data", "edit", "space", "launch")))
    about: dict[str, Any] = {name: plain[name] for name in parts} | {name: plain["study"][name] for name in study}
    return digest_json(about | {"organism_seed": config.organism.seed})


def run_cell(cell: Cell, setting: Setting) -> dict[str, Any]:
    """Search, measure what was chosen, and say it all in one row."""
    config = configured(cell, setting)
    calm_optuna()
    control = METHODS[cell.method].control
    with one_driver(study_folder(config)), control.patch(cell.seed):
        started = time.perf_counter()
        bench = replace(open_bench(config), steps=control.steps(cell.seed))
        setup_s = time.perf_counter() - started
        study = search(bench, config)
        done = complete_trials(study)
        trials = [
            {"number": trial.number, "params": trial.params, "values": trial.values, "tune": numbers_of(trial)}
            for trial in done
        ]
        plans = {trial.number: str(trial.user_attrs["plan"]) for trial in done}
        side = held_out(bench)
        report = measured_on_report(bench, side, {number: plans[number] for number in chosen(trials)})
        row = described(cell, setting, config, bench, side)
    n_failed = len(finished_trials(study)) - len(done)
    return row | {
        "n_trials": len(done) + n_failed,
        "n_failed": n_failed,
        "setup_s": setup_s,
        "search_s": study.user_attrs[SEARCH_S],
        "trials": trials,
        "report": report,
    }


def open_bench(config: Config) -> Workbench:
    """The workbench, its tune split without borderline prompts.

    Raises:
        UserError: the organism's folder lists other prompts than those that would be measured here.
    """
    bench = open_workbench(config, parse_space(config))
    for split in bench.splits.values():
        _check_same_prompts(Path(config.model.path), split)
    return only(bench, KINDS, {})


def _check_same_prompts(organism: Path, split: Split) -> None:
    for kind in KINDS:
        if prompts_of(organism, split.name, kind) != [prompt.text for prompt in split.of(kind)]:  # type: ignore[arg-type]
            raise UserError(
                f"expected the {kind} prompts of {organism}/prompts/{split.name}.jsonl, found others: give the"
                " organism's seed with --words organism.seed=..."
            )


def search(bench: Workbench, config: Config) -> optuna.Study:
    """Drive the cell's study to its trials, from wherever it stands; its time is kept in the study itself."""
    knobs = parse_space(config)
    study = open_study(config, identity(config, knobs, bench))
    size, wanted = config.launch.batch, int(config.study.n_trials)
    study.sampler = make_sampler(config.study, len(study.trials), wanted, size)
    bench = with_scale(study, bench, knobs)
    workers = InProcess(partial(evaluate, bench), size)
    while (n_done := len(finished_trials(study))) < wanted:
        started = time.perf_counter()
        drive(
            study,
            bench.config,
            knobs,
            workers,
            Progress(Console(quiet=True), wanted, n_done),
            min(n_done + AT_ONCE, wanted),
        )
        spent = study.user_attrs.get(SEARCH_S, 0.0) + time.perf_counter() - started
        study.set_user_attr(SEARCH_S, spent)
    return study


def numbers_of(trial: optuna.trial.FrozenTrial) -> dict[str, float]:
    """A trial's numbers on tune."""
    return numbers(metrics_from_json(trial.user_attrs["metrics"]))


def numbers(metrics: Metrics) -> dict[str, float]:
    """The metrics that a front is looked at by."""
    return {name: metrics[name] for name in NUMBERS if name in metrics.estimates}


def held_out(bench: Workbench) -> HeldOut:
    """The report split without borderline prompts, and the base on it."""
    report = bench.splits["report"]
    split = Split("report", tuple(prompt for kind in KINDS for prompt in report.of(kind)))  # type: ignore[arg-type]
    return HeldOut(split, make_reference(bench.adapter, split, bench.config.evaluate))


def measured_on_report(bench: Workbench, side: HeldOut, digests: Mapping[int, str]) -> dict[str, dict[str, float]]:
    """By trial number, the numbers of its plan on report."""
    size = bench.config.launch.batch
    wanted = list(dict.fromkeys(digests.values()))
    by_digest: dict[str, dict[str, float]] = {}
    for start in range(0, len(wanted), size):
        part = wanted[start : start + size]
        plans = [load_plan(plan_path(bench.folder, digest), digest) for digest in part]
        measured = measure_trials(bench.adapter, side.split, bench.config.evaluate, side.reference, plans)
        by_digest |= {digest: numbers(on_report.metrics) for digest, on_report in zip(part, measured, strict=True)}
    return {str(number): by_digest[digest] for number, digest in digests.items()}


def described(cell: Cell, setting: Setting, config: Config, bench: Workbench, side: HeldOut) -> dict[str, Any]:
    """What every row says: the cell, its settings, and the base."""
    (report,) = measure_trials(bench.adapter, side.split, config.evaluate, side.reference, [EditPlan(())])
    counts: Mapping[str, Sequence[Any]] = {"tune": bench.splits["tune"].prompts, "report": side.split.prompts}
    return {
        "method": cell.method,
        "organism": cell.organism.name,
        "seed": cell.seed,
        "fingerprint": fingerprint(cell, config),
        "words": [*setting.words, *METHODS[cell.method].words],
        "model": bench.model_digest,
        "base": {"tune": numbers(bench.base_tune.metrics), "report": numbers(report.metrics)},
        "n_prompts": {
            name: {kind: sum(prompt.kind == kind for prompt in prompts) for kind in KINDS}
            for name, prompts in counts.items()
        },
    }
