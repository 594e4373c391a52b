"""What a killed writer leaves is cleared away; what a living one is writing, and everything else, is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from saber.atomic_files import remove_abandoned
from saber.study.store.storage import one_driver


def ended_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    return process.pid


def test_a_driver_clears_drafts_of_the_dead_only(tmp_path: Path) -> None:
    dead, alive = ended_pid(), os.getpid()
    gone = [tmp_path / f".a.json.{dead}.tmp", tmp_path / "plans" / f".b.safetensors.{dead}"]
    kept = [tmp_path / f".a.json.{alive}.tmp", tmp_path / ".hidden", tmp_path / f"c.{dead}"]
    for path in [*gone, *kept]:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    with one_driver(tmp_path):
        assert not any(path.exists() for path in gone)
        assert all(path.exists() for path in kept)


def test_a_folder_without_drafts_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("x")
    remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
