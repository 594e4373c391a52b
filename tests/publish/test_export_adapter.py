"""Adapter forms of an export: what is measured is the base with what was read back from the folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from saber.config import Config, ExportConfig
from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.editing.apply import applied
from saber.publish.export.forms import Base, check_form, read_back, write_form
from saber.types import UserError
from saber.vocabulary import ExportForm
from tests.commands import configured
from tests.lm.families import tiny
from tests.lm.plans import everywhere, logits, relative

FILES: dict[ExportForm, set[str]] = {
    "adapter": {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"},
    "gguf_adapter": {"adapter.gguf", "Modelfile"},
}


def opened(case: str) -> Adapter:
    """A tiny model with a tokenizer that can be saved and has no template."""

    def refuse(*_chat: object, **_how: object) -> str:
        raise ValueError("no template")

    tokenizer = SimpleNamespace(
        save_pretrained=lambda folder: (folder / "tokenizer.json").touch(),
        apply_chat_template=refuse,
        bos_token=None,
        eos_token="<end>",
    )
    return adapt(tiny(case).model, tokenizer)


@pytest.fixture(scope="module")
def config() -> Config:
    config = configured(["+sweep=organism"])
    return dataclasses.replace(config, export=ExportConfig(base_model="someone/base", gguf_base="gemma4:e4b"))


@pytest.mark.parametrize("form", ["adapter", "gguf_adapter"])
def test_the_adapter_that_is_written_is_the_edit_that_is_measured(
    form: ExportForm, config: Config, tmp_path: Path
) -> None:
    adapter, base = opened("gemma4_text"), Base(tmp_path, "x", None)
    plan = everywhere(adapter, 0.8)
    with applied(adapter, [plan]):
        expected = logits(adapter)
    check_form(form, adapter, plan, base)
    write_form(form, adapter, plan, base, config, tmp_path)
    measured, left = read_back(form, adapter, plan, config, tmp_path)
    assert relative(logits(measured), expected) < 2e-5
    assert not left.rounds
    assert {file.name for file in tmp_path.iterdir()} == FILES[form]
    if form == "gguf_adapter":
        said = (tmp_path / "Modelfile").read_text()
        assert said.startswith("FROM gemma4:e4b\nADAPTER ./adapter.gguf\n# the chat template is left to the base")
        assert 'PARAMETER stop "<end>"' in said


@pytest.mark.parametrize("form", ["adapter", "gguf_adapter"])
def test_a_family_without_an_adapter_form_says_which_form_it_has(form: ExportForm, tmp_path: Path) -> None:
    adapter = opened("gpt_oss")
    with pytest.raises(UserError, match=r"found .*; export the merged form: export\.format=merged"):
        check_form(form, adapter, everywhere(adapter, 1.0), Base(tmp_path, "x", None))
