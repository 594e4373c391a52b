"""Greedy decoding of T edited models in one batch, each row ending at its own end token; or token by token for a chat.

A row takes one token a step, or as many as the model confirms of a draft: the text is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch

from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.batches import by_length, pass_tokens
from saber.lm.inference.generation.decoding import Decoding, HeadStart, Row
from saber.lm.inference.thought import Limits, RowLimit, ThoughtReader

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Decoded:
    """New token ids of one row, and the end token that closed it, ``None`` where the limit came first."""

    tokens: Tokens
    end: int | None

    @property
    def finished(self) -> bool:
        """Whether the row ended by itself."""
        return self.end is not None

    @property
    def whole(self) -> Tokens:
        """All that was said, the end token included."""
        return self.tokens if self.end is None else (*self.tokens, self.end)


@torch.inference_mode()
def greedy(
    adapter: Adapter,
    rows: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    max_thinking_tokens: int = 0,
    n_trials: int = 1,
    start: HeadStart | None = None,
    only: Collection[int] | None = None,
) -> list[list[Decoded]]:
    """Decode every prompt (token ids) under each of the T plans applied; by trial, then by prompt.

    With ``only`` these prompts alone, by their numbers; of the others there is what the ``start`` knew.

    The result is what ``model.generate(do_sample=False)`` gives a row alone: the most likely token of the raw logits
    that the generation config lets it say. Where the model is to think (``thinking=on``), a thought may take
    ``max_thinking_tokens``, and ``max_new_tokens`` are those of the answer.
    """
    start = start or HeadStart()
    ends, limits = end_tokens(adapter), limits_of(adapter, max_new_tokens, max_thinking_tokens)
    known = start.known or [[()] * len(rows)] * n_trials
    replies: list[list[Tokens]] = [[tuple(said) for said in of] for of in known]
    wanted = range(len(rows)) if only is None else sorted(only)
    todo = [sorted((i for i in wanted if _is_open(of[i], ends, limits)), key=lambda i: len(rows[i])) for of in replies]
    size = max(1, batch_size // n_trials)
    for at in range(0, max(map(len, todo)), size):
        groups = _filled(
            [
                [
                    Row(i, list(said[i]), RowLimit(limits, said[i]), start.drafts[t] if start.drafts else None)
                    for i in todo[t][at : at + size]
                ]
                for t, said in enumerate(replies)
            ]
        )
        _finish(adapter, rows, groups, ends, start)
        for t, group in enumerate(groups):
            for row in group:
                if not row.is_filler:
                    replies[t][row.prompt] = tuple(row.said)
    return [[decoded(said, ends) for said in of] for of in replies]


def _finish(
    adapter: Adapter,
    prompts: Sequence[Sequence[int]],
    groups: Sequence[list[Row]],
    ends: frozenset[int],
    start: HeadStart,
) -> None:
    """Decode rows, which are in the order of their lengths: read a few of like length at a time, then said together.

    A cache that cannot be joined with another begins with all of them.
    """
    lengths = [max(len(prompts[row.prompt]) + len(row.said) for row in alike) for alike in zip(*groups, strict=True)]
    unread = [length - start.prefix.length for length in lengths]
    parts = by_length(unread, lambda _: len(lengths), pass_tokens(adapter)) if start.drafts else [range(len(lengths))]
    first, *others = (
        Decoding(adapter, prompts, [[group[i] for i in part] for group in groups], ends, start) for part in parts
    )
    for part in (first, *others):
        part.begin()
    first.join(others)
    first.finish()


def end_tokens(adapter: Adapter) -> frozenset[int]:
    """The ids that end a response: the generation config's, else the tokenizer's."""
    ids = adapter.model.generation_config.eos_token_id
    if ids is None:
        ids = adapter.tokenizer.eos_token_id
    return frozenset(ids if isinstance(ids, list | tuple) else [ids])


def limits_of(adapter: Adapter, max_new_tokens: int, max_thinking_tokens: int) -> Limits:
    """The limits of replies: those that are to think have some of their own for it."""
    thinking = adapter.chat.thinking
    if thinking is None or thinking.mode != "on":
        return Limits(max_new_tokens)
    return Limits(max_new_tokens, max_thinking_tokens, ThoughtReader(adapter.tokenizer, thinking))


def decoded(said: Sequence[int], ends: frozenset[int]) -> Decoded:
    """A reply of what was said, up to its end token."""
    return Decoded(tuple(said[:-1]), said[-1]) if said and said[-1] in ends else Decoded(tuple(said), None)


def _is_open(said: Sequence[int], ends: frozenset[int], limits: Limits) -> bool:
    return not (said and said[-1] in ends) and len(said) < limits.of(said)


def _filled(groups: Sequence[list[Row]]) -> list[list[Row]]:
    """Groups of equal length, as the trials of a batch must be: a shorter one is filled with rows that do not count."""
    longest = max(groups, key=len)
    return [
        [*group, *(Row(row.prompt, [], row.limit, is_filler=True) for row in longest[len(group) :])] for group in groups
    ]


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
