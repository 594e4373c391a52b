"""What all replies of the base begin with, put into the prompt as Heretic 1.4 does, so that numbers can be compared.

There the longest common beginning of the base's replies to the first 100 harmless and 100 harmful prompts stands at
the end of every prompt, without trailing spaces. Where it opens a thought, that is closed instead, and the common
beginning of the replies to that is added (p-e-w/heretic, `main.py` and `chain_of_thought_skips` of its configuration).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from saber.lm.architecture.adapter import Adapter
from saber.lm.chat.chat_format import encode
from saber.lm.inference.generation.greedy import greedy

FIRST_LOOK = 16  # tokens of each reply that are compared first; more only where all of them are the same
N_PROMPTS = 100  # of each of two kinds
CHAIN_OF_THOUGHT_SKIPS = {
    "<think>": "<think></think>",
    "<|channel|>analysis<|message|>": (
        "<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>"
    ),
    "<thought>": "<thought></thought>",
    "[THINK]": "[THINK][/THINK]",
}


def with_common_prefix(adapter: Adapter, texts: Sequence[str], *, max_new_tokens: int, batch_size: int) -> Adapter:
    """The same model with what its replies to the texts all begin with, up to so many tokens, put into every prompt."""
    size = {"max_new_tokens": max_new_tokens, "batch_size": batch_size}
    prefix = common_prefix(adapter, texts, **size)
    for opening, closed in CHAIN_OF_THOUGHT_SKIPS.items():
        if prefix.startswith(opening):
            prefix = closed + common_prefix(_with_suffix(adapter, closed), texts, **size)
            break
    return _with_suffix(adapter, prefix)


def common_prefix(adapter: Adapter, texts: Sequence[str], *, max_new_tokens: int, batch_size: int) -> str:
    """The longest text that all replies begin with, special tokens included, without trailing spaces."""
    rows = encode(adapter.tokenizer, adapter.chat, adapter.system_prompt, texts)
    length = min(FIRST_LOOK, max_new_tokens)
    while True:
        (replies,) = greedy(adapter, rows, max_new_tokens=length, batch_size=batch_size)
        said = [adapter.tokenizer.decode(list(reply.whole), skip_special_tokens=False) for reply in replies]
        alike = takewhile(lambda signs: len(set(signs)) == 1, zip(*said, strict=False))
        shared = "".join(signs[0] for signs in alike)
        if length == max_new_tokens or shared not in said:
            return shared.rstrip(" ")
        length = min(2 * length, max_new_tokens)


def _with_suffix(adapter: Adapter, text: str) -> Adapter:
    return replace(adapter, chat=replace(adapter.chat, suffix=text)) if text else adapter
