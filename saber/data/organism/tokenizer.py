"""A word-level tokenizer for the language, with turns like Gemma 4's."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from saber.data.organism import lexicon, tasks, wording
from saber.lm.loading import build_tokenizer

PAD, BOS, UNKNOWN, TURN, TURN_END = "<pad>", "<bos>", "<unk>", "<|turn>", "<turn|>"
SPECIAL_TOKENS = (PAD, BOS, UNKNOWN, TURN, TURN_END)
ROLES = ("system", "user", "model")

# Words with their apostrophes, whole numbers, single marks; white space, the template's too, is dropped.
WORD_PATTERN = r"[A-Za-z]+(?:'[A-Za-z]+)?|[0-9]+|[^\sA-Za-z0-9]"

CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
    {%- set text = message['content'] | trim -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {%- if text or role != 'system' -%}
        {{- '<|turn>' + role + '\\n' + text + '<turn|>\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|turn>model\\n' -}}
{%- endif -%}
"""


def words_of(text: str) -> list[str]:
    """Split a text as the tokenizer does."""
    return re.findall(WORD_PATTERN, text)


@cache
def vocabulary() -> dict[str, int]:
    """Return the ids of the special tokens, the roles and every word of the language, in sorted order."""
    words = {word for text in [*lexicon.texts(), *wording.texts(), *tasks.texts()] for word in words_of(text)}
    return {token: i for i, token in enumerate([*SPECIAL_TOKENS, *ROLES, *sorted(words - set(ROLES))])}


@cache
def organism_tokenizer() -> Any:
    """Build the tokenizer: left padding, ``<turn|>`` as eos, a template that drops empty system turns."""
    tokenizer = Tokenizer(models.WordLevel(vocabulary(), unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+"), behavior="removed"),
            pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated"),
        ]
    )
    # Every token but a mark brings the space before it; the first token's is stripped.
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(Regex(r"^(?![.,?!:;])"), " "),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return build_tokenizer(
        tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        unk_token=UNKNOWN,
        eos_token=TURN_END,
        additional_special_tokens=[TURN],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
