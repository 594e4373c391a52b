"""``--help`` names every sweep with what it is, and ends quietly when nobody reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from saber.command_help import described, help_text
from saber.sweep import sweep
from tests.commands import run_here

CONF = Path(__file__).parents[1] / "conf"


def test_help_names_every_sweep_and_every_group(tmp_path: Path) -> None:
    for word in ("--help", "-h"):
        said = run_here("sweep", ["+sweep=nothing", word], tmp_path)
        assert (said.status, said.err) == (0, "")
        listed = {line.split()[0]: line for line in said.out.splitlines() if line.startswith("  ")}
        for path in CONF.glob("sweep/*.yaml"):
            assert described(path) in listed[path.stem], path
            assert len(described(path)) > 20, path
        groups = {path.name for path in CONF.iterdir() if any(path.glob("*.yaml"))} - {"sweep"}
        assert groups == listed.keys() & groups
        for group in groups:
            assert listed[group].split(None, 1)[1] == ", ".join(
                sorted(path.stem for path in CONF.glob(f"{group}/*.yaml"))
            )
    assert "Drive the study to its number of trials" in help_text("python -m saber.sweep", sweep)
    assert list(tmp_path.iterdir()) == []


def test_a_description_is_the_first_sentence_of_the_first_comment(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("# @package _global_\n# One line that\n# goes on. Another.\na: 1\n# later\n", encoding="utf-8")
    assert described(path) == "One line that goes on."
    path.write_text("a: 1\n# later\n", encoding="utf-8")
    assert described(path) == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_reader_that_has_had_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "saber.sweep", "--help"], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
