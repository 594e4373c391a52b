"""Trials per minute of SABER, Heretic and the original recipe, on the same organism, prompts, tokens and threads.

    python benchmarks/trial_speed.py --heretic ~/.cache/saber-peers/heretic/bin/python [--threads 1 2]
        [--batches 1 2 4 8] [--repeats 5] [--organism sweeps/_organism/seed0] [--out trial_speed.json] [--minutes 3]

Every contender is a process that stays loaded. In each repetition all of them run one block of trials in turn, so that
a slow phase of the machine hits all alike; ratios are taken within a repetition, and their median and range are shown.
Optuna's ask and tell and the writing of results are part of a block on every side. "same measurements" is SABER with
Heretic's protocol: refusals of the harmful prompts and first-token KL on the harmless ones. "defaults" adds what SABER
measures by default: over-refusals, capability, KL over the response, on twice the prompts and more.

A system prompt that all prompts share, as Heretic has one by default, is asked of both sides with --system-prompt.
Heretic decodes in batches of the size that its own calibration picks, or all prompts at once where that is faster. The
original recipe decodes one prompt at a time, as its scripts do; a second row lets it decode in one batch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from peers.lines import Worker
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
BLOCK_S = 4.0  # about how long a block of trials takes
JUDGED_T = 1  # of the batch sizes the one that targets are held to, chosen before anything is measured
TARGETS = {  # (SABER's rounds, the peer) -> at least so many times its trials per minute
    (1, "heretic"): 5.0,
    (4, "heretic"): 2.5,
    (4, "original"): 8.0,
}


@dataclass
class Contender:
    """A worker with a way of running its trials, and the seconds per trial of every block so far."""

    name: str
    worker: Worker
    settings: dict[str, Any] = field(default_factory=dict)
    block: int = 1
    seconds: list[float] = field(default_factory=list)

    def warm_up(self) -> None:
        """Run one batch untimed, and choose how many trials fill a block."""
        n = int(self.settings.get("trials_per_batch", 1))
        self.worker.ask(run=n, **self.settings)
        seconds = self.worker.ask(run=n, **self.settings)["seconds"] / n
        self.block = n * max(1, round(BLOCK_S / (seconds * n)))

    def run(self) -> None:
        """Run one timed block."""
        answer = self.worker.ask(run=self.block, **self.settings)
        failed = [trial for trial in answer["trials"] if trial.get("failure")]
        if failed:
            raise SystemExit(f"error: expected {self.name}'s trials to succeed, found: {failed[0]['failure']}")
        self.seconds.append(answer["seconds"] / self.block)


def start(options: argparse.Namespace, threads: int, folder: Path) -> list[Contender]:
    """Start every worker for one number of threads."""
    organism = options.organism.resolve()
    sizes = [f"--n-harmful={options.n_harmful}", f"--n-harmless={options.n_harmless}"]
    common = [*sizes, f"--tokens={options.tokens}", f"--threads={threads}"]

    def worker(name: str, *command: str | Path) -> Worker:
        return Worker(name, [*command, *common], threads=threads, log=folder / f"{name}.log".replace(" ", "-"))

    asked = f"--system-prompt={options.system_prompt}"
    contenders: list[Contender] = []
    if options.heretic is not None:
        script = HERE / "peers" / "heretic_worker.py"
        heretic = worker(
            "heretic", options.heretic, script, organism, f"--startup-trials={options.startup_trials}", asked
        )
        contenders.append(Contender("heretic", heretic, faster_batch(heretic, options.n_harmful)))
    if not (options.no_original or options.system_prompt):
        script = HERE / "peers" / "original_recipe.py"
        for name, batch in (("original", 1), ("original, batched", options.n_harmful)):
            words = [f"--generate-batch={batch}", f"--n-probe={options.n_probe}"]
            peer = worker(name, sys.executable, script, organism, *words)
            contenders.append(Contender(name, peer))
    for only, what in (("refusals", "same measurements"), ("all", "defaults")):
        for rounds in options.rounds:
            name = f"saber, {rounds} round{'s' if rounds > 1 else ''}, {what}"
            place = folder / f"study-{only}-{rounds}"
            words = [f"--only={only}", f"--rounds={rounds}", asked]
            saber = worker(name, sys.executable, HERE / "saber_worker.py", organism, place, *words)
            for n in options.batches:
                contenders.append(Contender(f"{name}, T = {n}", saber, {"trials_per_batch": n}))
            if threads > 1 and options.workers and only == "refusals":
                place = folder / f"study-workers-{only}-{rounds}"
                words = [*words, f"--workers={threads}", "--trials-per-batch=1"]
                many = worker(f"{name}, workers", sys.executable, HERE / "saber_worker.py", organism, place, *words)
                contenders.append(Contender(f"{name}, {threads} workers of one thread", many))
    return contenders


def faster_batch(heretic: Worker, n_prompts: int) -> dict[str, Any]:
    """Leave Heretic's own batch size, or set all prompts at once where its trials are faster so."""
    chosen = int(heretic.ready["batch_size"])
    heretic.ask(run=1)
    times: dict[int, float] = {}
    for size in (chosen, n_prompts, chosen, n_prompts):
        heretic.ask(batch_size=size)
        seconds = heretic.ask(run=2)["seconds"]
        times[size] = min(seconds, times.get(size, seconds))
    heretic.ask(batch_size=min(times, key=times.__getitem__))
    heretic.ready["batch_size"] = min(times, key=times.__getitem__)
    return {}


