"""Greedy decoding of T edited models in one batch, each row ending at its own end token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saber.lm.adapter import Adapter
from saber.lm.batches import Batch, by_length, pad_left

UNDECODED = -1  # no token id: the row had left the batch
SHRINK_AT = 0.75  # share of prompts still open at which copying the cache pays


@dataclass(frozen=True)
class Decoded:
    """New token ids of one row, and the end token that closed it, ``None`` where the limit came first."""

    tokens: tuple[int, ...]
    end: int | None

    @property
    def finished(self) -> bool:
        """Whether the row ended by itself."""
        return self.end is not None


@torch.inference_mode()
def greedy(
    adapter: Adapter,
    rows: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    n_trials: int = 1,
) -> list[list[Decoded]]:
    """Decode every prompt (token ids) under each of the T plans applied; by trial, then by prompt.

    The result is what ``model.generate(do_sample=False)`` gives a row alone: the most likely token of the raw logits.
    """
    decoded: list[list[Decoded | None]] = [[None] * len(rows) for _ in range(n_trials)]
    for indices in by_length(rows, max(1, batch_size // n_trials)):
        batch = pad_left(adapter, [rows[i] for i in indices]).for_trials(n_trials)
        tokens = _decode(adapter, batch, max_new_tokens, n_trials).tolist()
        for row, new in enumerate(tokens):
            decoded[row // len(indices)][indices[row % len(indices)]] = _cut(new, end_tokens(adapter))
    return [[one for one in trial if one is not None] for trial in decoded]


def end_tokens(adapter: Adapter) -> frozenset[int]:
    """The ids that end a response: the generation config's, else the tokenizer's."""
    found = adapter.model.generation_config.eos_token_id
    if found is None:
        found = adapter.tokenizer.eos_token_id
    return frozenset(found if isinstance(found, list | tuple) else [found])


def _decode(adapter: Adapter, batch: Batch, max_new_tokens: int, n_trials: int) -> Tensor:
    """Greedy steps with the model's own cache, by row; what follows a row's end token means nothing.

    A prompt leaves the batch once it has ended in every trial: groups must stay equal, so it leaves all at once.
    """
    ends = torch.tensor(sorted(end_tokens(adapter)), device=batch.input_ids.device)
    ids, mask, positions, cache = batch.input_ids, batch.attention_mask, batch.position_ids, None
    new = ids.new_full((len(ids), max_new_tokens), UNDECODED)
    live = torch.arange(len(ids), device=ids.device)  # which row of ``new`` each row of the shrinking batch is
    ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    for step in range(max_new_tokens):
        out = adapter.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        token = out.logits[:, -1].argmax(dim=-1)
        new[live, step] = token
        ended[live] |= torch.isin(token, ends)
        is_open = (~ended[live]).view(n_trials, -1).any(dim=0)
        if not bool(is_open.any()):
            break
        if float(is_open.float().mean()) <= SHRINK_AT:
            kept = torch.nonzero(is_open.repeat(n_trials)).flatten()
            live, token, mask, positions = live[kept], token[kept], mask[kept], positions[kept]
            cache.reorder_cache(kept)
        ids, positions = token.unsqueeze(1), positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return new


def _cut(tokens: list[int], ends: frozenset[int]) -> Decoded:
    """A row up to its end token."""
    for i, token in enumerate(tokens):
        if token in ends:
            return Decoded(tuple(tokens[:i]), token)
    return Decoded(tuple(tokens), None)
