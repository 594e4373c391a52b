"""A prefix that is read once gives what reading it with every row gives, for every family and under every edit."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.editing.apply import applied
from saber.lm.inference import prefix as prefixes
from saber.lm.inference.generation.decoding import HeadStart
from saber.lm.inference.generation.drafts import Past
from saber.lm.inference.generation.greedy import greedy
from saber.lm.inference.kv_cache import rewindable_cache
from saber.lm.inference.prefix import FEWEST, prefix_of
from saber.lm.inference.residuals import last_token_residuals
from saber.types import EditPlan, Prompt
from tests.lm.families import CASES, RECURRENT, UNPADDED, tiny

HEAD = [5, 9, 3, 20, 7, 33, 8, 14, 11, 4]
TAILS = [[60], [2, 19, 21, 6, 40], [30, 12], [7, 9, 12, 44, 3, 3, 5, 6, 8, 10, 21, 22, 23, 24, 25], [61, 2]]
ROWS = [[*HEAD, *tail] for tail in TAILS]
TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=20)


@given(st.lists(TOKENS, max_size=4), st.lists(st.integers(0, 2), max_size=12))
def test_a_prefix_is_the_longest_common_beginning_that_leaves_every_row_a_token(
    tails: list[list[int]], head: list[int]
) -> None:
    rows = [[*head, *tail] for tail in tails]
    n = len(prefix_of(rows, lambda: dict).tokens)
    if n:
        assert n >= FEWEST
        assert len({tuple(row[:n]) for row in rows}) == 1
    reaches = [k for k in range(min(map(len, rows), default=0)) if len({tuple(row[:k]) for row in rows}) == 1]
    longest = max(reaches, default=0)
    assert n == (longest if longest >= FEWEST else 0)
    assert prefix_of(rows, lambda: None).tokens == ()


def test_a_model_is_not_asked_for_its_cache_where_nothing_is_shared() -> None:
    def never() -> None:
        raise AssertionError

    assert prefix_of([[1, 2, 3], [2, 2, 3]], never).tokens == ()


@pytest.mark.parametrize("case", [case for case in CASES if case not in UNPADDED])
def test_every_family_reads_on_from_a_prefix(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer: Any = SimpleNamespace(pad_token_id=0, eos_token_id=1, chat_template="x")
    tokenizer.apply_chat_template = lambda chats, **_: {"input_ids": [ROWS[int(c[-1]["content"])] for c in chats]}
    adapter = adapt(tiny(case).model, tokenizer)
    prompts = [Prompt(str(i), "harmful") for i in range(len(ROWS))]
    (plain,) = greedy(adapter, ROWS, max_new_tokens=6, batch_size=8)
    cache = rewindable_cache(adapter)
    assert (cache is None) <= (case in RECURRENT)
    prefix = prefix_of(ROWS, lambda: cache)
    assert prefix.tokens == (() if cache is None else tuple(HEAD))
    read = prefix.read(adapter, 1)
    past = [Past(cache or dict, [reply.whole for reply in plain]).like(torch.zeros(1))] if cache else None
    for drafts in (None, past):
        assert greedy(adapter, ROWS, max_new_tokens=6, batch_size=8, start=HeadStart(prefix=read, drafts=drafts)) == [
            plain
        ]
    residuals = last_token_residuals(adapter, prompts, batch_size=3)
    monkeypatch.setattr(prefixes, "FEWEST", 99)
    torch.testing.assert_close(residuals, last_token_residuals(adapter, prompts, batch_size=3), atol=1e-4, rtol=1e-4)


def test_each_trial_reads_its_own_prefix(tiny_gemma4: Adapter) -> None:
    adapter = replace(tiny_gemma4, tokenizer=SimpleNamespace(pad_token_id=0))
    adapter.model.generation_config.eos_token_id = [1]
    r, _ = torch.linalg.qr(torch.randn(24, 2, generator=torch.Generator().manual_seed(0)))
    plan = EditPlan.from_directions({layer: (r, torch.full((2,), 0.7)) for layer in range(6)})
    prefix = prefix_of(ROWS, lambda: rewindable_cache(adapter))
    widths: list[int] = []
    with applied(adapter, [EditPlan(()), plan]):
        plain = greedy(adapter, ROWS, max_new_tokens=8, batch_size=64, n_trials=2)
        read = prefix.read(adapter, 2)
        handle = adapter.model.register_forward_pre_hook(
            lambda _module, _args, inputs: widths.append(inputs["input_ids"].shape[1]), with_kwargs=True
        )
        replies = greedy(adapter, ROWS, max_new_tokens=8, batch_size=64, n_trials=2, start=HeadStart(prefix=read))
        handle.remove()
        short = replace(prefix, most_logits=13).read(adapter, 2)
    assert (read.length, read.logits.shape[1]) == (len(HEAD), 1)  # type: ignore[union-attr]
    assert (short.length, short.logits.shape[:2]) == (6, (2, 6))  # type: ignore[union-attr]
    assert replace(prefix, most_logits=1).read(adapter, 2).length == 0
    assert replies == plain
    assert plain[0] != plain[1]
    assert widths[0] == len(max(TAILS, key=len))
