"""Batched greedy decoding equals transformers' own, one prompt at a time; trials side by side equal their own runs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.editing.apply import applied
from saber.lm.inference.generation.greedy import greedy
from saber.lm.inference.residuals import last_token_residuals
from saber.lm.loading.load import build_model
from saber.types import EditPlan, Prompt
from tests.conftest import TINY_GEMMA4, randomise

ROWS = [[5, 9, 3, 20, 7, 33, 8, 14], [11, 4, 60], [2, 19, 21, 6, 40], [30], [7, 7, 7, 9, 12, 44, 3, 3, 5, 6, 8, 10]]


@pytest.fixture
def adapter() -> Adapter:
    model = build_model("gemma4_text", TINY_GEMMA4)
    randomise(model, seed=5)
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=1, chat_template="x")
    tokenizer.apply_chat_template = lambda chats, **_: {"input_ids": [ROWS[int(c[-1]["content"])] for c in chats]}
    return adapt(model, tokenizer)


def plan_of(alpha: float, seed: int) -> EditPlan:
    r, _ = torch.linalg.qr(torch.randn(24, 2, generator=torch.Generator().manual_seed(seed)))
    return EditPlan.from_directions({layer: (r, torch.full((2,), alpha)) for layer in range(6)})


def test_a_padded_batch_decodes_what_transformers_decodes_alone(adapter: Adapter) -> None:
    (batch,) = greedy(adapter, ROWS, max_new_tokens=12, batch_size=8)
    for row, ours in zip(ROWS, batch, strict=True):
        theirs = adapter.model.generate(
            torch.tensor([row]), attention_mask=torch.ones(1, len(row)), do_sample=False, max_new_tokens=12
        )[0, len(row) :].tolist()
        assert [*ours.tokens, *([ours.end] if ours.end is not None else [])] == theirs
    assert len({reply.tokens for reply in batch}) > 1


def test_small_batches_and_rows_that_end_early_change_nothing(adapter: Adapter) -> None:
    (whole,) = greedy(adapter, ROWS, max_new_tokens=12, batch_size=8)
    ending = {token for reply in whole for token in reply.tokens[2:4]}
    adapter.model.generation_config.eos_token_id = sorted(ending)
    (ended,) = greedy(adapter, ROWS, max_new_tokens=12, batch_size=8)
    assert any(reply.finished for reply in ended)
    assert len({len(reply.tokens) for reply in ended}) > 1
    for size in (1, 2, 3):
        assert greedy(adapter, ROWS, max_new_tokens=12, batch_size=size) == [ended]


def test_trials_in_one_batch_decode_as_they_do_alone(adapter: Adapter) -> None:
    plans = [EditPlan(()), plan_of(1.0, 0), plan_of(0.6, 1)]
    with applied(adapter, plans):
        together = greedy(adapter, ROWS, max_new_tokens=10, batch_size=64, n_trials=3)
    for plan, group in zip(plans, together, strict=True):
        with applied(adapter, [plan]):
            assert greedy(adapter, ROWS, max_new_tokens=10, batch_size=64) == [group]


def test_a_padded_batch_has_the_activations_of_prompts_alone(adapter: Adapter) -> None:
    prompts = [Prompt(str(i), "harmful") for i in range(len(ROWS))]
    together = last_token_residuals(adapter, prompts, batch_size=8)[0]
    for i, row in enumerate(ROWS):
        out = adapter.model(input_ids=torch.tensor([row]), output_hidden_states=True, use_cache=False)
        for layer in range(adapter.n_layers - 1):
            alone = out.hidden_states[layer + 1][0, -1]
            torch.testing.assert_close(together[layer, i], alone, atol=2e-5, rtol=1e-4)
