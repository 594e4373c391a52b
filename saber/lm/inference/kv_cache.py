"""What a model has read, whose rows can be selected and taken back by some tokens: a refused draft leaves nothing.

Rows stay aligned on the right: what is taken back moves a row's keys to the right over the columns it gives up, so the
distances between columns remain those between positions, which sliding windows count on.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from saber.lm.architecture.adapter import Adapter

PLAIN_CACHE, PLAIN_LAYERS = "DynamicCache", {"DynamicLayer", "DynamicSlidingWindowLayer", "DummyLayer"}
STATE_SPACE = "cache_params"
CACHES = ("past_key_values", STATE_SPACE)  # what models call theirs


@torch.inference_mode()
def rewindable_cache(adapter: Adapter, n_trials: int = 1) -> type | None:
    """The class of a model's cache where that is keys and values alone; a recurrent state cannot be taken back.

    Made without a configuration it keeps every token also where attention is windowed: the mask sees to the window.
    """
    if adapter.family.reads_again:
        return None
    ids = torch.zeros(n_trials, 1, dtype=torch.long, device=adapter.device)
    cache = cache_in(adapter.model(input_ids=ids, use_cache=True))
    layers = {type(layer).__name__ for layer in getattr(cache, "layers", [])}
    return type(cache) if type(cache).__name__ == PLAIN_CACHE and layers <= PLAIN_LAYERS else None


def select_and_rewind(
    cache: Any, mask: Int[Tensor, "row column"], kept: Int[Tensor, " kept"], taken_back: Int[Tensor, " kept"]
) -> Int[Tensor, "kept column"]:
    """Keep some rows, take back the last tokens of each, drop columns that nothing uses; returns the new mask."""
    width = mask.shape[1]
    source = torch.arange(width, device=mask.device) - taken_back.unsqueeze(1)
    new_mask = mask[kept].gather(1, source.clamp(min=0)) * (source >= 0)
    unused = int((new_mask.cumsum(dim=1) == 0).sum(dim=1).min())
    gather_columns(cache, kept, source[:, unused:].clamp(min=0))
    return new_mask[:, unused:]


def gather_columns(cache: Any, rows: Int[Tensor, " kept"], source: Int[Tensor, "kept column"]) -> None:
    """Make a cache hold these rows of its own, column by column from where ``source`` says."""
    for layer in cache.layers:
        if layer.keys is None or not layer.keys.numel():
            continue  # it shares another layer's keys, or has no attention
        layer.keys = _gathered(layer.keys, rows, source)
        layer.values = _gathered(layer.values, rows, source)


def joined(
    caches: Sequence[Any], masks: Sequence[Int[Tensor, "row column"]], order: Sequence[int]
) -> tuple[Any, Int[Tensor, "row column"]]:
    """One cache and mask of the rows of several, all with the same layers, taken in an order; aligned on the right."""
    width = max(mask.shape[1] for mask in masks)
    first = caches[0]
    for i, layer in enumerate(first.layers):
        if layer.keys is None or not layer.keys.numel():
            continue
        layer.keys = _stacked([cache.layers[i].keys for cache in caches], width, dim=2)[list(order)]
        layer.values = _stacked([cache.layers[i].values for cache in caches], width, dim=2)[list(order)]
    return first, _stacked(masks, width, dim=1)[list(order)]


def _stacked(parts: Sequence[Tensor], width: int, *, dim: int) -> Tensor:
    """Rows of several tensors under each other, each with zeros before it along a dimension up to a width."""
    padded = [
        torch.cat([part.new_zeros(*part.shape[:dim], width - part.shape[dim], *part.shape[dim + 1 :]), part], dim=dim)
        for part in parts
    ]
    return torch.cat(padded)


def _gathered(states: Tensor, kept: Tensor, source: Tensor) -> Tensor:
    """Rows, then each row's own columns, of states (row, head, column, width)."""
    kept, source = kept.to(states.device), source.to(states.device)  # a layer's keys are where the layer is
    index = source[:, None, :, None].expand(-1, states.shape[1], -1, states.shape[3])
    return states[kept].gather(2, index)


def cache_in(output: Any) -> Any | None:
    """The cache in a model's output, whatever it is called there; ``None`` for one whose rows cannot be chosen."""
    cache = next((output[name] for name in CACHES if output.get(name) is not None), None)
    return cache if hasattr(cache, "reorder_cache") else None


class ReadingState:
    """A batch of rows that a model has read so far.

    A model that keeps its state in its own modules, or in a form whose rows cannot be chosen, reads all tokens again at
    every step: slow, and the same text.
    """

    def __init__(self, adapter: Adapter, cache: Any = None) -> None:
        self._model = adapter.model
        self.cache = cache
        self._read: Tensor | None = None
        self._reads_again = adapter.family.reads_again
        self._name = next((name for name in CACHES if name in inspect.signature(self._model.forward).parameters), None)

    def forward(self, keep: int, **inputs: Any) -> Any:
        """The model's output for the last ``keep`` of the tokens that are fed; what it has read grows by them."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        if self._reads_again:
            self._read = ids if self._read is None else torch.cat([self._read, ids], dim=1)
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
            inputs = {"input_ids": self._read, "attention_mask": mask, "position_ids": positions}
            return self._model(**inputs, use_cache=False, logits_to_keep=keep)
        cache = inputs.pop("past_key_values", self.cache)
        if self._name is not None:
            inputs[self._name] = cache
        if cache is not None and self._name == STATE_SPACE:
            inputs["attention_mask"] = None  # padding was before: its state is in the cache
        output = self._model(**inputs, use_cache=True, logits_to_keep=keep)
        self.cache = cache_in(output)
        if self.cache is None:  # some wrappers leave their text half's out of what they put out
            self._read, self._reads_again = ids, True
        return output

    def choose(self, rows: Int[Tensor, " kept"]) -> None:
        """Keep these rows, in this order."""
        if self.cache is not None:
            self.cache.reorder_cache(rows)
        if self._read is not None:
            self._read = self._read[rows]
