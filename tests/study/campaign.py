"""Faults at random moments from a seed, on real processes and databases, and what must hold after each."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta
from optuna.trial import FrozenTrial, TrialState

from saber.study.records import INTERRUPTED, RETRY_OF, is_finished
from saber.study.storage import connect_args
from tests.study.fault_driver import values_of
from tests.study.postgres import PASSWORD, Server

ROOT = Path(__file__).parents[2]
N_TRIALS = 12
DISK = "8m"


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
class Study:
    """One simulated study under faults."""

    folder: Path
    name: str
    url: str | None
    drivers: Drivers
    server: Server | None

    def request(self, **more: Any) -> dict[str, Any]:
        """What its driver is started with."""
        plain = {"name": self.name, "dir": str(self.folder), "n_trials": N_TRIALS, "storage": self.url}
        return {**plain, "log": str(self.folder.parent / f"{self.name}.log"), **more}

    @property
    def own(self) -> Path:
        """The study's own folder."""
        return self.folder / self.name

    def said(self) -> str:
        """All that its drivers said."""
        log = Path(self.request()["log"])
        return log.read_text() if log.exists() else ""

    def trials(self) -> list[FrozenTrial]:
        """All trials as the database has them now."""
        url = self.url or f"sqlite:///{self.own / 'study.db'}"
        if self.url is None and not (self.own / "study.db").exists():
            return []
        engine = {"connect_args": {**connect_args(url), **({"timeout": 30} if self.url is None else {})}}
        storage = optuna.storages.RDBStorage(url, engine_kwargs=engine)
        try:
            if self.name not in optuna.get_all_study_names(storage):
                return []
            return optuna.load_study(study_name=self.name, storage=storage).get_trials()
        finally:
            storage.engine.dispose()


@dataclass
class Report:
    """What came of the faults: how often each was injected, and what was seen."""

    rows: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, fault: str, outcome: str) -> None:
        """One fault more."""
        self.rows.setdefault(fault, Counter())[outcome] += 1

    @property
    def n_injected(self) -> int:
        """How many faults there were."""
        return sum(sum(row.values()) for row in self.rows.values())

    def table(self) -> str:
        """A Markdown table."""
        lines = ["| fault | injected | outcome |", "|---|---|---|"]
        for fault, row in sorted(self.rows.items()):
            outcomes = "; ".join(f"{outcome} ({n})" for outcome, n in row.most_common())
            lines.append(f"| {fault} | {sum(row.values())} | {outcomes} |")
        return "\n".join([*lines, f"| all | {self.n_injected} | |"])


# --- what must hold ---


def content(trial: FrozenTrial) -> tuple[Any, ...]:
    """All of a finished trial."""
    return trial.number, trial.state, trial.values, trial.params, trial.user_attrs, trial.datetime_complete


def check(study: Study, before: list[FrozenTrial]) -> list[FrozenTrial]:
    """No finished trial lost or changed, none doubled, nothing drawn twice; returns the trials."""
    after = study.trials()
    for trial in before:
        if is_finished(trial):
            assert content(after[trial.number]) == content(trial)
    assert [trial.number for trial in after] == list(range(len(after)))
    finished = [trial for trial in after if is_finished(trial)]
    assert len(finished) <= N_TRIALS
    assert max(Counter(map(point, finished)).values(), default=0) <= 1
    fresh = [trial for trial in after if len(trial.params) == 2 and RETRY_OF not in trial.user_attrs]
    assert max(Counter(map(point, fresh)).values(), default=0) <= 1, "drawn twice"
    for trial in finished:
        if trial.state == TrialState.COMPLETE:
            assert np.allclose(trial.values, values_of(trial.params), atol=1e-8), trial
            assert (study.own / "plans" / f"{trial.user_attrs['plan']}.safetensors").exists()
    return after


