"""Prompts in the chat formats of public families: turns, system prompts, one BOS, nothing dropped, one date."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter, with_system
from saber.lm.chat import chat_format
from saber.lm.chat.chat_format import ChatFormat, Thinking, encode, encode_conversations, render
from saber.lm.chat.template_trial import reads_argument
from saber.lm.chat.thought_formats import format_named
from saber.lm.evaluation.protocol import protocol_digest, under
from saber.lm.inference.batches import check_held, tokenise
from saber.study.chat_recognition import remarks
from saber.types import Prompt, Split, UserError
from tests.lm.chat.families import FAMILIES, adapter_of, template_of

PROMPTS = [Prompt("Wie spät ist es?", "harmless"), Prompt("  Name a color. ", "harmless"), Prompt("1 + 1", "harmless")]
SYSTEM = "Answer in one word."
# What stands at the end of a prompt.
ENDS = {
    "qwen3": "Name a color.<|im_end|>\n<|im_start|>assistant\n",
    "qwen3_5": "Name a color.<|im_end|>\n<|im_start|>assistant\n<think>\n",
    "gpt_oss": "<|start|>user<|message|>Name a color.<|end|><|start|>assistant",
    "gemma2": "<start_of_turn>user\nName a color.<end_of_turn>\n<start_of_turn>model\n",
    "gemma3": "<start_of_turn>user\nName a color.<end_of_turn>\n<start_of_turn>model\n",
    "gemma4": "<|turn>user\nName a color.<turn|>\n<|turn>model\n<|channel>thought\n<channel|>",
    "glm4_5": "<|user|>\nName a color.<|assistant|>",
    "deepseek_r1_distill": "<｜User｜>Name a color.<｜Assistant｜><think>\n",
    "mistral_v0_1": "<s>[INST] Name a color. [/INST]",
    "magistral": "[INST]Name a color.[/INST]",
    "llama3_1": "Name a color.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "phi4": "<|im_start|>user<|im_sep|>Name a color.<|im_end|><|im_start|>assistant<|im_sep|>",
    "smollm3": "Name a color.<|im_end|>\n<|im_start|>assistant\n",
    "smolvlm": "<|im_start|>User: Name a color.<end_of_utterance>\nAssistant:",
}

each_family = pytest.mark.parametrize("name", FAMILIES)


def rendered(adapter: Adapter, text: str = "Name a color.") -> str:
    return render(adapter.tokenizer, adapter.chat, adapter.system_prompt, [text])[0]


@each_family
def test_a_prompt_ends_as_the_family_has_it(name: str) -> None:
    assert rendered(adapter_of(name)).endswith(ENDS[name])


@each_family
def test_tokens_are_those_of_the_rendered_text_with_at_most_one_bos(name: str) -> None:
    adapter = adapter_of(name, system=SYSTEM)
    check_held(adapter, PROMPTS)
    for row, prompt in zip(tokenise(adapter, PROMPTS), PROMPTS, strict=True):
        text = rendered(adapter, prompt.text)
        assert adapter.tokenizer.decode(row) == text
        assert prompt.text.strip() in text
        assert row.count(adapter.tokenizer.bos_token_id) == (FAMILIES[name].bos is not None)


@each_family
def test_a_system_prompt_is_shown_and_an_empty_one_is_none(name: str) -> None:
    adapter = adapter_of(name)
    assert rendered(with_system(adapter, SYSTEM)).count(SYSTEM) == 1
    for empty in ("", "  "):
        assert rendered(with_system(adapter, empty)) == rendered(adapter)


@each_family
def test_a_conversation_is_the_turns_so_far_ready_for_the_next(name: str) -> None:
    adapter = adapter_of(name, system=SYSTEM)
    talk = ["Say hello.", "Hello, dear.", "Name a color."]
    (row,) = encode_conversations(adapter.tokenizer, adapter.chat, SYSTEM, [talk])
    text = adapter.tokenizer.decode(row)
    assert [text.count(words) for words in (SYSTEM, *talk)] == [1, 1, 1, 1]
    assert text.endswith(ENDS[name][ENDS[name].index(talk[2]) :])
    assert encode_conversations(adapter.tokenizer, adapter.chat, SYSTEM, [talk[2:]]) == encode(
        adapter.tokenizer, adapter.chat, SYSTEM, talk[2:]
    )


def test_what_is_put_behind_a_prompt_is_put_behind_a_conversation() -> None:
    closed = Thinking(format_named("think"), "closed", closing="<think>\n\n</think>\n\n")
    talk = ["Say hello.", "Hello.", "Name a color."]
    for chat, wanted in (
        (ChatFormat(thinking=closed), "assistant\n<think>\n\n</think>\n\n"),
        (ChatFormat(suffix="Sure:"), "assistant\nSure:"),
        (ChatFormat(prefill="Sure"), "</think>\n\nSure"),  # the template closes the thought of a turn that it continues
    ):
        tokenizer = adapter_of("qwen3").tokenizer
        (row,) = encode_conversations(tokenizer, chat, None, [talk])
        assert tokenizer.decode(row).endswith(wanted)
        assert tokenizer.decode(row).count("Hello.") == 1
    plain = adapter_of("phi4", ChatFormat(prompt_form="Q: {prompt}\nA:"), template="")
    (row,) = encode_conversations(plain.tokenizer, plain.chat, None, [talk])
    assert plain.tokenizer.decode(row) == "Q: Name a color.\nA:"


def test_a_refused_system_turn_goes_before_the_first_words_where_the_family_has_it_so() -> None:
    gemma = rendered(adapter_of("gemma2", system=SYSTEM))
    assert f"<start_of_turn>user\n{SYSTEM}\n\nName a color.<end_of_turn>" in gemma
    assert gemma == rendered(adapter_of("gemma3", system=SYSTEM))
    assert f"[INST] {SYSTEM}\n\nName a color. [/INST]" in rendered(adapter_of("mistral_v0_1", system=SYSTEM))


def test_a_system_turn_that_nobody_documents_a_place_for_is_one_line() -> None:
    with pytest.raises(UserError, match=r"'System role not supported'.*leave model.system_prompt"):
        adapter_of("phi4", system=SYSTEM, template=template_of("gemma2"))
    ignores = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    with pytest.raises(UserError, match=r"leaves it out"):
        adapter_of("phi4", system=SYSTEM, template=ignores)


def test_a_profile_s_system_prompt_finds_its_own_place() -> None:
    adapter = under(adapter_of("gemma2"), EvaluateConfig(system_prompt=SYSTEM))
    assert f"user\n{SYSTEM}\n\nName" in rendered(adapter)
    assert "user\nName" in rendered(under(adapter, EvaluateConfig(system_prompt="")))


def test_content_is_typed_parts_only_where_a_template_reads_no_text() -> None:
    in_parts = {name for name in FAMILIES if adapter_of(name).chat.in_parts}
    assert in_parts == {"smolvlm"}
    dropped = replace(adapter_of("smolvlm"), chat=ChatFormat())
    assert "Name a color." not in rendered(dropped)  # the trap: nothing says so
    with pytest.raises(UserError, match=r"changes or drops harmless prompt 0, harmless prompt 1"):
        check_held(dropped, PROMPTS)


def test_a_template_that_shows_no_prompt_is_refused() -> None:
    with pytest.raises(UserError, match=r"shows the prompt, found one that drops it"):
        adapter_of("phi4", template="{{ messages[0].role }}")


def test_two_bos_are_refused_whoever_writes_the_second() -> None:
    doubled = adapter_of("gemma2", template="{{ bos_token }}" + template_of("gemma2"))
    with pytest.raises(UserError, match=r"expected one <bos>"):
        tokenise(doubled, PROMPTS)
    plain = adapter_of("gemma2", ChatFormat(prompt_form="<bos><bos>{prompt}"))
    with pytest.raises(UserError, match=r"expected one <bos>"):
        tokenise(plain, PROMPTS)


def test_a_plain_form_stands_in_for_a_template() -> None:
    adapter = adapter_of("phi4", ChatFormat(prompt_form="Question: {prompt}\nAnswer:"), template="")
    assert rendered(adapter) == "Question: Name a color.\nAnswer:"
    assert adapter.tokenizer.decode(tokenise(adapter, PROMPTS[2:])[0]) == "Question: 1 + 1\nAnswer:"
    with pytest.raises(UserError, match=r"without a chat template.*model.template=plain"):
        tokenise(adapter_of("phi4", template=""), PROMPTS)


@pytest.mark.parametrize("name", ["llama3_1", "gemma3", "phi4", "smollm3"])
def test_a_reply_is_continued_from_how_it_is_made_to_begin(name: str) -> None:
    plain, begun = rendered(adapter_of(name)), rendered(adapter_of(name, ChatFormat(prefill="Sure, here")))
    assert begun == plain + "Sure, here"


def test_a_template_that_cannot_be_continued_says_so() -> None:
    shouts = template_of("phi4").replace("message['content']", "message['content'] | upper")
    adapter = replace(adapter_of("phi4"), chat=ChatFormat(prefill="Sure"))
    adapter.tokenizer.chat_template = shouts
    with pytest.raises(UserError, match=r"leave model.prefill out"):
        tokenise(adapter, PROMPTS)


@pytest.mark.parametrize("name", ["gpt_oss", "llama3_1", "smollm3", "magistral"])
def test_a_template_that_writes_the_date_writes_the_same_one_every_day(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, split = adapter_of(name), Split("tune", tuple(PROMPTS))
    assert "2026" in rendered(adapter)
    before = rendered(adapter), protocol_digest(adapter, split, EvaluateConfig())
    monkeypatch.setattr(chat_format, "TODAY", datetime(2031, 5, 6))
    assert "2031" in rendered(adapter)
    assert before[0] != rendered(adapter)
    assert any("today's date" in line for line in remarks(adapter))


def test_arguments_of_a_template_reach_it_and_a_wrong_name_is_said() -> None:
    off = adapter_of("qwen3", ChatFormat(arguments={"enable_thinking": False}))
    assert rendered(off).endswith("<think>\n\n</think>\n\n")
    assert remarks(off) == []
    assert remarks(adapter_of("qwen3", ChatFormat(arguments={"enable_thinking": True}))) == []  # its default, but read
    (line,) = remarks(adapter_of("qwen3", ChatFormat(arguments={"thinking": False})))
    assert "model.template.thinking=False: the chat template renders the same without it" in line
    low = adapter_of("gpt_oss", ChatFormat(arguments={"reasoning_effort": "low"}))
    assert "Reasoning: low" in rendered(low)
    assert reads_argument(low.tokenizer, low.chat, None, "reasoning_effort", "low")


def test_only_what_is_set_enters_the_protocol() -> None:
    split, profile = Split("tune", tuple(PROMPTS)), EvaluateConfig()
    plain = adapter_of("qwen3")
    assert plain.chat.described == {}
    digests = {
        protocol_digest(adapter_of("qwen3", chat), split, profile)
        for chat in (
            ChatFormat(),
            ChatFormat(arguments={"enable_thinking": False}),
            ChatFormat(arguments={"enable_thinking": True}),
            ChatFormat(prefill="Sure"),
            ChatFormat(suffix="\n"),
        )
    }
    assert len(digests) == 5
    longer = replace(profile, max_thinking_tokens=9)
    assert protocol_digest(plain, split, longer) == protocol_digest(plain, split, profile)
