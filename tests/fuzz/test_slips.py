"""A sample of the slips in `tests.fuzz.slips`, the same ones every time."""

from __future__ import annotations

import os

from tests.fuzz.slips import run

N = 30 * max(1, int(os.environ.get("SABER_FUZZ", "0")))


def test_a_slip_is_a_line_a_list_or_a_valid_study() -> None:
    counts, failed, _ = run(range(N))
    assert [(seed, case.slips, came.said) for seed, case, came in failed] == []
    assert min(counts["valid"], counts["one line"], counts["a list"]) > 0
