"""What is captured of writers in batches is what each sequence alone shows, in every family."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.architecture.capture import capture
from saber.lm.inference.writer_inputs import bytes_taken, writer_inputs
from saber.types import LookedAt, TokenRow
from tests.lm.families import CASES, UNPADDED, tiny

HEAD = (3, 17, 8, 9, 40, 12, 5, 6)  # as many tokens as are read once for all sequences
PROMPTS = [(*HEAD, 5, 9, 3, 20), (*HEAD, 11, 4, 60, 2, 19, 21), (*HEAD, 7, 8)]
ROWS = LookedAt(
    (
        *(TokenRow("harmful", i, tokens, (len(tokens) - 1,)) for i, tokens in enumerate(PROMPTS)),
        *(TokenRow("harmful", i, (*t, 33, 8, 2), (len(t) + 2, len(t)), is_reply=True) for i, t in enumerate(PROMPTS)),
    )
)


def with_padding(case: str) -> Adapter:
    return adapt(tiny(case).model, SimpleNamespace(pad_token_id=0))


@pytest.mark.parametrize("case", CASES)
def test_batches_show_what_single_sequences_do(case: str) -> None:
    adapter = with_padding(case)
    batched = writer_inputs(adapter, ROWS, adapter.writers, batch_size=1 if case in UNPADDED else 4)
    first = 0
    for sequence in ROWS.sequences:
        modules = {writer.place: writer.module for writer in adapter.writers}
        with torch.no_grad(), capture(modules, with_input=True, copy=True) as seen:
            adapter.model(input_ids=torch.tensor([sequence.tokens]), use_cache=False)
        for writer in adapter.writers:
            entering, leaving = seen[writer.place]
            put_out = leaving.reshape(writer.n_expert_groups, len(sequence.tokens), -1).sum(dim=0)
            read = put_out if writer.fused else entering.reshape(len(sequence.tokens), -1)
            rows = slice(first, first + len(sequence.positions))
            torch.testing.assert_close(
                batched.read[writer.place][rows], read[list(sequence.positions)], atol=2e-4, rtol=2e-3
            )
            if not sequence.is_reply:
                expected = put_out[list(sequence.positions)]
                torch.testing.assert_close(batched.outputs[writer.place][rows], expected, atol=2e-4, rtol=2e-3)
        first += len(sequence.positions)
    assert first == ROWS.n_rows
    assert not any(module._forward_hooks for module in adapter.model.modules())


@pytest.mark.parametrize("ends_are_replied_to", [True, False])
def test_a_shared_beginning_and_a_prompt_with_its_reply_are_read_once(ends_are_replied_to: bool) -> None:
    adapter, passed = with_padding("llama"), []
    rows = ROWS if ends_are_replied_to else LookedAt(ROWS.sequences[: len(PROMPTS)])
    counting = adapter.blocks[0].register_forward_hook(
        lambda _, args, __: passed.append(args[0].shape[0] * args[0].shape[1])
    )
    writer_inputs(adapter, rows, adapter.writers, batch_size=1)
    counting.remove()
    n_replied = 3 * len(PROMPTS) if ends_are_replied_to else 0
    alone = sum(len(prompt) - len(HEAD) for prompt in PROMPTS)
    assert sum(passed) == 1 + len(HEAD) + alone + n_replied  # one token shows what cache the model keeps


def test_what_it_takes_is_what_it_holds() -> None:
    adapter = with_padding("llama")
    writers = adapter.writers[:2]
    inputs = writer_inputs(adapter, ROWS, writers, batch_size=4)
    assert list(inputs.read) == ["0.self_attn.o_proj", "0.mlp.down_proj"]
    tensors = [*inputs.read.values(), *inputs.outputs.values()]
    assert bytes_taken(adapter, ROWS, writers) == sum(tensor.numel() * tensor.element_size() for tensor in tensors)
