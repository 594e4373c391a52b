"""An SQLite file that another process keeps locked for longer than SQLite waits: the sweep waits, and says so."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from saber.study.store.storage import SQLITE_BUSY_S
from tests.commands import database, finish, process, states, wait_until, words_of
from tests.small_data import few_prompts

N_TRIALS = 8


def test_a_locked_database_is_waited_for(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, f"study.n_trials={N_TRIALS}", *few_prompts(tmp_path))
    with process("sweep", words, tmp_path) as sweep:
        wait_until(lambda: "COMPLETE" in states(tmp_path) and "RUNNING" in states(tmp_path), sweep)
        with contextlib.closing(sqlite3.connect(database(tmp_path), timeout=10, isolation_level=None)) as opened:
            opened.execute("begin exclusive")
            time.sleep(SQLITE_BUSY_S + 1)
            opened.execute("rollback")
        said = finish(sweep)
    assert said.status == 0, said.err
    assert "the study's database is away (" in said.out
    assert "database is locked" in said.out
    assert "the study's database is back after " in said.out
    assert states(tmp_path) == ["COMPLETE"] * N_TRIALS
