"""Models that think before they answer: found by their templates and first words, and kept from it or let."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from saber.lm.architecture.adapter import Adapter
from saber.lm.chat.chat_format import ChatFormat, render
from saber.lm.chat.thought_formats import THOUGHT_FORMATS, format_of
from saber.lm.inference import common_prefix as common_prefix_module
from saber.lm.inference import thinking
from saber.lm.inference.common_prefix import with_common_prefix
from saber.lm.inference.generation.greedy import Decoded
from saber.lm.inference.thinking import Asked, restored, stored, with_thinking
from saber.types import UserError
from tests.lm.chat.families import adapter_of, template_of

TEXTS = ["Name a color.", "Name a tree.", "Say hello."]
HARMONY_THOUGHT = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Sure."
CLOSED_HARMONY = "<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>"
Script = Callable[[str], str]


def thinks(thought: str, *skips: str) -> Script:
    """A model that thinks unless its prompt ends with one of ``skips``."""
    return lambda prompt: "Sure." if prompt.endswith(skips) else thought


# A model's reply to a rendered prompt.
SCRIPTS: dict[str, Script] = {
    "qwen3": thinks("<think>\nHm.\n</think>\n\nSure.", "</think>\n\n"),
    "qwen3_5": thinks("Hm.\n</think>\n\nSure.", "</think>\n\n"),
    "gpt_oss": thinks(HARMONY_THOUGHT, "<|channel|>final<|message|>"),
    "gemma2": thinks("Sure."),
    "gemma4": thinks("<|channel>thought\nHm.<channel|>Sure.", "<channel|>"),
    "glm4_5": thinks("\n<think>Hm.</think>\nSure.", "</think>"),
    "deepseek_r1_distill": thinks("Hm.\n</think>\n\nSure.", "</think>\n\n"),
    "magistral": thinks("[THINK]Hm.[/THINK]Sure.", "[/THINK]"),
    "llama3_1": thinks("Sure."),
    "smollm3": thinks("<think>\nHm.\n</think>\nSure.", "</think>\n", "</think>\n\n"),
}
# What each is found to be, and how its prompts then end: by itself, and where it is to think.
AUTO = {
    "qwen3": ("think", "off", "assistant\n<think>\n\n</think>\n\n"),
    "qwen3_5": ("think", "off", "assistant\n<think>\n\n</think>\n\n"),
    "gpt_oss": ("harmony", "closed", "assistant" + CLOSED_HARMONY),
    "gemma2": None,
    "gemma4": None,  # its template closes the thought by itself
    "glm4_5": ("think", "off", "/nothink<|assistant|>\n<think></think>"),
    "deepseek_r1_distill": ("think", "closed", "<｜Assistant｜><think>\n\n</think>\n\n"),
    "magistral": ("[THINK]", "closed", "[/INST][THINK][/THINK]"),
    "llama3_1": None,
    "smollm3": ("think", "off", "assistant\n<think>\n\n</think>\n"),
}
ON = {
    "qwen3": ("assistant\n", False),
    "qwen3_5": ("<think>\n", True),
    "gpt_oss": ("assistant", False),
    "gemma4": ("<|turn>model\n", False),
    "glm4_5": ("<|assistant|>", False),
    "deepseek_r1_distill": ("<think>\n", True),
    "magistral": ("[/INST]", False),
    "smollm3": ("assistant\n", False),
}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Adapter]:
    """Make a family's model answer by a script, wherever it is asked for its first words."""

    def make(name: str, script: Script | None = None, **how: Any) -> Adapter:
        adapter = adapter_of(name, **how)
        said = script or SCRIPTS[name]

        def greedy(of: Adapter, rows: Sequence[Sequence[int]], *, max_new_tokens: int, **_: Any) -> list[list[Decoded]]:
            replies = [of.tokenizer(said(of.tokenizer.decode(row)), add_special_tokens=False).input_ids for row in rows]
            return [[Decoded(tuple(reply[:max_new_tokens]), None) for reply in replies]]

        monkeypatch.setattr(thinking, "greedy", greedy)
        monkeypatch.setattr(common_prefix_module, "greedy", greedy)
        return adapter

    return make


def end_of(adapter: Adapter) -> str:
    return render(adapter.tokenizer, adapter.chat, adapter.system_prompt, TEXTS[:1])[0]


@pytest.mark.parametrize("name", AUTO)
def test_thinking_is_found_by_itself(name: str, scripted: Callable[..., Adapter]) -> None:
    thinker, wanted = with_thinking(scripted(name), "auto", TEXTS), AUTO[name]
    if wanted is None:
        assert thinker.chat.thinking is None
        assert thinker.chat.described == {}
        return
    assert thinker.chat.thinking is not None
    assert (thinker.chat.thinking.format.name, thinker.chat.thinking.mode) == wanted[:2]
    assert end_of(thinker).endswith(wanted[2])
    assert end_of(thinker).count(thinker.chat.thinking.format.opens[0]) == 1


