"""The prefix that all prompts share, such as a system prompt or the head of a template: read once for each trial.

Rows are padded on the left, so the first columns of a batch, as many as the prefix has tokens, hold padding and
beginnings of the prefix and nothing else: their keys and values are the prefix's own, moved to where a row begins.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.batches import Batch
from saber.lm.inference.kv_cache import gather_columns

FEWEST = 8  # tokens; fewer are read again about as fast as their keys are copied to every row


@dataclass(frozen=True, eq=False)
class Prefix:
    """What some rows all begin with, nothing where that is too little; ``cache`` is the class that keeps its keys.

    It is read so far that its logits, over all trials, are of at most ``most_logits`` tokens; ``None`` keeps none.
    """

    tokens: tuple[int, ...] = ()
    cache: type | None = None
    most_logits: int | None = None

    @torch.inference_mode()
    def read(self, adapter: Adapter, n_trials: int) -> PrefixRead:
        """Read it under each of the T plans applied."""
        tokens = self.tokens if self.most_logits is None else self.tokens[: self.most_logits // n_trials]
        if self.cache is None or not tokens:
            return PrefixRead()
        ids = torch.tensor([tokens] * n_trials, device=adapter.device)
        out = adapter.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=self.cache(),
            use_cache=True,
            logits_to_keep=1 if self.most_logits is None else 0,  # 0 keeps all
        )
        return PrefixRead(len(tokens), n_trials, out.past_key_values, out.logits)


@dataclass(frozen=True, eq=False)
class PrefixRead:
    """The prefix as T edited models have read it: how many tokens, the cache with their keys, and logits after them."""

    length: int = 0
    n_trials: int = 1
    cache: Any = None
    logits: Float[Tensor, "trial token vocab"] | None = None

    def inputs(self, batch: Batch) -> dict[str, Any]:
        """The model's arguments for rows that begin with the prefix, trial by trial; logits are of later columns."""
        named: dict[str, Any] = {
            "input_ids": batch.input_ids[:, self.length :],
            "attention_mask": batch.attention_mask,
            "position_ids": batch.position_ids[:, self.length :],
        }
        return {**named, "past_key_values": self._moved(batch)} if self.length else named

    def logits_at(
        self,
        logits: Float[Tensor, "row column vocab"],
        trial: int,
        row: Int[Tensor, " position"],
        column: Int[Tensor, " position"],
        position: Int[Tensor, " position"],
    ) -> Float[Tensor, "position vocab"]:
        """Logits at columns of a batch, each the ``position``-th token of its row: the pass's, or the prefix's own."""
        at_tokens = logits[row, (column - self.length).clamp(min=0)]
        if self.logits is not None:
            early = column < self.length
            at_tokens[early] = self.logits[trial, position[early]]
        return at_tokens

    def _moved(self, batch: Batch) -> Any:
        """A cache for these rows: each row's trial's keys, behind as much padding as the row has."""
        device = batch.input_ids.device
        trial = torch.arange(self.n_trials, device=device).repeat_interleave(len(batch.input_ids) // self.n_trials)
        n_padding = (batch.attention_mask == 0).sum(dim=1, keepdim=True)
        source = (torch.arange(self.length, device=device) - n_padding).clamp(min=0)
        cache = copy.deepcopy(self.cache)
        gather_columns(cache, trial, source)
        return cache


def prefix_of(
    rows: Sequence[Sequence[int]], cache: Callable[[], type | None], *, most_logits: int | None = None
) -> Prefix:
    """The tokens that all rows begin with, but for the last of the shortest, where they are `FEWEST` or more.

    ``cache`` is asked for the class that can keep them only then; where there is none they are read with every row.
    """
    shortest = min(rows, key=len, default=())
    n = 0
    while n < len(shortest) - 1 and all(row[n] == shortest[n] for row in rows):
        n += 1
    if n < FEWEST or (keeps := cache()) is None:
        return Prefix()
    return Prefix(tuple(shortest[:n]), keeps, most_logits)
