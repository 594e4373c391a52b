"""The base's own thoughts on some prompts: decoded once, so that the residual stream can be read where they end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from saber.cache import Cached, cached
from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.batches import check_fits, tokenise
from saber.lm.inference.generation.greedy import greedy, limits_of
from saber.lm.inference.thought import ThoughtReader
from saber.types import Prompt, UserError


def base_thoughts(
    adapter: Adapter,
    prompts: Sequence[Prompt],
    *,
    max_thinking_tokens: int,
    batch_size: int,
    folder: Path,
    key: dict[str, object],
) -> dict[str, tuple[int, ...]]:
    """Token ids of the base's thought by prompt text, its marks included, cut where it does not end in time.

    They are decoded once and then read from ``folder``; ``key`` is all that they depend on besides prompts and length.

    Raises:
        UserError: the model is not to think, or a prompt with its thought exceeds the model's context.
    """
    thinking = adapter.chat.thinking
    if thinking is None or thinking.mode != "on":
        raise UserError(
            "edit.position=end_of_thought: expected a model that is to think, found"
            f" {'one that does not' if thinking is None else f'model.thinking={thinking.mode}'}; set model.thinking=on,"
            " or edit.position=last"
        )
    rows = tokenise(adapter, prompts)
    limits = limits_of(adapter, 1, max_thinking_tokens)
    check_fits(adapter, prompts, rows, limits.most)
    reader = ThoughtReader(adapter.tokenizer, thinking)

    def build() -> Cached:
        (replies,) = greedy(
            adapter, rows, max_new_tokens=1, max_thinking_tokens=max_thinking_tokens, batch_size=batch_size
        )
        starts = [reader.answer_start(reply.tokens) for reply in replies]
        return Cached({}, [list(reply.tokens[:start]) for reply, start in zip(replies, starts, strict=True)])

    about = {**key, "rows": rows, "max_thinking_tokens": max_thinking_tokens, "chat": adapter.chat.described}
    stored = cached(folder, "thoughts", about, build).value
    assert isinstance(stored, Sequence)
    return {prompt.text: tuple(tokens) for prompt, tokens in zip(prompts, stored, strict=True)}
