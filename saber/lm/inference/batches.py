"""Prompts become left-padded batches: rendered and tokenised in one step, with explicit position ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from saber.lm.architecture.adapter import Adapter
from saber.lm.chat.chat_format import encode, render
from saber.types import Prompt, UserError

# What a pass takes beside its tokens, in tokens. On an accelerator that is reading the weights. On a processor it is
# that, as many tokens for any model, and the calls of each layer, which take as long in a small model as in a large.
PASS_TOKENS = 128
PASS_TOKENS_READING, PASS_TOKENS_A_LAYER = 15, 2e7
MAX_LISTED = 5  # how many long prompts an error names


@dataclass(frozen=True, eq=False)
class Batch:
    """Token ids padded on the left, so that the last column is the last token of every row."""

    input_ids: Int[Tensor, "row token"]
    attention_mask: Int[Tensor, "row token"]

    @property
    def position_ids(self) -> Int[Tensor, "row token"]:
        """Positions counted from each row's first real token, as if it stood alone."""
        return (self.attention_mask.cumsum(dim=1) - 1).clamp(min=0)

    def for_trials(self, n_trials: int) -> Batch:
        """The same rows once per trial, trial by trial."""
        return Batch(self.input_ids.repeat(n_trials, 1), self.attention_mask.repeat(n_trials, 1))


def tokenise(adapter: Adapter, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Put each prompt into the model's chat format, ready to be answered; no second BOS, as it is tokenised once.

    Raises:
        UserError: the tokenizer has no chat template, or the template begins with two BOS.
    """
    rows = encode(adapter.tokenizer, adapter.chat, adapter.system_prompt, [prompt.text for prompt in prompts])
    _check_one_bos(adapter, rows)
    return rows


def _check_one_bos(adapter: Adapter, rows: Sequence[list[int]]) -> None:
    """A second BOS shifts every activation and every number a little, and nothing else would show it."""
    bos = getattr(adapter.tokenizer, "bos_token_id", None)
    if bos is not None and any(row[:2] == [bos, bos] for row in rows):
        raise UserError(
            f"expected one {adapter.tokenizer.bos_token} at the start of a prompt, found two:"
            " mend the tokenizer's chat template"
        )


def check_held(adapter: Adapter, prompts: Sequence[Prompt]) -> None:
    """Pass where every prompt's own text stands in what is put before the model: templates drop some silently.

    Raises:
        UserError: some do not; each is named by its kind and its number, not by its text.
    """
    rendered = render(adapter.tokenizer, adapter.chat, adapter.system_prompt, [prompt.text for prompt in prompts])
    lost = [
        f"{prompt.kind} prompt {i}"
        for i, (prompt, text) in enumerate(zip(prompts, rendered, strict=True))
        if prompt.text.strip() not in text
    ]
    if lost:
        more = f" and {len(lost) - MAX_LISTED} more" if len(lost) > MAX_LISTED else ""
        raise UserError(
            "expected a chat template that shows every prompt as it is, found that it changes or drops"
            f" {', '.join(lost[:MAX_LISTED])}{more}; mend the template or reword the prompts"
        )


def check_fits(adapter: Adapter, prompts: Sequence[Prompt], rows: Sequence[list[int]], max_new_tokens: int) -> None:
    """Pass where every prompt leaves room for its response in the model's context.

    Raises:
        UserError: some do not; each is named by its kind, its number and its length in tokens, not by its text.
    """
    context = getattr(adapter.model.config.get_text_config(), "max_position_embeddings", None)
    if context is None:
        return
    room = int(context) - max_new_tokens
    if room < 1:
        raise UserError(
            f"expected a reply shorter than the model's context of {context} tokens, found {max_new_tokens}"
        )
    long = [f"{p.kind} prompt {i} ({len(row)})" for i, (p, row) in enumerate(zip(prompts, rows, strict=True))
            if len(row) > room]  # fmt: skip
    if long:
        more = f" and {len(long) - MAX_LISTED} more" if len(long) > MAX_LISTED else ""
        raise UserError(
            f"expected prompts of at most {room} tokens (a context of {context} less {max_new_tokens} new ones), found"
            f" {len(long)} longer: {', '.join(long[:MAX_LISTED])}{more}; shorten or remove them"
        )


def pad_left(adapter: Adapter, rows: Sequence[Sequence[int]]) -> Batch:
    """Pad rows of token ids to the longest."""
    width = max(len(row) for row in rows)
    pad = adapter.tokenizer.pad_token_id or 0
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return Batch(ids.to(adapter.device), mask.to(adapter.device))


def pass_tokens(adapter: Adapter) -> int:
    """What a pass of the model takes beside its tokens, in tokens."""
    if adapter.device.type != "cpu":
        return PASS_TOKENS
    n_parameters = sum(parameter.numel() for parameter in adapter.model.parameters())
    return PASS_TOKENS_READING + round(PASS_TOKENS_A_LAYER * adapter.n_layers / n_parameters)


def by_length(lengths: Sequence[int], most: Callable[[int], int], per_pass: int = PASS_TOKENS) -> list[list[int]]:
    """Indices of rows in batches of similar length, at most ``most(width)`` rows in one that is so wide.

    Of all such batches those that cost least, sum(rows x width + ``per_pass``): little is padding, and passes are few.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    costs, starts = np.zeros(len(order) + 1), [0] * (len(order) + 1)
    for end, last in enumerate(order, start=1):
        begin = np.arange(max(0, end - most(lengths[last])), end)
        options = costs[begin] + (end - begin) * lengths[last]
        costs[end], starts[end] = options.min() + per_pass, begin[options.argmin()]
    batches: list[list[int]] = []
    end = len(order)
    while end:
        batches.append(order[starts[end] : end])
        end = starts[end]
    return batches[::-1]
