"""At which token of a prompt the residual stream is read: the last, the user's last, or the end of the base's thought.

A model reads from left to right, so what stands behind a token changes nothing at it: the rows of token ids are cut
there, or made longer by the thought, and read at their last token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from saber.lm.architecture.adapter import Adapter
from saber.lm.chat.chat_format import render
from saber.lm.inference.batches import tokenise
from saber.types import Prompt, UserError
from saber.vocabulary import Position


def read_at(adapter: Adapter, position: Position) -> Adapter:
    """The same model with its residual stream read at another position of every prompt."""
    return adapter if position == adapter.position else replace(adapter, position=position)


def rows_to_read(adapter: Adapter, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Token ids of each prompt up to the token that the stream is read at.

    Raises:
        UserError: a prompt's own words are not in what is rendered, or its base's thought is not known.
    """
    rows = tokenise(adapter, prompts)
    if adapter.position == "last":
        return rows
    if adapter.position == "last_instruction":
        lengths = _instruction_lengths(adapter, prompts)
        return [row[:length] for row, length in zip(rows, lengths, strict=True)]
    unknown = sum(prompt.text not in adapter.thoughts for prompt in prompts)
    if unknown:
        raise UserError(
            "edit.position=end_of_thought: expected a base that thinks (model.thinking=on), found no thought of its own"
            f" for {unknown} of {len(prompts)} prompts; use edit.position=last"
        )
    return [[*row, *adapter.thoughts[prompt.text]] for row, prompt in zip(rows, prompts, strict=True)]


def _instruction_lengths(adapter: Adapter, prompts: Sequence[Prompt]) -> list[int]:
    """How many tokens it takes to the end of the user's own text.

    Raises:
        UserError: the text is not in what is rendered, or the tokenizer does not say where its tokens stand.
    """
    texts = [prompt.text for prompt in prompts]
    rendered = render(adapter.tokenizer, adapter.chat, adapter.system_prompt, texts)
    ends = [text.rfind(words.strip()) + len(words.strip()) for text, words in zip(rendered, texts, strict=True)]
    if any(words.strip() not in text for text, words in zip(rendered, texts, strict=True)):
        raise UserError(
            "edit.position=last_instruction: expected the template to show prompts as they are, found that it does not;"
            " use edit.position=last"
        )
    if not getattr(adapter.tokenizer, "is_fast", False):
        raise UserError(
            "edit.position=last_instruction: expected a tokenizer that says where its tokens stand (a fast one), found"
            f" {type(adapter.tokenizer).__name__}; use edit.position=last"
        )
    is_plain = adapter.chat.prompt_form is not None
    encoded = adapter.tokenizer(rendered, add_special_tokens=is_plain, return_offsets_mapping=True)
    return [
        max(i for i, (start, stop) in enumerate(offsets) if start < end and stop > start) + 1
        for offsets, end in zip(encoded["offset_mapping"], ends, strict=True)
    ]
