"""A driven SQLite study is in write-ahead mode on a disk of this machine, and on no other; one that is read stays."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import optuna
import pytest

from saber.study.store import storage
from saber.study.store.storage import on_local_disk, open_storage
from tests.study.run.test_driver import config


def mode(folder: Path) -> str:
    with contextlib.closing(sqlite3.connect(folder / "s" / "study.db")) as opened:
        return str(opened.execute("pragma journal_mode").fetchone()[0])


def test_a_driven_study_is_written_ahead_and_a_reader_leaves_it_so(tmp_path: Path) -> None:
    driven = open_storage(config(tmp_path), create=True)
    study = optuna.create_study(storage=driven, study_name="s")
    study.ask()
    driven.engine.dispose()
    assert mode(tmp_path) == "wal"
    read = open_storage(config(tmp_path), create=False)
    assert len(optuna.load_study(study_name="s", storage=read).trials) == 1
    read.engine.dispose()
    assert mode(tmp_path) == "wal"
    assert not (tmp_path / "s" / "study.db-wal").exists()


@pytest.mark.parametrize("kind", ["nfs4", "lustre", "fuse.sshfs"])
def test_no_study_is_written_ahead_on_a_network(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")
    monkeypatch.setattr(storage, "MOUNTS", mounts)
    assert not on_local_disk(tmp_path / "s")
    assert on_local_disk(Path("/"))
    open_storage(config(tmp_path), create=True).engine.dispose()
    assert mode(tmp_path) == "delete"
