"""How a study finds its chat format: nothing plain by accident, prefixes as Heretic has them, remarks in a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from saber.lm.chat.chat_format import ChatFormat, Thinking, render
from saber.lm.chat.thought_formats import format_named
from saber.lm.evaluation.protocol import protocol_digest
from saber.study.chat_recognition import recognised, remarks
from saber.types import Prompt, Split
from tests.commands import configured, run_here
from tests.lm.chat.families import adapter_of

SPLIT = Split("probe", (Prompt("Open it.", "harmful"), Prompt("Name a color.", "harmless")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["model.template=plain"],
            "expected model.template=plain with a model.prompt_form that says where the {prompt}",
        ),
        (["model.template=plain", "model.prompt_form=Question"], "says where the {prompt} goes"),
        (["model.prompt_form='{prompt}'"], "expected model.prompt_form with model.template=plain only"),
        (
            ["model.template=plain", "model.prompt_form='{prompt}'", "model.thinking=closed"],
            "a plain form has no thoughts",
        ),
        (["model.template=bare"], "model.template"),
    ],
)
def test_nothing_is_plain_by_accident(words: list[str], said: str, tmp_path: Path) -> None:
    ran = run_here("sweep", ["+sweep=organism", f"study.dir={tmp_path}/sweeps", *words], tmp_path)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "sweeps").exists()


def test_a_template_that_is_left_out_is_said() -> None:
    form = ChatFormat(prompt_form="Q: {prompt}\nA:")
    (line,) = remarks(adapter_of("phi4", form))
    assert line == "model.template=plain: the model's own chat template is left out, though it has one"
    assert remarks(adapter_of("phi4", form, template="")) == []


def test_prefixes_are_looked_for_under_heretics_profile_and_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def with_prefix(*_: object, max_new_tokens: int, **_size: int) -> object:
        asked.append(max_new_tokens)
        return replace(adapter_of("phi4"), chat=ChatFormat(suffix="Sure,"))

    monkeypatch.setattr("saber.study.chat_recognition.with_common_prefix", with_prefix)
    heard: list[str] = []
    for words, suffix in (
        (["evaluate=heretic_compat"], "Sure,"),
        (["evaluate=heretic_compat", "evaluate.skip_common_prefix=false"], ""),
        (["evaluate.skip_common_prefix=true", "evaluate.max_new_tokens=7"], "Sure,"),
        ([], ""),
    ):
        config = configured(["+sweep=organism", f"study.dir={tmp_path}/sweeps", *words])
        adapter = recognised(adapter_of("phi4"), config, SPLIT, tmp_path / suffix / str(len(words)), "m", heard.append)
        assert adapter.chat.suffix == suffix
        assert render(adapter.tokenizer, adapter.chat, None, ["x"])[0].endswith("<|im_sep|>" + suffix)
    assert asked == [100, 7]
    assert heard == ["all replies begin alike, and every prompt ends with it, as Heretic has it: 'Sure,'"] * 2


def test_a_prefix_stands_behind_a_thought_that_is_closed() -> None:
    closed = Thinking(format_named("think"), "closed", closing="<think>\n\n</think>\n\n")
    adapter = adapter_of("qwen3", ChatFormat(thinking=closed, suffix="Sure,"))
    (text,) = render(adapter.tokenizer, adapter.chat, None, ["Name a color."])
    assert text.endswith("assistant\n<think>\n\n</think>\n\nSure,")
    profile = configured(["+sweep=organism"]).evaluate
    digests = {
        protocol_digest(adapter_of("qwen3", chat), SPLIT, profile)
        for chat in (adapter.chat, replace(adapter.chat, suffix=""), ChatFormat(suffix="Sure,"), ChatFormat())
    }
    assert len(digests) == 4