def ratios(peer: Contender, ours: Contender) -> list[float]:
    """How many times the peer's trials ours does in the same time, by repetition."""
    return [theirs / mine for theirs, mine in zip(peer.seconds, ours.seconds, strict=True)]


def said(values: Sequence[float]) -> str:
    """Median with its range."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def tables(contenders: Sequence[Contender], threads: int) -> list[Table]:
    """One table of the peers and SABER measuring the same, one of SABER as it is by default."""
    peers = {contender.name: contender for contender in contenders if not contender.name.startswith("saber")}
    drawn: list[Table] = []
    for what in ("same measurements", "defaults"):
        table = Table(title=f"{threads} thread{'s' if threads > 1 else ''}, SABER with {what}")
        for name in ("contender", "s a trial (median, range)", "trials/min", *(f"x {peer}" for peer in peers)):
            table.add_column(name, justify="left" if name == "contender" else "right")
        for contender in contenders:
            if contender.name in peers or what in contender.name:
                times = [said(ratios(peer, contender)) for peer in peers.values()]
                table.add_row(contender.name, said(contender.seconds), f"{60 / median(contender.seconds):.1f}", *times)
        drawn.append(table)
    return drawn


def verdicts(contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    """Each target with the ratio at the T that was fixed beforehand; without that T among the batches there is none."""
    rows: list[dict[str, Any]] = []
    by_name = {contender.name: contender for contender in contenders}
    for (rounds, peer), target in TARGETS.items():
        name = f"saber, {rounds} round{'s' if rounds > 1 else ''}, same measurements, T = {JUDGED_T}"
        if peer in by_name and name in by_name:
            values = ratios(by_name[peer], by_name[name])
            rows.append(
                {
                    "ours": name,
                    "peer": peer,
                    "target": target,
                    "ratio": median(values),
                    "range": [min(values), max(values)],
                }
            )
    return rows


def measure(options: argparse.Namespace, threads: int, console: Console) -> dict[str, Any]:
    """Alternate between all contenders for one number of threads."""
    with tempfile.TemporaryDirectory() as temporary:
        contenders = start(options, threads, Path(temporary))
        for contender in contenders:
            contender.warm_up()
        started = time.monotonic()
        for repeat in range(options.repeats):
            for entrant in contenders:
                entrant.run()
            took = (time.monotonic() - started) / (repeat + 1)
            console.print(f"{threads} threads: repetition {repeat + 1} of {options.repeats}, {took:.0f} s each")
            if options.minutes is not None and time.monotonic() - started + took > 60 * options.minutes:
                break
        workers = {id(contender.worker): contender.worker for contender in contenders}
        for worker in workers.values():
            worker.stop()
    for table in tables(contenders, threads):
        console.print(table)
    for verdict in verdicts(contenders):
        met = "met" if verdict["ratio"] >= verdict["target"] else "missed"
        low, high = verdict["range"]
        console.print(
            f"{verdict['ours']} against {verdict['peer']}: {verdict['ratio']:.2f} ({low:.2f}-{high:.2f}),"
            f" target {verdict['target']:g}: {met}"
        )
    return {
        "threads": threads,
        "contenders": [
            {"name": c.name, "block": c.block, "s_per_trial": c.seconds, **c.worker.ready} for c in contenders
        ],
        "targets": verdicts(contenders),
    }


def main() -> None:
    """Measure for each number of threads, print the tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heretic", type=Path, help="the Python of Heretic's environment; left out, it is not run")
    parser.add_argument("--no-original", action="store_true")
    parser.add_argument(
        "--system-prompt", default="", help="of both sides; the original recipe has none and is left out"
    )
    parser.add_argument("--organism", type=Path, default=Path("sweeps/_organism/seed0"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8], help="SABER's trials in a batch")
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--minutes", type=float, help="begin no repetition that would end later, per number of threads")
    parser.add_argument("--workers", action="store_true", help="also one study shared by a worker for each thread")
    parser.add_argument("--n-harmful", type=int, default=96)
    parser.add_argument("--n-harmless", type=int, default=64)
    parser.add_argument(
        "--n-probe", type=int, default=76, help="the original's; SABER's space has 24 to 128, 76 on average"
    )
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--startup-trials", type=int, default=60, help="Heretic's random trials at the start")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/trial_speed.json"))
    options = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=160)
    runs = [measure(options, threads, console) for threads in options.threads]
    machine = {"machine": platform.platform(), "processor": platform.processor(), "cores": os.cpu_count()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({**machine, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
