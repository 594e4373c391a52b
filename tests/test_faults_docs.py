"""The page on faults says what is really said, and what it says leaves nothing behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from saber.config import Config
from saber.study.preflight import preflight
from tests.commands import run_here

PAGE = Path(__file__).parent.parent / "docs" / "faults.md"
SECTION = PAGE.read_text(encoding="utf-8").partition("## What is said of a slip")[2].partition("\n## ")[0]
ROWS = [
    (words.strip("`"), said)
    for words, said in re.findall(r"^\| (`.+`|\(nothing\)) \| (.+) \|$", SECTION, flags=re.MULTILINE)
]


def check(config: Config) -> None:
    """What a sweep does before it loads a model."""
    preflight(config, searching=True)


@pytest.mark.parametrize(("words", "said"), ROWS, ids=[words for words, _ in ROWS])
def test_a_row_is_what_is_said(words: str, said: str, tmp_path: Path) -> None:
    typed = [] if words == "(nothing)" else words.split()
    done = run_here("sweep", typed, tmp_path, check)
    assert done.status == 2
    assert done.err.startswith(f"error: {said}")
    assert "Traceback" not in done.err
    assert {path.name for path in tmp_path.iterdir()} <= {"outputs"}  # Hydra's own
    assert not list(tmp_path.glob("outputs/[!_]*"))


def test_the_table_is_there() -> None:
    assert len(ROWS) > 20
