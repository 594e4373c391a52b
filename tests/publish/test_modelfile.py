"""Ollama's template is read off a chat template's renderings, or left out."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest

from saber.organism.tokenizer import organism_tokenizer
from saber.publish.export.modelfile import chat_pieces, modelfile

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "<|im_start|>system\nYou are SmolLM<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for message in messages %}<start_of_turn>{{ 'model' if message['role'] == 'assistant' else 'user' }}\n"
    "{{ message['content'] }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
COUNTED = "{% for message in messages %}{{ loop.index }}: {{ message['content'] }}\n{% endfor %}>"
SHOUTED = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] | upper }}\n{% endfor %}>"


def with_template(template: str) -> object:
    tokenizer = copy.deepcopy(organism_tokenizer())
    tokenizer.chat_template = template
    return tokenizer


def test_turns_of_chatml_with_a_system_turn_of_its_own() -> None:
    pieces = chat_pieces(with_template(CHATML))
    assert pieces is not None
    assert pieces.user[0].endswith("<|im_start|>user\n")
    assert (pieces.user[1] + pieces.reply).endswith("<|im_end|>\n<|im_start|>assistant\n")
    go = pieces.in_go()
    assert go.count("{{ .System }}") == 1
    assert "{{ else }}<|im_start|>system\nYou are SmolLM" in go
    assert '{{ if eq .Role "user" }}' in go


def test_turns_without_a_system_role_and_without_the_first_token() -> None:
    pieces = chat_pieces(with_template(GEMMA))
    assert pieces is not None
    assert pieces.system is None
    assert ".System" not in pieces.in_go()
    assert not pieces.in_go().startswith("<bos>")
    assert (pieces.user[1] + pieces.reply).endswith("<start_of_turn>model\n")


@pytest.mark.parametrize("template", [COUNTED, SHOUTED])
def test_what_is_no_sequence_of_turns_is_left_to_the_base(template: str) -> None:
    tokenizer = with_template(template)
    assert chat_pieces(tokenizer) is None
    said = modelfile(SimpleNamespace(tokenizer=tokenizer, system_prompt="Be brief."), "adapter.gguf", None)  # type: ignore[arg-type] # two of its fields
    assert "TEMPLATE" not in said
    assert 'SYSTEM """Be brief."""' in said
    assert said.startswith("# a GGUF file of the unedited base")


def test_the_organisms_own_template_is_kept() -> None:
    pieces = chat_pieces(organism_tokenizer())
    assert pieces is not None
    assert pieces.user[0] == "<|turn>user\n"
    assert pieces.system == ("<|turn>system\n", "<turn|>\n")
