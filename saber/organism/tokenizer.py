"""A word-level tokenizer for an organism's language, with turns like its family's."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from saber.lm.loading.load import build_tokenizer
from saber.organism import tasks
from saber.organism.language import LANGUAGES, TURNS
from saber.vocabulary import OrganismFamily

PAD_ID = 0
THOUGHT_MARKS = ("<think>", "</think>")  # of an organism that thinks, as Qwen 3 has them

# Words with their apostrophes, whole numbers, single marks; white space, the template's too, is dropped.
WORD_PATTERN = r"[A-Za-z]+(?:'[A-Za-z]+)?|[0-9]+|[^\sA-Za-z0-9]"

CHAT_TEMPLATE = """\
{%- for message in messages -%}
    {%- set text = message['content'] | trim -%}
    {%- set role = 'MODEL' if message['role'] == 'assistant' else message['role'] -%}
    {%- if text or role != 'system' -%}
        {{- 'START' + role + '\\n' + text + 'END\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- 'STARTMODEL\\n' -}}
{%- endif -%}
"""


# Of an organism that thinks: a switch like Qwen 3's, with a closed thought behind the generation prompt.
SWITCH = """\
{%- if add_generation_prompt and enable_thinking is defined and not enable_thinking -%}
    {{- '<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
"""


def words_of(text: str) -> list[str]:
    """Split a text as the tokenizer does."""
    return re.findall(WORD_PATTERN, text)


def chat_template(family: OrganismFamily, thinks: bool = False) -> str:
    """Return the template of a family's turns: it drops empty system turns, and may turn thinking off."""
    turns = TURNS[family]
    marked = CHAT_TEMPLATE.replace("START", turns.start).replace("END", turns.end).replace("MODEL", turns.model_role)
    marked += SWITCH if thinks else ""
    return marked if turns.bos is None else "{{- bos_token -}}\n" + marked


@cache
def vocabulary(family: OrganismFamily, thinks: bool = False) -> dict[str, int]:
    """Return the ids of the special tokens, the roles and every word of the language, in sorted order."""
    language, turns = LANGUAGES[family], TURNS[family]
    texts = [*language.texts(), *tasks.texts(language), *(language.thought_texts() if thinks else ())]
    words = {word for text in texts for word in words_of(text)}
    marks = THOUGHT_MARKS if thinks else ()
    ordered = [*turns.special_tokens, *turns.roles, *marks, *sorted(words - set(turns.roles))]
    return {token: i for i, token in enumerate(ordered)}


@cache
def organism_tokenizer(family: OrganismFamily = "gemma4", thinks: bool = False) -> Any:
    """Build a family's tokenizer: left padding, the end of a turn as eos."""
    turns = TURNS[family]
    tokenizer = Tokenizer(models.WordLevel(vocabulary(family, thinks), unk_token=turns.unknown))
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
        pad_token=turns.pad,
        bos_token=turns.bos,
        unk_token=turns.unknown,
        eos_token=turns.end,
        additional_special_tokens=[turns.start, *(THOUGHT_MARKS if thinks else ())],
        chat_template=chat_template(family, thinks),
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