def check_end(study: Study) -> None:
    """After a driver that nobody stopped: exactly as many finished as wanted, none running, none waiting."""
    after = check(study, [])
    assert sum(map(is_finished, after)) == N_TRIALS
    assert {t.state for t in after} <= {TrialState.COMPLETE, TrialState.FAIL}
    store = FileSystemArtifactStore(base_path=study.own / "artifacts")
    storage = optuna.storages.RDBStorage(study.url or f"sqlite:///{study.own / 'study.db'}")
    for trial in after:
        if trial.state == TrialState.FAIL:
            assert trial.user_attrs.get(INTERRUPTED) or trial.user_attrs["failure"] == "kld not finite"
        else:
            (meta,) = get_all_artifact_meta(trial, storage=storage)
            with store.open_reader(meta.artifact_id) as file:
                assert file.read()
    storage.engine.dispose()
    assert not list(study.own.rglob(".*"))
    assert PASSWORD not in study.said()
    assert "Traceback" not in study.said(), study.said()


def point(trial: FrozenTrial) -> str:
    """A trial's parameters as one text."""
    return json.dumps(trial.params, sort_keys=True)


# --- the faults ---

Fault = Callable[[Study, random.Random], str | None]


def _soon(chance: random.Random) -> None:
    time.sleep(chance.uniform(0.0, 0.6))


def _alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"


def _signalled(number: int, expected: set[int]) -> Fault:
    def fault(study: Study, chance: random.Random) -> str | None:
        pid = study.drivers.start(study.request())
        _soon(chance)
        hit = _alive(pid)
        if hit:
            os.kill(pid, number)
        status = study.drivers.wait(pid)
        if not hit:
            return None
        assert status in {*expected, 0}, study.said()
        return "had just finished" if status == 0 else "stopped; the next run went on"

    return fault


def second_driver(study: Study, chance: random.Random) -> str | None:
    """Another driver of the same study, on PostgreSQL with a folder of its own as if from another machine."""
    pid = study.drivers.start(study.request())
    time.sleep(0.1 + chance.uniform(0.0, 0.3))
    if not _alive(pid):
        study.drivers.wait(pid)
        return None
    log = study.folder.parent / f"{study.name}.second.log"
    elsewhere = {"dir": str(study.folder / "elsewhere")} if study.url else {}
    second = study.drivers.start(study.request(log=str(log), **elsewhere))
    status = study.drivers.wait(second)
    first = study.drivers.wait(pid)
    assert first == 0, study.said()
    if status == 0:  # the first had finished by then
        return None
    assert status == 2
    assert f"is being driven by host {os.uname().nodename}, pid {pid}, since 20" in log.read_text(), log.read_text()
    return "refused with host, pid and since when; the first undisturbed"


@contextlib.contextmanager
def _locked(study: Study) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(study.own / "study.db", timeout=10, isolation_level=None)) as opened:
        opened.execute("begin exclusive")
        yield
        opened.execute("rollback")


@contextlib.contextmanager
def _stopped(server: Server) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


def database_away(study: Study, chance: random.Random) -> str | None:
    """PostgreSQL crashes and comes back; SQLite's file is locked by another process."""
    pid = study.drivers.start(study.request())
    time.sleep(0.15 + chance.uniform(0.0, 0.4))
    hit = _alive(pid) and bool(study.trials())
    if hit:
        with _stopped(study.server) if study.server else _locked(study):
            time.sleep(chance.uniform(0.4, 0.9))
    status = study.drivers.wait(pid)
    assert status == 0, study.said()
    return "waited, said so and went on" if hit and "is back after" in study.said() else None


def full_disk(study: Study, chance: random.Random) -> str | None:
    """The disk fills up while the driver writes."""
    pid = study.drivers.start(study.request())
    _soon(chance)
    filler = study.folder / "filler"
    hit = _alive(pid)
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    status = study.drivers.wait(pid)
    filler.unlink()
    if not hit:
        return None
    assert status in {0, 2}, study.said()
    return "one line, status 2; the next run went on" if status == 2 else "had just finished"


def read_only_cache(study: Study, _chance: random.Random) -> str | None:
    """The cache's folder cannot be written."""
    cache = study.own / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", str(cache), str(cache)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(cache)], check=True)
    try:
        status = study.drivers.wait(study.drivers.start(study.request()))
    finally:
        subprocess.run(["umount", str(cache)], check=True)
    if status == 0:
        return None
    assert status == 2, study.said()
    return "one line, status 2; the next run went on"


