"""What a model has read, kept from step to step: its cache, or the tokens themselves where it gives no cache."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from saber.lm.architecture.adapter import Adapter

STATE_SPACE = "cache_params"
CACHES = ("past_key_values", STATE_SPACE)  # what models call theirs


def cache_in(output: Any) -> Any | None:
    """The cache in a model's output, whatever it is called there; ``None`` for one whose rows cannot be chosen."""
    found = next((output[name] for name in CACHES if output.get(name) is not None), None)
    return found if hasattr(found, "reorder_cache") else None


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
