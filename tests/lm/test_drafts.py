"""Drafts propose what was said before, most recent first, and are forgotten before they fill the memory."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from saber.lm.adapter import Adapter
from saber.lm.decoding import n_confirmed
from saber.lm.drafts import MAX_TOKENS, Drafts, proposal
from saber.lm.editing import applied
from saber.lm.generation import greedy
from saber.lm.rewinding import rewindable_cache
from saber.types import EditPlan

ROWS = [[5, 9, 3, 20, 7, 33, 8, 14], [11, 4, 60], [2, 19, 21, 6, 40], [30], [7, 7, 7, 9, 12, 44, 3, 3, 5, 6, 8, 10]]
REPLIES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=8)


@given(replies=REPLIES, prefix=st.lists(st.integers(0, 3), max_size=4), limit=st.integers(0, 8))
def test_a_proposal_is_the_most_recent_reply_that_began_so(
    replies: list[list[int]], prefix: list[int], limit: int
) -> None:
    drafts = Drafts(2, dict)
    for reply in replies:
        drafts.learn(1, reply)
    found = proposal(drafts.after(1, prefix), limit)
    fitting = [reply[len(prefix) :] for reply in replies if reply[: len(prefix)] == prefix and len(reply) > len(prefix)]
    assert found[:1] == (fitting[-1][:1] if limit and fitting else [])
    assert any(reply[: len(found)] == found for reply in [*fitting, []])
    if fitting and not any(other[: len(fitting[-1])] == fitting[-1] and other != fitting[-1] for other in fitting):
        assert found == fitting[-1][:limit]
    assert proposal(drafts.after(0, prefix), limit) == []


def test_replies_are_forgotten_before_they_fill_the_memory() -> None:
    drafts = Drafts(1, dict)
    for n in range(MAX_TOKENS):
        drafts.learn(0, [n, 1, 2])
    assert proposal(drafts.after(0, [MAX_TOKENS - 1]), 9) == [1, 2]
    assert proposal(drafts.after(0, [0]), 9) == []


@given(draft=st.lists(st.integers(0, 2), max_size=5), more=st.lists(st.integers(0, 2), min_size=6, max_size=6))
def test_what_is_confirmed_is_the_common_beginning(draft: list[int], more: list[int]) -> None:
    n = n_confirmed(draft, more)
    assert draft[:n] == more[:n]
    assert n == len(draft) or draft[n] != more[n]


def test_trials_with_drafts_of_their_own_decode_as_without_any_in_fewer_passes(tiny_gemma4: Adapter) -> None:
    adapter = replace(tiny_gemma4, tokenizer=SimpleNamespace(pad_token_id=0))
    adapter.model.generation_config.eos_token_id = [1]
    cache = rewindable_cache(adapter)
    assert cache is not None
    r, _ = torch.linalg.qr(torch.randn(24, 2, generator=torch.Generator().manual_seed(0)))
    plan = EditPlan.from_directions({layer: (r, torch.full((2,), 0.7)) for layer in range(6)})
    n_passes = 0

    def count(*_: Any) -> None:
        nonlocal n_passes
        n_passes += 1

    with applied(adapter, [EditPlan(()), plan]):
        plain = greedy(adapter, ROWS, max_new_tokens=12, batch_size=64, n_trials=2)
        drafts = Drafts(len(ROWS), cache)
        for trial in plain:
            for i, one in enumerate(trial):
                drafts.learn(i, one.whole)
        handle = adapter.model.register_forward_pre_hook(count)
        again = greedy(adapter, ROWS, max_new_tokens=12, batch_size=64, n_trials=2, drafts=drafts)
        handle.remove()
    assert again == plain
    assert plain[0] != plain[1]
    assert n_passes < 6
