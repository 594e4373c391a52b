"""The contenders of ``real_speed.py``: SABER with a protocol, a dtype and a batch of trials, ARA, Heretic's worker."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import optuna
from front_ara import Ablation
from front_heretic import measured_with
from overhead import recorded, replay
from peers.ara import suggested
from peers.lines import Worker

from saber.config import Config
from saber.keys import with_values
from saber.lm.evaluation import base_logits, measurement, passes, teacher_forcing
from saber.study.context import Workbench
from saber.study.run import evaluator
from saber.study.search.front_so_far import FrontSoFar
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

        @wraps(function)  # its signature says which caches the model takes
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


def forgetful(bench: Workbench) -> Workbench:
    """The same workbench with no past: contenders run the same trials, and would know each other's replies."""
    return replace(bench, reference=bench.reference.emptied())


@dataclass
class Saber:
    """SABER on one protocol and dtype: a study in memory, its workbench, and what blocks took."""

    name: str
    config: Config
    bench: Workbench
    study: optuna.Study
    front: FrontSoFar | None  # what the trials see of a study's front
    together: int = 1
    seconds: list[float] = field(default_factory=list)
    parts: Parts = field(default_factory=lambda: defaultdict(float))
    n_trials: int = 0

    def run(self, n: int) -> None:
        """Ask for, evaluate and tell so many trials, ``together`` in a batch."""
        started = time.process_time()
        with clocked(self.bench) as clock, clock.inside("asking, telling and the rest"):
            for _ in range(n // self.together):
                trials = [self.study.ask() for _ in range(self.together)]
                results = evaluator.evaluate(self.bench, [self._config_of(trial) for trial in trials], self.front)
                for trial, result in zip(trials, results, strict=True):
                    if result.measured is None:
                        raise SystemExit(f"error: expected a trial to succeed, found: {result.failure}")
                    metrics = result.measured.metrics
                    self.study.tell(trial, (metrics["refusal_rate"], metrics["kld"]))
        self.seconds.append((time.process_time() - started) / n)
        for part, seconds in clock.parts.items():
            self.parts[part] += seconds
        self.n_trials += n

    def warm_up(self) -> None:
        """Plan an edit of all writers, as what they spare is decomposed once a study, then run a trial."""
        writers = {"edit.component_scale.mlp": 1.0, "edit.acting_band.low": 0.0, "edit.acting_band.high": 1.0}
        started = time.process_time()
        evaluator.plan_trials(self.bench, [with_values(self.config, writers)])
        print(f"{self.name}: its first plan of all writers took {time.process_time() - started:.1f} s", flush=True)
        self.run(self.together)

    def _config_of(self, trial: optuna.Trial) -> Config:
        return suggest(trial, parse_space(self.config), self.config)

    def over_bare(self) -> float:
        """The processor time of a trial over that of its own forward passes on the bare model."""
        adapter, config = self.bench.adapter, self._config_of(self.study.ask())
        with recorded(adapter.model, adapter.blocks, keep=True) as recording:
            evaluator.evaluate(forgetful(self.bench), [config], self.front)
        bench = forgetful(self.bench)
        started = time.process_time()
        evaluator.evaluate(bench, [config], self.front)
        whole = time.process_time() - started
        return whole / replay(recording, adapter.blocks, clock=time.process_time)

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
    together: int = 1

    def warm_up(self) -> None:
        """Run a trial."""
        self.run(1)

    def run(self, n: int) -> None:
        """Run so many trials."""
        before = cpu_seconds(self.worker.process.pid)
        self.worker.ask(run=n)
        self.seconds.append((cpu_seconds(self.worker.process.pid) - before) / n)

    def forget(self) -> None:
        """Begin to count anew."""
        self.seconds.clear()


@dataclass
class Ara:
    """ARA with a study in memory, measured as Heretic measures; what it reads of the base is read before."""

    name: str
    bench: Workbench
    study: optuna.Study
    together: int = 1
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ablation = Ablation(self.bench, seed=0)

    def warm_up(self) -> None:
        """Run a trial."""
        self.run(1)

    def run(self, n: int) -> None:
        """Ask for, evaluate and tell so many trials."""
        started = time.process_time()
        for _ in range(n):
            trial = self.study.ask()
            weights = self.ablation.weights(suggested(trial, self.bench.adapter.n_layers))
            metrics = measured_with(self.bench, weights, self.bench.splits["tune"], self.bench.reference).metrics
            self.study.tell(trial, (metrics["refusal_rate"], metrics["kld"]))
        self.seconds.append((time.process_time() - started) / n)

    def forget(self) -> None:
        """Begin to count anew."""
        self.seconds.clear()


def cpu_seconds(pid: int) -> float:
    """What a process has had of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
