"""Greedy decoding that gives replies as they grow, for a few rows at once: what a chat shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.decoding import Decoding, HeadStart, Row
from saber.lm.inference.generation import Decoded, decoded, end_tokens, limits_of
from saber.lm.inference.thought import RowLimit


@torch.inference_mode()
def stream_greedy(
    adapter: Adapter, rows: Sequence[Sequence[int]], *, max_new_tokens: int, max_thinking_tokens: int = 0
) -> Iterator[list[Decoded]]:
    """Every row's reply as it grows, token by token; the last ones are whole, and those of `greedy`.

    Rows see the plans that are applied meanwhile, one group of rows each, as in any batch.
    """
    ends, limits = end_tokens(adapter), limits_of(adapter, max_new_tokens, max_thinking_tokens)
    replies = [Row(i, [], RowLimit(limits, ())) for i in range(len(rows))]
    for _ in Decoding(adapter, rows, [[row] for row in replies], ends, HeadStart()).steps():
        yield [decoded(row.said, ends) for row in replies]
