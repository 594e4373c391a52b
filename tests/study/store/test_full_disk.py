"""A full disk or a read-only folder is one line and status 2, and nothing that was in the study is lost."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def sweep(folder: Path, organism: Path, n_trials: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "saber.sweep",
            "+sweep=organism_outputs",
            "study.name=organism",
            f"model.path={organism.resolve()}",
            f"study.dir={folder}",
            f"study.n_trials={n_trials}",
            "study.sampler=random",
            "evaluate.max_new_tokens=8",
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


def mounted(folder: Path, options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("needs the right to mount a small file system, which this user has not")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a few trials only."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted(folder, "size=7200k")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def complete(folder: Path) -> dict[int, list[float]]:
    """The values of finished trials; read and closed at once, as an open file would keep the disk busy."""
    with contextlib.closing(sqlite3.connect(folder / "organism" / "study.db")) as database:
        rows = database.execute(
            "select number, value from trials join trial_values using (trial_id)"
            " where state = 'COMPLETE' order by number, objective"
        ).fetchall()
    values: dict[int, list[float]] = {}
    for number, value in rows:
        values.setdefault(number, []).append(value)
    return values


def one_line(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert "Traceback" not in done.stderr


def test_a_disk_that_fills_up_loses_no_finished_trial(small_disk: Path, organism_folder: Path) -> None:
    (small_disk / "organism" / "cache").mkdir(parents=True)  # begun before: its room is not reckoned again
    one_line(sweep(small_disk, organism_folder, 400), "free space")
    before = complete(small_disk)
    assert before
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    one_line(sweep(small_disk, organism_folder, 400), "Read-only file system")
    subprocess.run(["mount", "-o", "remount,rw,size=60m", str(small_disk)], check=True)
    wanted = len(before) + 2
    assert sweep(small_disk, organism_folder, wanted).returncode == 0
    after = complete(small_disk)
    assert {number: after[number] for number in before} == before
    assert len(after) == wanted


def test_no_room_for_the_cache_is_one_line(tmp_path: Path, organism_folder: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted(folder, "size=600k")
    try:
        one_line(sweep(folder, organism_folder, 2), "free space")
        assert not list(folder.rglob(".*"))  # what is half written has a leading dot until it is whole
    finally:
        subprocess.run(["umount", str(folder)], check=True)
