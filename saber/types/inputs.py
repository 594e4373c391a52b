"""What goes into writers: which positions of which sequences are looked at, and what was seen there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from saber.types.prompts import digest_json
from saber.vocabulary import PROMPT_KINDS, PromptKind


@dataclass(frozen=True)
class TokenRow:
    """Token ids of a prompt, with the base's reply where ``is_reply``, and the positions in it that are looked at.

    It is the ``prompt``-th prompt of its ``kind`` in the probe set.
    """

    kind: PromptKind
    prompt: int
    tokens: tuple[int, ...]
    positions: tuple[int, ...]
    is_reply: bool = False


@dataclass(frozen=True)
class LookedAt:
    """Sequences whose positions are the rows of what is captured, one sequence after the other, prompts first."""

    sequences: tuple[TokenRow, ...]

    @cached_property
    def kind(self) -> Int[Tensor, " row"]:
        """By row, the number of its kind in ``PROMPT_KINDS``."""
        return torch.tensor(
            [PROMPT_KINDS.index(sequence.kind) for sequence in self.sequences for _ in sequence.positions]
        )

    @cached_property
    def prompt(self) -> Int[Tensor, " row"]:
        """By row, the number of its prompt within its kind."""
        return torch.tensor([sequence.prompt for sequence in self.sequences for _ in sequence.positions])

    @cached_property
    def place_in_reply(self) -> Int[Tensor, " row"]:
        """By row, 0 at the last token of a prompt, and 1, 2, ... at the positions of a reply, in the order drawn."""
        return torch.tensor(
            [i + sequence.is_reply for sequence in self.sequences for i in range(len(sequence.positions))]
        )

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return sum(len(sequence.positions) for sequence in self.sequences)

    @property
    def n_prompts(self) -> int:
        """Number of rows at the last token of a prompt, which are the first ones."""
        return sum(not sequence.is_reply for sequence in self.sequences)

    @cached_property
    def digest(self) -> str:
        """Content digest."""
        return digest_json([[s.kind, s.prompt, s.tokens, s.positions, s.is_reply] for s in self.sequences])


@dataclass(frozen=True, eq=False)
class WriterInputs:
    """By the place of every writer looked at, what it is read by at each row, and what it puts out at prompts' ends.

    A writer is read by its input, fused experts by the sum of their outputs. fp32.
    """

    rows: LookedAt
    read: Mapping[str, Float[Tensor, "row d_read"]]
    outputs: Mapping[str, Float[Tensor, "prompt d_model"]]
