"""Where a trial's time goes on the real model, and how many trials Heretic runs in it, alternating in one run.

    python benchmarks/real_speed.py FOLDER --out OUT [--heretic PEERS/heretic/bin/python] [--method outputs]
        [--dtypes float32 bfloat16] [--blocks 3] [--trials 2] [--tokens 24] [--words data.tune.harmful=48 ...]

FOLDER is what ``real_model.py prepare`` made. Every contender runs a block of trials in turn, so that a slow phase of
the machine hits all alike. Seconds are of the processor, one thread, so that what else runs there counts little; a part
of a trial has its own time, less what is called inside it. "same measurements" is SABER with what Heretic measures,
refusals of the harmful prompts and first-token KL on the harmless ones; its replies to these are forced all the same.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import optuna
from peers.lines import Worker
from real_cells import Cell, Setting, configured, open_bench
from real_peers import HERE, PROMPTS_AT_ONCE, n_startup, peer_folder, system_turn
from saber_worker import only

from saber.config import Config
from saber.keys import with_values
from saber.lm.evaluation import base_logits, measurement, passes, teacher_forcing
from saber.study.context import Workbench
from saber.study.run import evaluator
from saber.study.search.space import parse_space, suggest

TICKS = 100  # of /proc/PID/stat, a second
Parts = dict[str, float]


@dataclass
class Clock:
    """Processor seconds by part, each less what is called inside it."""

    parts: Parts = field(default_factory=lambda: defaultdict(float))
    stack: list[str] = field(default_factory=list)
    since: float = 0.0

    def _lap(self) -> None:
        now = time.process_time()
        if self.stack:
            self.parts[self.stack[-1]] += now - self.since
        self.since = now

    @contextmanager
    def inside(self, part: str) -> Iterator[None]:
        """Count what runs inside to a part; the model's passes to the part that calls them as well."""
        self._lap()
        self.stack.append(f"{part} in {self.stack[-1]}" if part == "model" and self.stack else part)
        try:
            yield
        finally:
            self._lap()
            self.stack.pop()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, counted to a part."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with self.inside(part):
                return function(*args, **kwargs)

        return run


WHERE = (
    ("planning", evaluator, "plan_trials"),
    ("forcing replies", passes, "drift_of"),
    ("KL", teacher_forcing, "kl_divergence_nats"),
    ("decoding", passes, "greedy"),
    ("labels", measurement, "label"),
    ("reading base logits", base_logits, "_read"),
)


@contextmanager
def clocked(bench: Workbench) -> Iterator[Clock]:
    """Time the parts of whatever is evaluated inside."""
    clock, model = Clock(), bench.adapter.model
    with ExitStack() as stack:
        for part, module, name in WHERE:
            stack.enter_context(patch.object(module, name, clock.timed(part, getattr(module, name))))
        stack.enter_context(patch.object(model, "forward", clock.timed("model", model.forward)))
        yield clock


@dataclass
class Saber:
    """SABER on one protocol and dtype: a study in memory, its workbench, and what blocks took."""

    name: str
    config: Config
    bench: Workbench
    study: optuna.Study
    seconds: list[float] = field(default_factory=list)
    parts: Parts = field(default_factory=lambda: defaultdict(float))
    n_trials: int = 0

    def run(self, n: int) -> None:
        """Ask for, evaluate and tell so many trials."""
        started = time.process_time()
        knobs = parse_space(self.config)
        with clocked(self.bench) as clock, clock.inside("asking, telling and the rest"):
            for _ in range(n):
                trial = self.study.ask()
                (result,) = evaluator.evaluate(self.bench, [suggest(trial, knobs, self.config)])
                if result.measured is None:
                    raise SystemExit(f"error: expected a trial to succeed, found: {result.failure}")
                metrics = result.measured.metrics
                self.study.tell(trial, (metrics["refusal_rate"], metrics["kld"]))
        self.seconds.append((time.process_time() - started) / n)
        for part, seconds in clock.parts.items():
            self.parts[part] += seconds
        self.n_trials += n

    def forget(self) -> None:
        """Begin to count anew."""
        self.seconds.clear()
        self.parts.clear()
        self.n_trials = 0


