"""The token of a prompt that the residual stream is read at: a row is cut there, and reads as the whole row does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from saber.lm.architecture.adapter import Adapter
from saber.lm.chat.chat_format import ChatFormat, Thinking
from saber.lm.chat.thought_formats import format_named
from saber.lm.inference.base_thoughts import base_thoughts
from saber.lm.inference.batches import tokenise
from saber.lm.inference.positions import read_at, rows_to_read
from saber.lm.inference.residuals import last_token_residuals
from saber.types import Prompt, UserError
from tests.lm.chat.families import FAMILIES, adapter_of
from tests.lm.inference.test_thought import chained

PROMPTS = [Prompt("Wie spät ist es?", "harmless"), Prompt(" Is it late? ", "harmless"), Prompt("user", "harmless")]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_instruction_token_is_the_last_of_the_prompts_own_text(name: str) -> None:
    adapter = adapter_of(name, system="Say user.")
    rows = rows_to_read(read_at(adapter, "last_instruction"), PROMPTS)
    for cut, whole, prompt in zip(rows, tokenise(adapter, PROMPTS), PROMPTS, strict=True):
        assert whole[: len(cut)] == cut
        assert adapter.tokenizer.decode(cut).endswith(prompt.text.strip())
    assert rows_to_read(adapter, PROMPTS) == tokenise(adapter, PROMPTS)


@pytest.mark.parametrize("name", ["gemma4", "qwen3_5", "llama3_1"])
def test_the_stream_at_a_cut_row_is_that_of_the_whole_row_there(name: str) -> None:
    adapter = adapter_of(name)
    there = read_at(adapter, "last_instruction")
    residuals = last_token_residuals(there, PROMPTS, batch_size=8)[0]
    for i, (cut, whole) in enumerate(zip(rows_to_read(there, PROMPTS), tokenise(adapter, PROMPTS), strict=True)):
        out = adapter.model(input_ids=torch.tensor([whole]), output_hidden_states=True, use_cache=False)
        middle = adapter.n_layers // 2
        torch.testing.assert_close(
            residuals[middle, i], out.hidden_states[middle + 1][0, len(cut) - 1].float(), atol=2e-5, rtol=1e-4
        )
    assert not torch.allclose(residuals, last_token_residuals(adapter, PROMPTS, batch_size=8)[0])


def test_a_plain_form_has_a_last_instruction_token_too() -> None:
    adapter = adapter_of("phi4", ChatFormat(prompt_form="Q: {prompt}\nA:"), template="")
    (row,) = rows_to_read(read_at(adapter, "last_instruction"), [Prompt("Why?", "harmless")])
    assert adapter.tokenizer.decode(row) == "Q: Why?"


def thoughts(adapter: Adapter, prompts: list[Prompt], folder: Path, limit: int = 9) -> dict[str, tuple[int, ...]]:
    return base_thoughts(adapter, prompts, max_thinking_tokens=limit, batch_size=4, folder=folder, key={})


def test_the_end_of_thought_lies_behind_the_bases_own_thought(tmp_path: Path) -> None:
    adapter = chained()
    adapter.tokenizer.chat_template = "{{ messages[0].content + '\\n' }}"
    prompts = [Prompt("hi", "harmless"), Prompt("hello", "harmless")]
    own = thoughts(adapter, prompts, tmp_path)
    assert {text: adapter.tokenizer.decode(list(ids)) for text, ids in own.items()} == dict.fromkeys(
        ("hi", "hello"), "<think>abc</think>"
    )
    assert thoughts(adapter, prompts, tmp_path) == own  # from the cache
    rows = rows_to_read(replace(read_at(adapter, "end_of_thought"), thoughts=own), prompts)
    assert [adapter.tokenizer.decode(row) for row in rows] == ["hi\n<think>abc</think>", "hello\n<think>abc</think>"]
    short = thoughts(adapter, prompts[:1], tmp_path, limit=2)
    assert adapter.tokenizer.decode(list(short["hi"])) == "<think>a"
    with pytest.raises(UserError, match="no thought of its own for 1 of 2 prompts"):
        rows_to_read(replace(read_at(adapter, "end_of_thought"), thoughts=short), prompts)


@pytest.mark.parametrize("mode", [None, "closed"])
def test_only_a_model_that_thinks_has_an_end_of_thought(mode: str | None, tmp_path: Path) -> None:
    adapter = adapter_of("phi4")
    if mode == "closed":
        adapter = replace(adapter, chat=ChatFormat(thinking=Thinking(format_named("think"), "closed")))
    with pytest.raises(UserError, match=r"edit.position=end_of_thought.*set model.thinking=on"):
        thoughts(adapter, PROMPTS, tmp_path)
