"""Drafts propose what the most alike trial said that began so, and never change what is said."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied
from saber.lm.inference.generation import greedy as greedy_decoding
from saber.lm.inference.generation.decoding import HeadStart, n_confirmed
from saber.lm.inference.generation.draft_width import COPIED, Tried, best_width, confirmed
from saber.lm.inference.generation.drafts import MAX_PHRASES, MAX_TRIALS, PHRASE, Past
from saber.lm.inference.generation.greedy import greedy
from saber.lm.inference.kv_cache import rewindable_cache
from saber.lm.inference.residuals import LastTokens
from saber.types import EditPlan

ROWS = [[5, 9, 3, 20, 7, 33, 8, 14], [11, 4, 60], [2, 19, 21, 6, 40], [30], [7, 7, 7, 9, 12, 44, 3, 3, 5, 6, 8, 10]]
REPLIES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=8)


def decoding_model(adapter: Adapter) -> tuple[Adapter, type]:
    """The model where token 0 pads and token 1 ends a reply, and the cache that its drafts are taken back from."""
    adapter = replace(adapter, tokenizer=SimpleNamespace(pad_token_id=0))
    adapter.model.generation_config.eos_token_id = [1]
    cache = rewindable_cache(adapter)
    assert cache is not None
    return adapter, cache


def edit_of_two_directions() -> EditPlan:
    r, _ = torch.linalg.qr(torch.randn(24, 2, generator=torch.Generator().manual_seed(0)))
    return EditPlan.from_directions({layer: (r, torch.full((2,), 0.7)) for layer in range(6)})


@given(replies=REPLIES, wanted=st.floats(0, 8), said=st.lists(st.integers(0, 3), max_size=2), limit=st.integers(0, 8))
def test_a_draft_is_the_reply_of_the_most_alike_trial_that_began_so(
    replies: list[list[int]], wanted: float, said: list[int], limit: int
) -> None:
    past = Past(dict, [[9], [9]])
    drifts = [torch.tensor([float(n**2), 0.0]) for n in range(1, len(replies) + 1)]  # whose roots are 1, 2, ...
    for drift, reply in zip(drifts, replies, strict=True):
        past.learn(drift, [[9], reply])
    draft = past.like(torch.tensor([wanted**2, 0.0])).after(1, said, limit)
    fitting = {
        n: reply[len(said) :][:limit]
        for n, reply in enumerate(replies, start=1)
        if reply[: len(said)] == said and len(reply) > len(said)
    }
    if not said:
        fitting[0] = [9][:limit]  # the base's, which has not drifted
    nearest = min((abs(n - wanted) for n in fitting), default=0.0)
    assert draft in [reply for n, reply in fitting.items() if abs(n - wanted) <= nearest + 1e-4] or draft == []
    assert bool(draft) == bool(fitting and limit)


@given(st.lists(st.integers(0, 2), min_size=PHRASE, max_size=8), st.integers(0, 8))
def test_where_no_reply_began_so_phrases_of_any_reply_go_on(said: list[int], limit: int) -> None:
    heard = [5, 0, 1, 2, 2, 1, 0, 0, 7, 6]
    past = Past(dict, [heard, [9]])
    draft = past.like(torch.zeros(1)).after(1, said, limit)
    assert len(draft) <= limit
    whole = [*said[-PHRASE:], *draft]
    windows = [heard[at : at + PHRASE + 1] for at in range(len(heard) - PHRASE)]
    assert all(whole[at : at + PHRASE + 1] in windows for at in range(len(draft)))
    if limit and any(window[:PHRASE] == said[-PHRASE:] for window in windows):
        assert draft


def test_what_was_heard_last_after_a_phrase_is_the_guess() -> None:
    past = Past(dict, [[1, 2, 3, 4], [9]])
    past.learn(torch.zeros(1), [[1, 2, 3, 5], [9]])
    assert past.like(torch.zeros(1)).after(1, [1, 2, 3], 1) == [5]


def test_trials_and_phrases_are_forgotten_before_they_fill_the_memory_and_the_base_never() -> None:
    past = Past(dict, [[70, 71]])
    for n in range(MAX_TRIALS + 1):
        past.learn(torch.full((1,), n + 1.0), [[n, 1, 2]])
    drafts = past.like(torch.zeros(1))
    assert drafts.after(0, [1], 9) == [1, 2]
    assert drafts.after(0, [0], 9) == []
    assert drafts.after(0, [70], 9) == [71]
    past.learn(torch.zeros(1), [list(range(MAX_PHRASES + PHRASE + 1))])
    past.learn(torch.zeros(1), [[0, 1, 2, 3]])
    assert len(past.like(torch.zeros(1)).phrases) == 1


def test_an_emptied_past_knows_the_base_alone() -> None:
    past = Past(dict, [[5, 6]])
    past.learn(torch.ones(1), [[7, 8]])
    assert past.like(torch.ones(1)).after(0, [], 2) == [7, 8]
    assert past.emptied().like(torch.ones(1)).after(0, [], 2) == [5, 6]
    assert past.emptied().like(torch.ones(1)).after(0, [7], 2) == []


@given(
    rows=st.lists(st.tuples(st.integers(0, 12), st.floats(0.01, 0.99)), min_size=1, max_size=20),
    n_ended=st.integers(0, 5),
    per_pass=st.integers(1, 200),
    most=st.integers(0, 12),
)
def test_the_width_says_most_tokens_in_the_time_of_a_pass(
    rows: list[tuple[int, float]], n_ended: int, per_pass: int, most: int
) -> None:
    lengths, n_rows = [length for length, _ in rows], len(rows) + n_ended
    rates = np.array([rate for _, rate in rows])
    width = best_width(lengths, rates, n_rows=n_rows, per_pass=per_pass, most=most)

    def said_in_time(w: int) -> float:
        said = sum(sum(rate**n for n in range(min(length, w) + 1)) for length, rate in rows)
        return said / (n_rows * (1 + w) + (COPIED * n_rows if w else 0) + per_pass)

    assert 0 <= width <= min(most, max(lengths))
    assert said_in_time(width) == pytest.approx(max(map(said_in_time, range(min(most, max(lengths)) + 1))))


def test_sure_guesses_are_fed_whole_and_doubtful_ones_only_to_few_rows() -> None:
    sure, doubtful = np.full(40, 0.99), np.full(40, 0.3)
    assert best_width([9] * 40, sure, n_rows=40, per_pass=20, most=16) == 9
    assert best_width([9] * 40, doubtful, n_rows=40, per_pass=20, most=16) == 0
    assert best_width([9] * 2, doubtful[:2], n_rows=2, per_pass=100, most=16) > 0


def test_a_row_is_as_its_batch_until_it_has_shown_otherwise() -> None:
    batch = [Tried(8, 0), Tried(0, 3), Tried()]
    proven, failed, new = confirmed(batch, batch)
    assert failed < new < proven < 1
    assert new == pytest.approx((8 + 1) / (11 + 2))


@given(draft=st.lists(st.integers(0, 2), max_size=5), more=st.lists(st.integers(0, 2), min_size=6, max_size=6))
def test_what_is_confirmed_is_the_common_beginning(draft: list[int], more: list[int]) -> None:
    n = n_confirmed(draft, more)
    assert draft[:n] == more[:n]
    assert n == len(draft) or draft[n] != more[n]


def test_trials_with_drafts_of_their_own_decode_as_without_any_in_fewer_passes(tiny_gemma4: Adapter) -> None:
    adapter, cache = decoding_model(tiny_gemma4)
    plan = edit_of_two_directions()
    n_passes = 0

    def count(*_: Any) -> None:
        nonlocal n_passes
        n_passes += 1

    with applied(adapter, [EditPlan(()), plan]):
        plain = greedy(adapter, ROWS, max_new_tokens=12, batch_size=64, n_trials=2)
        past = Past(cache, [()] * len(ROWS))
        for t, trial in enumerate(plain):
            past.learn(torch.full((1,), float(t)), [reply.whole for reply in trial])
        drafts = [past.like(torch.full((1,), float(t))) for t in range(2)]
        handle = adapter.model.register_forward_pre_hook(count)
        again = greedy(adapter, ROWS, max_new_tokens=12, batch_size=64, n_trials=2, start=HeadStart(drafts=drafts))
        handle.remove()
    assert again == plain
    assert plain[0] != plain[1]
    assert n_passes <= 3


def test_drafts_in_place_of_padding_leave_the_end_of_every_prompt_where_it_is(tiny_gemma4: Adapter) -> None:
    adapter, cache = decoding_model(tiny_gemma4)
    wrong = Past(cache, [[17, 18, 19, 20, 21, 22, 23]] * len(ROWS))
    ends: list[torch.Tensor] = []
    for drafts in (None, [wrong.like(torch.zeros(1))]):
        seen = LastTokens(adapter, 1, len(ROWS))
        with seen.gathering():
            greedy(adapter, ROWS, max_new_tokens=9, batch_size=64, start=HeadStart(drafts=drafts, last_tokens=seen))
        ends.append(seen.residuals)
    torch.testing.assert_close(*ends, atol=1e-5, rtol=1e-5)
    assert ends[0].abs().sum(dim=-1).min() > 0


@pytest.mark.parametrize("most", [1, 12, 30, 10**6])
def test_drafts_are_fed_in_pieces_that_keep_to_the_budget_of_logits(tiny_gemma4: Adapter, most: int) -> None:
    adapter, cache = decoding_model(tiny_gemma4)
    (plain,) = greedy(adapter, ROWS, max_new_tokens=12, batch_size=64)
    shapes: list[torch.Size] = []
    handle = adapter.model.register_forward_hook(lambda _module, _args, output: shapes.append(output.logits.shape))
    drafts = [Past(cache, [reply.whole for reply in plain]).like(torch.zeros(1))]
    (drafted,) = greedy(
        adapter, ROWS, max_new_tokens=12, batch_size=64, start=HeadStart(drafts=drafts, most_logits=most)
    )
    handle.remove()
    assert drafted == plain
    assert all(rows * kept <= max(most, rows) for rows, kept, _ in shapes)
    assert max(kept for _, kept, _ in shapes) == {1: 1, 12: 2, 30: 6, 10**6: 12}[most]


@pytest.mark.parametrize("per_pass", [1, 10, 1000])
def test_rows_read_by_their_length_and_joined_say_what_they_say_alone(
    tiny_gemma4: Adapter, monkeypatch: pytest.MonkeyPatch, per_pass: int
) -> None:
    adapter, cache = decoding_model(tiny_gemma4)
    plan = edit_of_two_directions()
    widths: list[int] = []

    def seen(_module: torch.nn.Module, _words: tuple[Any, ...], named: dict[str, Any]) -> None:
        widths.append(named["input_ids"].shape[1])

    with applied(adapter, [EditPlan(()), plan]):
        plain = greedy(adapter, ROWS, max_new_tokens=12, batch_size=64, n_trials=2)
        monkeypatch.setattr(greedy_decoding, "pass_tokens", lambda _: per_pass)
        past = Past(cache, [()] * len(ROWS))
        past.learn(torch.zeros(1), [reply.whole for reply in plain[0]])
        known = [[(), reply.whole[:2], (), (), ()] for reply in (plain[0][1], plain[1][1])]
        start = HeadStart(known, drafts=[past.like(torch.zeros(1))] * 2)
        handle = adapter.model.register_forward_pre_hook(seen, with_kwargs=True)
        again = greedy(adapter, ROWS, max_new_tokens=12, batch_size=64, n_trials=2, start=start)
        handle.remove()
    assert again == plain
    lengths = sorted([8, 5, 5, 1, 12])  # one of three tokens is known to go on by two
    assert widths[: {1: 4, 10: 2, 1000: 1}[per_pass]] == {1: sorted({*lengths}), 10: [5, 12], 1000: [12]}[per_pass]