@dataclass
class Heretic:
    """Heretic's worker on the same prompts, and what blocks took."""

    worker: Worker
    seconds: list[float] = field(default_factory=list)
    name: str = "heretic 1.4.0, its defaults"

    def run(self, n: int) -> None:
        """Run so many trials."""
        before = cpu_seconds(self.worker.process.pid)
        self.worker.ask(run=n)
        self.seconds.append((cpu_seconds(self.worker.process.pid) - before) / n)

    def forget(self) -> None:
        """Begin to count anew."""
        self.seconds.clear()


def cpu_seconds(pid: int) -> float:
    """What a process has had of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def saber(options: argparse.Namespace, dtype: str, same: bool) -> Saber:
    """SABER with a study in memory."""
    words = (*options.words, f"model.dtype={dtype}", f"study.name=speed-{dtype}-{same}")
    config = configured(Cell(options.method, 0), Setting(options.folder, options.out, 1000, options.tokens, words))
    if same:
        config = with_values(config, {"evaluate.kld_positions": "first", "evaluate.drift_kinds": ("harmless",)})
    bench = open_bench(config)
    if same:
        bench = only(bench, ("harmful", "harmless"), {})
    sampler = optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    return Saber(f"saber, {dtype}, {'same measurements' if same else 'default protocol'}", config, bench, study)


def heretic(options: argparse.Namespace, bench: Workbench) -> Heretic:
    """Heretic's worker."""
    options.out.mkdir(parents=True, exist_ok=True)
    model = peer_folder(options.folder / "model", bench, options.out / "heretic")
    words = [
        *(options.heretic, HERE / "peers" / "heretic_worker.py", model, "--tokens", str(options.tokens)),
        *("--trials", "1000", "--startup-trials", str(n_startup(40)), "--threads", "1"),
        *("--batch-size", str(PROMPTS_AT_ONCE), "--system-prompt", system_turn(bench.adapter)),
    ]
    return Heretic(Worker("heretic", words, threads=1, log=options.out / "heretic.log"))


def table(contenders: Sequence[Saber | Heretic]) -> str:
    """Seconds a trial and, where Heretic ran, how many times its rate, block by block."""
    peer = next((one for one in contenders if isinstance(one, Heretic)), None)
    lines = ["| contender | processor seconds a trial (median, range) | times Heretic's rate |", "|---|---|---|"]
    for one in contenders:
        low, high = min(one.seconds), max(one.seconds)
        ratio = "" if peer is None else f"{median(p / s for p, s in zip(peer.seconds, one.seconds, strict=True)):.2f}"
        lines.append(f"| {one.name} | {median(one.seconds):.2f} ({low:.2f}-{high:.2f}) | {ratio} |")
    return "\n".join(lines)


def parts_table(one: Saber) -> str:
    """The parts of a trial, largest first."""
    total = sum(one.parts.values())
    rows = sorted(one.parts.items(), key=lambda row: -row[1])
    lines = [f"| {one.name} | s a trial | share |", "|---|---|---|"]
    lines += [f"| {part} | {seconds / one.n_trials:.3f} | {seconds / total:.1%} |" for part, seconds in rows]
    return "\n".join(lines)


def options_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--heretic", type=Path)
    parser.add_argument("--method", default="outputs")
    parser.add_argument("--dtypes", nargs="+", default=["float32"])
    parser.add_argument("--protocols", nargs="+", choices=("default", "same"), default=["default", "same"])
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--trials", type=int, default=2, help="in a block")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--words", nargs="+", default=[], help="words of saber.sweep")
    return parser.parse_args(words)


def main() -> None:
    """Alternate, print the tables, keep them as JSON."""
    options = options_of()
    contenders: list[Saber | Heretic] = [
        saber(options, dtype, same=protocol == "same") for dtype in options.dtypes for protocol in options.protocols
    ]
    if options.heretic is not None:
        contenders.append(heretic(options, contenders[0].bench))  # type: ignore[union-attr]
    for one in contenders:
        one.run(1)  # warms up, and teaches drafts what the base says
        one.forget()
    for block in range(options.blocks):
        for one in contenders:
            one.run(options.trials)
        print(f"block {block + 1} of {options.blocks}", flush=True)
    print(table(contenders))
    ours = [one for one in contenders if isinstance(one, Saber)]
    print("\n".join(parts_table(one) for one in ours))
    rows = {one.name: {"seconds": one.seconds} for one in contenders} | {f"{o.name}, parts": o.parts for o in ours}
    (options.out / "real_speed.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
