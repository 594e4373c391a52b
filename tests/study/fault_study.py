"""One simulated study under faults, and the warmed-up process that forks its drivers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.pool import NullPool

from saber.study.store.artifacts import stored_responses
from saber.study.store.records import is_finished
from saber.study.store.storage import connect_args
from saber.types import Response
from tests.study.postgres import Server

ROOT = Path(__file__).parents[2]
N_LEFT = 6  # what a fault finds to be done, in batches of two
PATIENCE_S = 60


class Drivers:
    """The warmed-up process that forks drivers."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.study.fault_driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        assert self._answer() == "ready"

    def start(self, request: dict[str, Any]) -> int:
        """Start a driver and return its pid."""
        return int(self._ask({"run": request}))

    def wait(self, pid: int) -> int:
        """Wait for a driver and return its exit status, negative where a signal ended it."""
        return int(self._ask({"wait": pid}))

    def close(self) -> None:
        """End the process; it has no drivers left."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _ask(self, request: dict[str, Any]) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@dataclass
class FaultyStudy:
    """A study that is asked for more before each fault, so that every fault finds a driver at work."""

    folder: Path
    name: str
    url: str | None
    drivers: Drivers
    server: Server | None
    n_trials: int = 0

    def want_more(self, trials: list[FrozenTrial]) -> None:
        """Ask for so many trials that `N_LEFT` are to be done."""
        self.n_trials = max(self.n_trials, sum(map(is_finished, trials)) + N_LEFT)

    def start(self, **more: Any) -> int:
        """Start a driver and return its pid."""
        return self.drivers.start(self.request(**more))

    def run(self, **more: Any) -> int:
        """Run a driver to its end and return its exit status."""
        return self.drivers.wait(self.start(**more))

    def start_slowly(self, nth: int, trial_s: float) -> int:
        """Start a driver whose batches take ``trial_s``; return its pid once it has begun to measure its ``nth``."""
        mark = self.folder.parent / f"{self.name}.began"
        mark.unlink(missing_ok=True)
        pid = self.start(trial_s=trial_s, mark=[nth, str(mark)])
        end = time.monotonic() + PATIENCE_S
        while not mark.exists():
            assert alive(pid), self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.002)
        return pid

    def request(self, **more: Any) -> dict[str, Any]:
        """What its driver is started with."""
        plain = {"name": self.name, "dir": str(self.folder), "n_trials": self.n_trials, "storage": self.url}
        return {**plain, "log": str(self.folder.parent / f"{self.name}.log"), **more}

    @property
    def own(self) -> Path:
        """The study's own folder."""
        return self.folder / self.name

    @property
    def artifacts(self) -> FileSystemArtifactStore:
        """Where its trials' responses lie."""
        return FileSystemArtifactStore(base_path=self.own / "artifacts")

    def said(self) -> str:
        """All that its drivers said."""
        log = Path(self.request()["log"])
        return log.read_text() if log.exists() else ""

    @cached_property
    def storage(self) -> RDBStorage:
        """Its database, with a new connection each time, as servers come and go."""
        url = self.url or f"sqlite:///{self.own / 'study.db'}"
        return RDBStorage(url, engine_kwargs={"poolclass": NullPool, "connect_args": connect_args(url)})

    def opened(self) -> optuna.Study | None:
        """The study as the database has it now, if a driver came so far."""
        if self.url is None and not (self.own / "study.db").exists():
            return None
        if self.name not in optuna.get_all_study_names(self.storage):
            return None
        return optuna.load_study(study_name=self.name, storage=self.storage)

    def trials(self) -> list[FrozenTrial]:
        """All trials as the database has them now."""
        study = self.opened()
        return study.get_trials() if study else []

    def responses(self) -> dict[int, tuple[Response, ...]]:
        """By number, what is stored of each complete trial's responses."""
        study = self.opened()
        if study is None:
            return {}
        return {t.number: stored_responses(self.storage, t, self.artifacts) for t in study.get_trials() if t.values}


def alive(pid: int) -> bool:
    """Whether a forked driver still runs; one that has ended is a zombie until it is waited for."""
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"
