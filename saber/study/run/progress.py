"""Progress of a sweep: a live bar on a terminal, one plain line a trial elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.study import StudyDirection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from saber.scoring.pareto import Goal, pareto_mask
from saber.study.store.records import complete_trials, finished_trials
from saber.study.trial_result import TrialResult


class Progress:
    """What the driver says while it runs: time left, the best of each objective so far, the size of the front."""

    def __init__(self, console: Console, n_trials: int, n_done: int) -> None:
        self.console = console
        self.n_trials = n_trials
        self.started = time.monotonic()
        self.n_done_before = n_done
        self.live = console.is_terminal
        self.bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}"),
            console=console,
            disable=not self.live,
        )
        self.task = self.bar.add_task("trials", total=n_trials, completed=n_done, best="")

    @contextmanager
    def showing(self) -> Iterator[Progress]:
        """Show the bar while inside."""
        with self.bar:
            yield self

    def evaluating(self, numbers: Sequence[int]) -> None:
        """Some trials have begun."""
        first, last = numbers[0], numbers[-1]
        label = f"trial {first}" if first == last else f"trials {first}-{last}"
        self.bar.update(self.task, description=label)

    def told(self, study: optuna.Study, name: str, outcome: TrialResult) -> None:
        """One trial has finished."""
        n_done = len(finished_trials(study))
        best = standing(study)
        self.bar.update(self.task, completed=n_done, best=best)
        if not self.live:
            rate = (time.monotonic() - self.started) / max(1, n_done - self.n_done_before)
            left = rate * (self.n_trials - n_done)
            what = f"failed: {outcome.failure}" if outcome.measured is None else best
            self.console.print(
                f"{n_done}/{self.n_trials} {name}: {what}; {left:.0f} s left", soft_wrap=True, highlight=False
            )


def standing(study: optuna.Study) -> str:
    """The best of each objective so far and the size of the front."""
    feasible = [trial.values for trial in complete_trials(study) if trial.user_attrs["feasible"]]
    if not feasible:
        return "no feasible point yet"
    names = study.metric_names or [f"objective {i}" for i in range(len(study.directions))]
    goals: list[Goal] = [
        "minimize" if direction == StudyDirection.MINIMIZE else "maximize" for direction in study.directions
    ]
    values = np.array(feasible)
    parts: list[str] = []
    for column, name, goal in zip(values.T, names, goals, strict=True):
        parts.append(f"best {name} {column.min() if goal == 'minimize' else column.max():.3f}")
    return f"{', '.join(parts)}, front {pareto_mask(values, goals).sum()}"
