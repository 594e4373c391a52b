"""What a worker in another process does: open the driver's workbench, or one of its own, and evaluate with it."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from saber.config import Config
from saber.console import announce
from saber.lm.architecture.devices import in_main_memory
from saber.lm.editing.compiled import CompiledPlan
from saber.lm.inference.oom import Room
from saber.study.context import Workbench, open_workbench, study_folder
from saber.study.run.evaluator import evaluate
from saber.study.run.workers import Evaluator
from saber.study.search.front_so_far import FrontSoFar
from saber.study.search.space import Knob
from saber.study.trial_result import TrialResult
from saber.types import Round


def open_evaluator(home: Path, host: str, config: Config, knobs: tuple[Knob, ...]) -> Evaluator:
    """Open the study's workbench in ``home``, the driver's folder, and return what evaluates with it.

    On the driver's ``host`` every cache is there. Elsewhere the folder is shared or is made, and of the workers there
    one after the other looks for the caches, so that the first makes them and the others read.
    """
    home.mkdir(parents=True, exist_ok=True)
    os.chdir(home)
    if socket.gethostname() == host:
        bench = open_workbench(config, knobs)
    else:
        with alone(study_folder(config)):
            bench = open_workbench(config, knobs)

    room = Room(config.launch.batch, config.evaluate.batch_size, announce)

    def evaluator(configs: Sequence[Config], front: FrontSoFar) -> list[TrialResult]:
        return [portable(outcome) for outcome in evaluate(bench, configs, front, room=room)]

    return evaluator


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other worker is inside."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "workers.lock", "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def portable(outcome: TrialResult) -> TrialResult:
    """An outcome that a machine without this one's GPU can read."""
    if outcome.planned is None:
        return outcome
    plan = outcome.planned.plan
    rounds = tuple(
        Round.from_tensors({name: tensor.cpu() for name, tensor in edit_round.tensors.items()})
        for edit_round in plan.rounds
    )
    selected = tuple(
        dataclasses.replace(
            ranked, direction=dataclasses.replace(ranked.direction, vector=ranked.direction.vector.cpu())
        )
        for ranked in outcome.planned.selected
    )
    compiled = CompiledPlan(dataclasses.replace(plan, rounds=rounds), (), ())
    planned = dataclasses.replace(outcome.planned, compiled=compiled, selected=selected)
    return dataclasses.replace(outcome, planned=planned)


@contextmanager
def parked(bench: Workbench) -> Iterator[None]:
    """Keep the driver's copy of the model in main memory while workers have the GPU; a packed one cannot be moved."""
    if bench.config.model.quantise != "none":
        yield
        return
    with in_main_memory(bench.adapter.model):
        yield
