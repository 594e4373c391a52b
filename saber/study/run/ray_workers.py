"""Ray, and all that knows it: one actor a worker, batches for those that are ready, what a dead one held redone."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # what Ray tells the terminal; its files keep everything
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # without a GPU of its own a worker sees what it saw

import ray
from ray import exceptions

from saber.config import LaunchConfig
from saber.interrupts import interrupts_held
from saber.study.run.actor import Actor
from saber.study.run.workers import Batch, Done, Evaluator
from saber.study.trial_result import TrialResult
from saber.types import UserError

ATTEMPTS = 3  # a trial whose worker died so often has failed
PATIENCE_S = 600  # Ray starts a dead actor again; one that is not ready after this never will be
LOOPBACK = "127.0.0.1"
STORE_BYTES = 100 * 2**20  # outcomes are small, and /dev/shm of a container may be
LOST = (
    exceptions.RayActorError,
    exceptions.WorkerCrashedError,
    exceptions.OutOfMemoryError,
    exceptions.NodeDiedError,
    exceptions.ObjectLostError,
)
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Work:
    """A batch on its way, and how many workers have died over it."""

    batch: Batch
    deaths: int = 0


@dataclass(frozen=True, eq=False)
class Call:
    """What an actor is doing since when: a piece of work, or getting ready."""

    actor: Any
    work: Work | None
    since: float


class RayWorkers:
    """Actors behind the questions of `workers.Workers`; one batch more than they hold is asked ahead."""

    def __init__(self, launch: LaunchConfig, make: Callable[[], Evaluator], say: Say) -> None:
        self.launch, self.say = launch, say
        self.queue: deque[Work] = deque()
        self.finished: list[Done] = []
        self.idle: list[Any] = []
        self.calls: dict[Any, Call] = {}
        remote = ray.remote(Actor).options(
            num_cpus=launch.cpus_per_worker, num_gpus=gpus_per_worker(launch), max_restarts=-1, max_task_retries=0
        )
        for _ in range(launch.workers):
            self._get_ready(remote.remote(make), time.monotonic())

    def room(self, n_left: int) -> int:
        """A whole batch, or an even share where more workers are without work than that gives; one batch is ahead."""
        n_held = len(self.queue) + sum(call.work is not None for call in self.calls.values())
        n_without = self.launch.workers - n_held
        return 0 if n_without < 0 else min(self.launch.batch, ceil(n_left / max(1, n_without)))

    def submit(self, batch: Batch) -> None:
        """Send the batch to an idle actor, or keep it for the next one."""
        self.queue.append(Work(batch))
        self._gather(timeout=0)

    def wait(self) -> list[Done]:
        """Wait for one batch or more; actors that become idle get what is queued before this returns."""
        while not self.finished:
            self._gather(timeout=None)
        finished, self.finished = self.finished, []
        return finished

    def _gather(self, timeout: float | None) -> None:
        """Take what actors have finished, and hand out what is queued."""
        ready, _ = ray.wait(list(self.calls), num_returns=1, timeout=timeout) if self.calls else ([], [])
        if ready:
            ready, _ = ray.wait(list(self.calls), num_returns=len(self.calls), timeout=0)
        for ref in ready:
            self.finished += self._collect(ref, self.calls.pop(ref))
        self._dispatch()

    def _dispatch(self) -> None:
        while self.queue and self.idle:
            actor, work = self.idle.pop(0), self.queue.popleft()
            ref = actor.evaluate.remote(work.batch.configs, work.batch.front)
            self.calls[ref] = Call(actor, work, time.monotonic())

    def _get_ready(self, actor: Any, since: float) -> None:
        self.calls[actor.ready.remote()] = Call(actor, None, since)

    def _collect(self, ref: Any, call: Call) -> list[Done]:
        """What a call gave; a dead actor's work goes to the head of the queue.

        Raises:
            UserError: the evaluator cannot be made, or its processes die while making it.
        """
        try:
            outcomes = ray.get(ref)
        except exceptions.RayTaskError as error:
            raise error.cause from error
        except LOST as error:
            return self._lost(call, _first(error))
        self.idle.append(call.actor)
        return [] if call.work is None else [Done(call.work.batch, outcomes)]

    def _lost(self, call: Call, reason: str) -> list[Done]:
        if call.work is None:  # Ray says so again and again while it starts the actor
            if time.monotonic() - call.since > PATIENCE_S:
                raise UserError(
                    f"expected a worker to be ready within {PATIENCE_S} s, found: {reason};"
                    " look for too little memory, and in /tmp/ray/session_latest/logs"
                )
            self._get_ready(call.actor, call.since)
            return []
        self._get_ready(call.actor, time.monotonic())
        batch, deaths = call.work.batch, call.work.deaths + 1
        numbers = ", ".join(str(trial.number) for trial in batch.trials)
        if deaths == ATTEMPTS:
            self.say(f"trial {numbers}: a worker died over it {deaths} times, so it has failed")
            failed = TrialResult(None, None, time.monotonic() - call.since, f"its worker died {deaths} times: {reason}")
            return [Done(batch, [failed] * len(batch.trials))]
        self.say(f"trial {numbers}: the worker died, another one takes over")
        self.queue.extendleft(reversed(again(call.work, deaths)))
        return []


def again(work: Work, deaths: int) -> list[Work]:
    """A dead worker's batch: once more as it was, as it may be no trial's fault, and then each trial alone."""
    if deaths == 1:
        return [replace(work, deaths=deaths)]
    pairs = zip(work.batch.trials, work.batch.configs, strict=True)
    return [Work(Batch((trial,), (config,), work.batch.front), deaths) for trial, config in pairs]


@contextlib.contextmanager
def ray_workers(launch: LaunchConfig, make: Callable[[], Evaluator], say: Say) -> Iterator[RayWorkers]:
    """Start Ray, or join the cluster at ``launch.address``, with actors that are gone afterwards.

    Raises:
        UserError: the machine has too little for so many workers, or the cluster cannot be reached.
    """
    try:
        with interrupts_held():  # half a Ray cannot be stopped
            connect(launch)
            check_resources(launch, say)
            workers = RayWorkers(launch, make, say)
        yield workers
    finally:
        with interrupts_held():
            ray.shutdown()


def connect(launch: LaunchConfig) -> None:
    """Start a Ray of our own on the loopback interface, or join one.

    Raises:
        UserError: there is none at ``launch.address``.
    """
    quietly: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if launch.address is None:
        ray.init(
            address="local",
            _node_ip_address=LOOPBACK,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            **quietly,
        )
        return
    try:
        ray.init(address=launch.address, **quietly)
    except (ConnectionError, ValueError) as error:
        raise UserError(
            f"launch.address: expected a Ray cluster at {launch.address}, found: {_first(error)}"
        ) from error


def gpus_per_worker(launch: LaunchConfig) -> float:
    """As configured, or one where the machines have any."""
    if launch.gpus_per_worker is not None:
        return launch.gpus_per_worker
    return 1.0 if ray.cluster_resources().get("GPU", 0.0) >= 1.0 else 0.0


def check_resources(launch: LaunchConfig, say: Say) -> None:
    """Compare what all workers need with what there is; a cluster may still grow, one machine does not.

    Raises:
        UserError: this machine has too little.
    """
    there = ray.cluster_resources()
    for word, key, each in (("CPU", "cpus", launch.cpus_per_worker), ("GPU", "gpus", gpus_per_worker(launch))):
        wanted, n_there = each * launch.workers, there.get(word, 0.0)
        if wanted > n_there:
            short = f"expected {wanted:g} {word}s for {launch.workers} workers, found {n_there:g}"
            if launch.address is None:
                raise UserError(f"launch.workers: {short}; lower it or launch.{key}_per_worker")
            say(f"{short}: some wait until the cluster has more")


def _first(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
