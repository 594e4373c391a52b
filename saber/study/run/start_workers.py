"""Which workers a study has: this process, or Ray's actors."""

from __future__ import annotations

import dataclasses
import importlib.util
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from saber.config import LaunchConfig
from saber.lm.inference.oom import Room
from saber.study.context import Workbench
from saber.study.run.evaluator import evaluate
from saber.study.run.remote import open_evaluator, parked
from saber.study.run.workers import InProcess, Workers
from saber.study.search.space import Knob
from saber.types import UserError


def check_launch(launch: LaunchConfig) -> None:
    """Find out before the model is loaded whether the workers can be had.

    Raises:
        UserError: Ray is wanted and not installed.
    """
    if launch.kind == "ray" and importlib.util.find_spec("ray") is None:
        raise UserError("launch=ray: expected the package ray, found none; pip install 'saber-sweep[ray]'")


def n_outstanding(launch: LaunchConfig) -> int:
    """How many trials are asked for before the first of them is told: with Ray one batch waits beside the workers'."""
    return launch.batch * (1 if launch.kind == "local" else launch.workers + 1)


@contextmanager
def workers_of(bench: Workbench, knobs: Sequence[Knob], say: Callable[[str], None]) -> Iterator[Workers]:
    """The study's workers, gone afterwards; the workbench has made the caches that others only read.

    Raises:
        UserError: the workers cannot be had.
    """
    launch = bench.config.launch
    if launch.kind == "local":
        room = Room(launch.batch, bench.config.evaluate.batch_size, say)
        yield InProcess(partial(evaluate, bench, room=room), launch.batch)
        return
    from saber.study.run.ray_workers import ray_workers

    if launch.gpus_per_worker is None and bench.config.model.device == "cpu":
        launch = dataclasses.replace(launch, gpus_per_worker=0.0)
    make = partial(open_evaluator, Path.cwd(), socket.gethostname(), bench.config, tuple(knobs))
    with parked(bench), ray_workers(launch, make, say) as workers:
        yield workers
