"""Run entry points as a user would: in this process where that is enough, or as processes of their own."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import optuna
from hydra import compose, initialize_config_module
from optuna.trial import FrozenTrial

from saber.command import run, to_config
from saber.command_words import read_words
from saber.config import Config

OFFLINE = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
PATIENCE_S = 120
SMALL_SPLITS = (
    "data.tune={harmful: 45, harmless: 24, borderline: 24, capability: 32}",
    "data.report={harmful: 54, harmless: 24, borderline: 24, capability: 32}",
)


@dataclass(frozen=True)
class Said:
    """What a command left behind: its exit status and what it printed."""

    status: int
    out: str
    err: str


def words_of(organism: Path, folder: Path, *more: str) -> list[str]:
    """The command line's words for a small study of a quickly trained organism, all of it inside ``folder``.

    Outputs are read, so that nothing is captured of inputs: ``tests/study/test_default_sweep.py`` reads those.
    """
    return [
        "+sweep=organism_outputs",
        "study.name=organism",
        f"model.path={organism}",
        f"study.dir={folder}/sweeps",
        f"export.dir={folder}/outputs",
        "study.sampler=random",
        "evaluate.max_new_tokens=12",
        "evaluate.n_bootstrap=100",
        *SMALL_SPLITS,
        *more,
    ]


def run_here(name: str, words: Sequence[str], folder: Path, instead: Callable[[Config], None] | None = None) -> Said:
    """Run ``saber.<name>``, or what else is to be done with its configuration, in this process, in ``folder``."""
    out, err = io.StringIO(), io.StringIO()
    task = instead or getattr(importlib.import_module(f"saber.{name}"), name)
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", [name]),
        mock.patch.dict(os.environ),
    ):
        status = run(task, words)
    return Said(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def process(name: str, words: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start ``python -m saber.<name>`` in ``folder``; it is gone afterwards."""
    command = [sys.executable, "-m", f"saber.{name}", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env={**os.environ, **OFFLINE}
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def finish(started: subprocess.Popen[str]) -> Said:
    """Wait for the end of a process."""
    out, err = started.communicate(timeout=PATIENCE_S)
    return Said(started.returncode, out, err)


def wait_until(holds: Callable[[], bool], started: subprocess.Popen[str]) -> None:
    """Wait until something holds while a process runs."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert started.poll() is None, started.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def database(folder: Path, study: str = "organism") -> Path:
    """Where the study's database lies."""
    return folder / "sweeps" / study / "study.db"


def states(folder: Path, study: str = "organism") -> list[str]:
    """The states of all trials as they are now, none where there is no database yet."""
    if not database(folder, study).exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{database(folder, study)}?mode=ro", uri=True)) as opened:
        try:
            return [row[0] for row in opened.execute("select state from trials order by number")]
        except sqlite3.OperationalError:  # its tables are not there yet, or it is being written
            return []


def n_drawn(folder: Path, state: str, study: str = "organism") -> list[int]:
    """How many parameters each trial in a state has drawn so far."""
    query = """select count(param_id) from trials left join trial_params using (trial_id)
               where state = ? group by trial_id order by number"""
    if not states(folder, study):
        return []
    with contextlib.closing(sqlite3.connect(f"file:{database(folder, study)}?mode=ro", uri=True)) as opened:
        try:
            return [row[0] for row in opened.execute(query, [state])]
        except sqlite3.OperationalError:  # it is being written
            return []


def dump(folder: Path, study: str = "organism") -> str:
    """All that the database holds."""
    with contextlib.closing(sqlite3.connect(f"file:{database(folder, study)}?mode=ro", uri=True)) as opened:
        return "\n".join(opened.iterdump())


def trial_rows(folder: Path, study: str = "organism") -> list[str]:
    """All that the database holds of trials, without what a page about them adds to the study."""
    tables = ("trials", "trial_values", "trial_params", "trial_user_attributes", "trial_system_attributes")
    told = tuple(f'INSERT INTO "{table}"' for table in tables)
    return [line for line in dump(folder, study).splitlines() if line.startswith(told)]


def open_trials(folder: Path, study: str = "organism") -> list[FrozenTrial]:
    """All trials of a study."""
    opened = optuna.load_study(study_name=study, storage=f"sqlite:///{database(folder, study)}")
    return opened.get_trials()


def configured(words: Sequence[str]) -> Config:
    """The checked configuration that these words compose."""
    with initialize_config_module("saber.conf", version_base="1.3"):
        return to_config(compose("run", overrides=read_words(words)), words)
