"""Batches by length cover every row once, keep to their limits, and cost least of all that do."""

from __future__ import annotations

from functools import lru_cache

import torch
from hypothesis import given
from hypothesis import strategies as st

from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.batches import PASS_TOKENS, PASS_TOKENS_READING, by_length, pass_tokens

LENGTHS = st.lists(st.integers(1, 400), max_size=9)


def cost(batches: list[list[int]], lengths: list[int], per_pass: int) -> int:
    return sum(len(batch) * max(lengths[i] for i in batch) + per_pass for batch in batches)


def least_cost(lengths: list[int], size: int, area: int, per_pass: int) -> float:
    """By trying every way to cut the sorted rows."""
    falling = sorted(lengths, reverse=True)

    @lru_cache
    def of(n_done: int) -> float:
        if n_done == len(falling):
            return 0
        width = falling[n_done]
        fitting = range(1, min(size, area // width, len(falling) - n_done) + 1)
        return min(n * width + per_pass + of(n_done + n) for n in fitting)

    return of(0)


@given(LENGTHS, st.integers(1, 9), st.integers(400, 2000), st.sampled_from([PASS_TOKENS, 17]))
def test_every_row_is_in_one_batch_within_the_limits_at_the_least_cost(
    lengths: list[int], size: int, area: int, per_pass: int
) -> None:
    batches = by_length(lengths, lambda width: min(size, area // width), per_pass)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= min(size, area // max(lengths[i] for i in batch)) for batch in batches)
    widths = [max(lengths[i] for i in batch) for batch in batches]
    assert widths == sorted(widths)
    assert cost(batches, lengths, per_pass) == least_cost(lengths, size, area, per_pass)


def test_rows_of_one_length_are_read_in_one_pass() -> None:
    assert by_length([7] * 20, lambda _: 64) == [list(range(20))]


def test_a_pass_costs_fewer_tokens_the_larger_a_model_is(tiny_gemma4: Adapter) -> None:
    """A small model's time is in the calls of its layers, whatever they compute."""
    small = pass_tokens(tiny_gemma4)
    wide = torch.nn.Linear(2000, 2000, bias=False)
    tiny_gemma4.model.register_module("wide", wide)
    assert PASS_TOKENS_READING <= pass_tokens(tiny_gemma4) < small / 10
