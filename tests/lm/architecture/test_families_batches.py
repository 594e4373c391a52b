"""Every declared family: a left-padded batch has the activations and the greedy text of its prompts alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.inference.generation.decoding import HeadStart
from saber.lm.inference.generation.drafts import Past
from saber.lm.inference.generation.greedy import greedy
from saber.lm.inference.kv_cache import rewindable_cache
from saber.lm.inference.residuals import last_token_residuals
from saber.types import Prompt
from tests.lm.families import CASES, RECURRENT, UNPADDED, tiny

ROWS = [[5, 9, 3, 20, 7, 33, 8, 14], [11, 4, 60], [2, 19, 21, 6, 40], [30, 12], [7, 7, 7, 9, 12, 44, 3, 3, 5, 6, 8, 10]]


every_family = pytest.mark.parametrize("case", CASES)


def with_rows(case: str) -> Adapter:
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=1, chat_template="x")
    tokenizer.apply_chat_template = lambda chats, **_: {"input_ids": [ROWS[int(c[-1]["content"])] for c in chats]}
    return adapt(tiny(case).model, tokenizer)


@pytest.mark.parametrize("case", [case for case in CASES if case not in UNPADDED])
def test_a_batch_has_the_activations_of_prompts_alone(case: str) -> None:
    adapter = with_rows(case)
    prompts = [Prompt(str(i), "harmful") for i in range(len(ROWS))]
    together = last_token_residuals(adapter, prompts, batch_size=8)
    alone = last_token_residuals(adapter, prompts, batch_size=1)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@every_family
def test_a_batch_decodes_what_transformers_decodes_alone(case: str) -> None:
    adapter = with_rows(case)
    (batch,) = greedy(adapter, ROWS, max_new_tokens=6, batch_size=1 if case in UNPADDED else 8)
    for row, ours in zip(ROWS, batch, strict=True):
        theirs = adapter.model.generate(
            torch.tensor([row]), attention_mask=torch.ones(1, len(row)), do_sample=False, max_new_tokens=6
        )[0, len(row) :].tolist()
        assert [*ours.tokens, *([ours.end] if ours.end is not None else [])] == theirs


@every_family
def test_a_draft_right_or_wrong_changes_nothing(case: str) -> None:
    adapter = with_rows(case)
    size = 1 if case in UNPADDED else 8
    (plain,) = greedy(adapter, ROWS, max_new_tokens=6, batch_size=size)
    cache = rewindable_cache(adapter)
    if cache is None:
        assert case in RECURRENT
        return
    wrong = [[*reply.whole[: i + 1], 50, 51, 52, 53] for i, reply in enumerate(plain[:4])]  # after one to four tokens
    past = Past(cache, [*wrong, ()])
    known = [[tuple(reply.tokens[:2]) if i == 4 else () for i, reply in enumerate(plain)]]
    for _ in range(2):
        drafts = [past.like(torch.zeros(1))]
        start = HeadStart(known, drafts)
        drafted = greedy(adapter, ROWS, max_new_tokens=6, batch_size=size, start=start)
        assert drafted == [plain]
        past.learn(torch.zeros(1), [reply.whole for reply in plain])


@every_family
def test_rows_that_end_early_change_nothing(case: str) -> None:
    adapter = with_rows(case)
    size = 1 if case in UNPADDED else 8
    (whole,) = greedy(adapter, ROWS, max_new_tokens=6, batch_size=size)
    ends = sorted({reply.tokens[2] for reply in whole[:4] if len(reply.tokens) > 2})
    adapter.model.generation_config.eos_token_id = [1, *ends]
    (ended,) = greedy(adapter, ROWS, max_new_tokens=6, batch_size=size)
    assert any(reply.finished for reply in ended)
    for reply, full in zip(ended, whole, strict=True):
        assert reply.tokens == full.tokens[: len(reply.tokens)]
