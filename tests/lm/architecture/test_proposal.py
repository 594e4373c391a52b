"""A family that is not declared is refused with the way to a row, and the row that is proposed explains its blocks."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from saber.lm.architecture.adapter import adapt, adapt_as
from saber.lm.architecture.families import FAMILIES
from saber.lm.architecture.proposal import as_code, propose
from saber.lm.architecture.text_half import text_type
from saber.lm.architecture.verify import verify_writers
from saber.lm.architecture.writer_rows import Family, WriterRow
from saber.lm.loading.load import build_model
from saber.organism.tokenizer import organism_tokenizer
from saber.types import UserError
from saber.writers import main
from tests.conftest import randomise
from tests.lm.families import SMALL
from tests.lm.tiny_types import TYPES, build_type, tiny_of_type

VARIED = [
    *("afmoe", "axk1", "bloom", "cohere2_moe", "gpt2", "gpt_oss", "granitemoeshared", "lfm3", "llama", "llava"),
    *("minicpm3", "minimax_m3_vl", "mistral3", "nemotron_h", "olmo2", "olmo_hybrid", "qwen3_next", "zamba2"),
]


@pytest.mark.parametrize("model_type", VARIED)
def test_what_is_proposed_is_what_was_declared(model_type: str) -> None:
    model = copy.deepcopy(tiny_of_type(model_type))
    family = propose(model)
    guessed, declared = adapt_as(family, model, None), adapt(model, None)
    error = verify_writers(guessed)
    assert error is not None
    assert error < 1e-6
    assert {(w.name, w.layout, w.norms) for w in guessed.writers} == {
        (w.name, w.layout, w.norms) for w in declared.writers
    }
    assert eval(as_code(family), {"Family": Family, "WriterRow": WriterRow}) == family


NOT_PROPOSED = [
    ("deepseek_v4", "found that no sum of it explains the block"),
    ("roberta", "to add to its input, found none of that in what it puts out: a norm or a gate stands behind"),
    ("dbrx", r"a map that puts out 32 numbers inside ffn.experts, found none .* by hand \(WriterRow.weight\)"),
]


@pytest.mark.parametrize(("model_type", "reason"), NOT_PROPOSED)
def test_what_no_row_or_only_one_by_hand_explains_is_said(model_type: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        propose(build_type(model_type, TYPES.get(model_type, {})))


@pytest.fixture
def unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A checkpoint of a family that is not declared."""
    tokenizer = organism_tokenizer()
    model = build_model("phi", {**SMALL, "num_hidden_layers": 2, "vocab_size": len(tokenizer)})
    randomise(model)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.delitem(FAMILIES, "phi")
    assert text_type(model.config) == "phi"
    return f"model.path={tmp_path}"


def test_the_refusal_is_short_and_says_what_to_do(unknown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([unknown, "model.device=cpu"]) == 2
    said = capsys.readouterr().err
    assert "found model_type 'phi' (PhiForCausalLM): python -m saber.writers --propose model.path=" in said
    assert len(said) < 320


@pytest.mark.parametrize("flag", ["--propose", "propose=true"])
def test_a_row_is_proposed_on_the_command_line(flag: str, unknown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag, unknown, "model.device=cpu", "model.dtype=float32"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    writers = "WriterRow(kind='attention', module='self_attn.dense'), WriterRow(kind='mlp', module='mlp.fc2')"
    assert f'(Family(({writers})), ("phi",)),' in said
    assert "a guess, and not used" in said