@pytest.mark.parametrize("name", ON)
def test_a_model_may_be_let_think(name: str, scripted: Callable[..., Adapter]) -> None:
    thinker = with_thinking(scripted(name), "on", TEXTS)
    assert thinker.chat.thinking is not None
    assert (end_of(thinker).endswith(ON[name][0]), thinker.chat.thinking.begins_inside) == (True, ON[name][1])


@pytest.mark.parametrize(("name", "asked"), [("qwen3", "off"), ("gpt_oss", "closed"), ("deepseek_r1_distill", "on")])
def test_what_was_found_is_kept_as_json(name: str, asked: Asked, scripted: Callable[..., Adapter]) -> None:
    thinker = with_thinking(scripted(name), asked, TEXTS)
    again = restored(adapter_of(name), stored(thinker.chat))
    assert (again.chat.thinking, again.chat.described) == (thinker.chat.thinking, thinker.chat.described)
    assert end_of(again) == end_of(thinker)
    assert restored(again, None) is again


def test_a_template_without_a_switch_cannot_be_switched_off(scripted: Callable[..., Adapter]) -> None:
    for name in ("deepseek_r1_distill", "gpt_oss"):
        with pytest.raises(UserError, match=r"model.thinking=off.*use model.thinking=closed"):
            with_thinking(scripted(name), "off", TEXTS)
        assert with_thinking(scripted(name), "closed", TEXTS).chat.thinking is not None


def test_a_model_that_thinks_all_the_same_is_not_said_to_be_kept_from_it(scripted: Callable[..., Adapter]) -> None:
    always = scripted("qwen3", lambda _: "<think>\nHm.")
    with pytest.raises(UserError, match=r"3 of 3 replies open one all the same.*set model.thinking=on"):
        with_thinking(always, "auto", TEXTS)
    with pytest.raises(UserError, match=r"use model.thinking=closed or on"):
        with_thinking(always, "off", TEXTS)
    assert with_thinking(always, "on", TEXTS).chat.thinking is not None


def test_a_switch_that_does_not_work_gives_way_to_a_closed_thought(scripted: Callable[..., Adapter]) -> None:
    without = template_of("qwen3").replace("enable_thinking", "something_else")
    thinker = with_thinking(scripted("qwen3", template=without), "auto", TEXTS)
    assert thinker.chat.thinking is not None
    assert thinker.chat.thinking.mode == "closed"
    assert end_of(thinker).endswith("assistant\n<think>\n\n</think>\n\n")


def test_the_users_own_argument_is_heeded(scripted: Callable[..., Adapter]) -> None:
    on, off = ({"enable_thinking": value} for value in (True, False))
    thinker = with_thinking(scripted("qwen3", chat=ChatFormat(arguments=on)), "auto", TEXTS)
    assert thinker.chat.thinking is not None
    assert thinker.chat.thinking.mode == "on"
    assert with_thinking(scripted("qwen3", chat=ChatFormat(arguments=off)), "auto", TEXTS).chat.thinking is None
    with pytest.raises(UserError, match=r"model.thinking and model.template to agree"):
        with_thinking(scripted("qwen3", chat=ChatFormat(arguments=off)), "on", TEXTS)


def test_a_model_that_does_not_think_has_nothing_to_turn_off(scripted: Callable[..., Adapter]) -> None:
    with pytest.raises(UserError, match=r"none of 3 replies opens a thought.*leave model.thinking=auto"):
        with_thinking(scripted("llama3_1"), "closed", TEXTS)


@pytest.mark.parametrize("row", THOUGHT_FORMATS, ids=lambda row: row.name)
def test_a_closed_thought_opens_and_ends_one(row: Any) -> None:
    assert row.is_opened_by(f"\n{row.opens[0]}\nHm.")
    assert row.is_opened_by(row.closed)
    assert row.is_ended_in(row.closed)
    assert row.without_marks(row.closed) == ""
    assert format_of(["Sure.", f"{row.opens[0]} Hm."]) == row
    assert format_of(["Sure.", f"I think {row.opens[0]} is a mark."]) is None
    assert row.opened_at_the_end(f"user: {row.opens[0]}\n") == len("user: ")


def test_heretics_handling_of_prefixes(scripted: Callable[..., Adapter]) -> None:
    limits = {"max_new_tokens": 100, "batch_size": 8}
    # Its closed block for <think> has no newlines; what then follows in every reply is added.
    qwen = scripted(
        "qwen3", lambda prompt: "\n\nSure: " + prompt[-1] if prompt.endswith("</think>") else "<think>\nHm."
    )
    assert with_common_prefix(qwen, TEXTS, **limits).chat.suffix == "<think></think>\n\nSure: >"
    alike = scripted("phi4", lambda prompt: "Sure, " + prompt[len("<|im_start|>user<|im_sep|>Name a ") :])
    assert with_common_prefix(alike, TEXTS, **limits).chat.suffix == "Sure,"
    differs = scripted("phi4", lambda prompt: prompt[len("<|im_start|>user<|im_sep|>") + 7 :])
    assert with_common_prefix(differs, TEXTS, **limits).chat.described == {}
