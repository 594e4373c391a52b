"""Batches by length cover every row once, keep to their limits, and cost least of all that do."""

from __future__ import annotations

from functools import lru_cache

from hypothesis import given
from hypothesis import strategies as st

from saber.lm.inference.batches import PASS_TOKENS, by_length

LENGTHS = st.lists(st.integers(1, 400), max_size=9)


def cost(batches: list[list[int]], lengths: list[int]) -> int:
    return sum(len(batch) * max(lengths[i] for i in batch) + PASS_TOKENS for batch in batches)


def least_cost(lengths: list[int], size: int, area: int) -> float:
    """By trying every way to cut the sorted rows."""
    falling = sorted(lengths, reverse=True)

    @lru_cache
    def of(n_done: int) -> float:
        if n_done == len(falling):
            return 0
        width = falling[n_done]
        fitting = range(1, min(size, area // width, len(falling) - n_done) + 1)
        return min(n * width + PASS_TOKENS + of(n_done + n) for n in fitting)

    return of(0)


@given(LENGTHS, st.integers(1, 9), st.integers(400, 2000))
def test_every_row_is_in_one_batch_within_the_limits_at_the_least_cost(
    lengths: list[int], size: int, area: int
) -> None:
    batches = by_length(lengths, lambda width: min(size, area // width))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= min(size, area // max(lengths[i] for i in batch)) for batch in batches)
    widths = [max(lengths[i] for i in batch) for batch in batches]
    assert widths == sorted(widths)
    assert cost(batches, lengths) == least_cost(lengths, size, area)


def test_rows_of_one_length_are_read_in_one_pass() -> None:
    assert by_length([7] * 20, lambda _: 64) == [list(range(20))]
