"""Greedy decoding that gives each token as it comes, for a few rows at once: what a chat shows while a reply grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.batches import pad_left
from saber.lm.inference.generation import end_tokens


@torch.inference_mode()
def stream_greedy(adapter: Adapter, rows: Sequence[Sequence[int]], max_new_tokens: int) -> Iterator[list[int | None]]:
    """The next token of every row, step by step; ``None`` for a row that has ended, whose end token is not given.

    Rows see the plans that are applied meanwhile, one group of rows each, as in any batch.
    """
    ends = end_tokens(adapter)
    batch = pad_left(adapter, rows)
    ids, mask, positions = batch.input_ids, batch.attention_mask, batch.position_ids
    cache = None
    is_open = [True] * len(rows)
    for _ in range(max_new_tokens):
        out = adapter.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        chosen = out.logits[:, -1].argmax(dim=-1)
        said = chosen.tolist()
        is_open = [goes_on and token not in ends for goes_on, token in zip(is_open, said, strict=True)]
        if not any(is_open):
            return
        yield [token if goes_on else None for token, goes_on in zip(said, is_open, strict=True)]
        ids = chosen.unsqueeze(1)
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        positions = positions[:, -1:] + 1
