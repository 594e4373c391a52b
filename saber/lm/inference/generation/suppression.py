"""What a model's generation config keeps it from saying: honoured when decoding, so that replies are `generate`'s own.

Only the choice of a token heeds it; divergences are of the raw logits, of which none is infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# What else changes a greedy reply in `generate`, with the value under which it does nothing.
IGNORED: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (None, 1.0),
    "no_repeat_ngram_size": (None, 0),
    "min_new_tokens": (None, 0),
    "min_length": (None, 0),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "exponential_decay_length_penalty": (None,),
    "sequence_bias": (None,),
    "guidance_scale": (None, 1, 1.0),
    "num_beams": (None, 1),
    "num_beam_groups": (None, 1),
    "stop_strings": (None,),
    "constraints": (None,),
    "force_words_ids": (None,),
    "dola_layers": (None,),
    "watermarking_config": (None,),
    "encoder_repetition_penalty": (None, 1.0),
    "encoder_no_repeat_ngram_size": (None, 0),
    "penalty_alpha": (None,),
}


@dataclass(frozen=True)
class Suppressed:
    """Tokens that are never said, that do not begin a reply, and those that would complete a forbidden sequence."""

    always: tuple[int, ...] = ()
    at_start: tuple[int, ...] = ()
    sequences: tuple[tuple[int, ...], ...] = ()

    @torch.inference_mode()
    def likely(
        self,
        logits: Float[Tensor, "position vocab"],
        is_start: Bool[Tensor, " position"],
        before: Sequence[Sequence[int]],
    ) -> Int[Tensor, " position"]:
        """The most likely token that may be said at each position; ``before`` are the tokens ahead of each of them."""
        allowed = logits.clone()
        allowed[:, list(self.always)] = -torch.inf
        allowed[is_start.nonzero(), list(self.at_start)] = -torch.inf
        for *head, last in self.sequences:
            completes = [list(tokens[-len(head) :]) == head for tokens in before]
            allowed[torch.tensor(completes, device=logits.device), last] = -torch.inf
        return most_likely(allowed)


def suppressed_of(generation: Any, ends: frozenset[int]) -> Suppressed | None:
    """What a generation config suppresses, ``None`` where it is nothing; as in `generate`, no end token is a bad word.

    A word of one token is never said; of a longer one the last token is not said after the others.
    """
    words = [tuple(word) for word in getattr(generation, "bad_words_ids", None) or ()]
    words = [word for word in words if not (len(word) == 1 and word[0] in ends)]
    always = [*(getattr(generation, "suppress_tokens", None) or ()), *(word[0] for word in words if len(word) == 1)]
    suppressed = Suppressed(
        tuple(sorted(set(always))),
        tuple(getattr(generation, "begin_suppress_tokens", None) or ()),
        tuple(word for word in words if len(word) > 1),
    )
    return None if suppressed == Suppressed() else suppressed


def ignored_by(generation: Any) -> dict[str, Any]:
    """What a generation config asks of `generate` that is not done here, by name."""
    asked = {name: getattr(generation, name, None) for name in IGNORED}
    return {name: value for name, value in asked.items() if value not in IGNORED[name]}


def most_likely(logits: Float[Tensor, "*position vocab"]) -> Int[Tensor, "*position"]:
    """The most likely token at each position; of equal ones the first."""
    if logits.device.type == "cpu":
        logits = logits.float()  # in bf16 it takes a processor four times as long
    return logits.argmax(dim=-1)