def flipped_bytes(study: Study, chance: random.Random) -> str | None:
    """Some bytes of a cache file are others, or it is cut."""
    files = sorted((study.own / "cache").glob("*.safetensors")) if (study.own / "cache").exists() else []
    if not files:
        return None
    path = chance.choice(files)
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= chance.randint(1, 255)
    path.write_bytes(data[: chance.randint(1, len(data))] if chance.random() < 0.3 else data)
    pid = study.drivers.start(study.request())
    time.sleep(chance.uniform(0.3, 0.5))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)  # so that the study has faults left to meet
    assert study.drivers.wait(pid) in {0, 130}, study.said()
    return "noticed and built again"


def _injected(kind: str, word: str, outcome: str) -> Fault:
    def fault(study: Study, chance: random.Random) -> str | None:
        said = study.said().count(word)
        calls = sorted(chance.sample(range(6), 2 if kind == "oom" else 1))
        status = study.drivers.wait(study.drivers.start(study.request(inject={kind: calls})))
        assert status == 0, study.said()
        if kind == "loop":
            return outcome if sum(map(is_finished, study.trials())) else None
        return outcome if study.said().count(word) > said else None

    return fault


STOPPING: dict[str, Fault] = {
    "kill -9 of the driver": _signalled(signal.SIGKILL, {-signal.SIGKILL}),
    "Ctrl-C (SIGINT)": _signalled(signal.SIGINT, {130}),
    "SIGTERM": _signalled(signal.SIGTERM, {130, -signal.SIGTERM}),
    "full disk": full_disk,
    "read-only cache": read_only_cache,
    "flipped bytes in a cache file": flipped_bytes,
}
FINISHING: dict[str, Fault] = {  # the driver lives on and finishes the study
    "database away": database_away,
    "second driver": second_driver,
    "out of memory": _injected("oom", "out of memory: going on", "batch halved and said so; all trials complete"),
    "edit that gives NaN": _injected("nan", "failed: kld not finite", "that trial FAIL with the reason"),
    "model that loops": _injected("loop", "", "trial complete, responses labelled degenerate"),
}


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def may_mount(folder: Path) -> bool:
    """Whether this user may mount, as the disk's faults need."""
    place = folder / "may-mount"
    place.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, check=False).returncode:
        return False
    subprocess.run(["umount", str(place)], check=True)
    return True


def campaign(folder: Path, seed: int, n_faults: int, server: Server | None = None, *, per_study: int = 5) -> Report:
    """Inject ``n_faults`` into studies of ``N_TRIALS`` trials and check the database after each.

    Every kind of fault comes in turn, in an order and at moments that the seed decides.
    """
    chance, report = random.Random(seed), Report()
    mountable = may_mount(folder)
    stopping = [f for f in STOPPING if mountable or f not in ("full disk", "read-only cache")]
    url = server.make_database(f"campaign{seed}") if server else None
    drivers = Drivers()
    number = 0
    try:
        while report.n_injected < n_faults:
            last = list(FINISHING)[number % len(FINISHING)]
            number += 1
            place = folder / f"disk{number}"
            with _disk(place) if mountable else contextlib.nullcontext():
                study = Study(place, f"s{number}", url, drivers, server)
                todo = [*chance.sample(stopping, min(per_study - 1, len(stopping))), last]
                _run_study(study, todo, chance, report)
    finally:
        drivers.close()
    return report


def _run_study(study: Study, faults: list[str], chance: random.Random, report: Report) -> None:
    """One study through some faults, then to its end."""
    for fault in faults:
        before = study.trials()
        outcome = (STOPPING | FINISHING)[fault](study, chance)
        check(study, before)
        if outcome is not None:
            report.add(fault, outcome)
    before = study.trials()
    assert study.drivers.wait(study.drivers.start(study.request())) == 0, study.said()
    check(study, before)
    check_end(study)
