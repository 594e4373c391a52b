"""How many cases run, and that each line of the table is used by one property."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fuzz import CASES

ENOUGH = 5000


def test_there_are_enough_cases_and_none_is_only_stated() -> None:
    assert sum(CASES.values()) >= ENOUGH
    used = [
        name
        for file in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r'fuzzed\("(.+)"\)', file.read_text())
    ]
    assert sorted(used) == sorted(CASES)
