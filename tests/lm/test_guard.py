"""A model is served only if its declared writers explain its blocks."""

from __future__ import annotations

import dataclasses

import pytest
from torch import nn

from saber.lm.adapter import Adapter, adapt
from saber.lm.guard import verify_writers
from saber.lm.loading import build_model
from saber.types import UserError
from tests.conftest import randomise

SMALL = {
    "vocab_size": 64,
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "intermediate_size": 40,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
}


@pytest.mark.parametrize(
    "model_type", ["gemma2", "gemma3_text", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3"]
)
def test_declared_families_are_explained(model_type: str) -> None:
    model = build_model(model_type, SMALL)
    randomise(model)
    assert verify_writers(adapt(model, None)) < 1e-5


def test_gemma4_is_explained(tiny_gemma4: Adapter) -> None:
    assert verify_writers(tiny_gemma4) < 1e-5


def test_a_missing_writer_is_noticed(tiny_gemma4: Adapter) -> None:
    fewer = tuple(w for w in tiny_gemma4.writers if w.kind != "per_layer")
    with pytest.raises(UserError, match="a writer is not declared"):
        verify_writers(dataclasses.replace(tiny_gemma4, writers=fewer))


def test_an_unknown_family_is_refused_by_name() -> None:
    model = build_model("gpt2", {"vocab_size": 32, "n_embd": 16, "n_layer": 2, "n_head": 2})
    with pytest.raises(UserError, match=r"found model_type 'gpt2' .* declare it in saber/lm/families.py"):
        adapt(model, None)


def test_a_writer_that_is_not_linear_is_refused() -> None:
    model = build_model("llama", SMALL)
    model.model.layers[2].mlp.down_proj = nn.Identity()
    with pytest.raises(UserError, match=r"expected a linear writer at model.layers.2.mlp.down_proj, found Identity"):
        adapt(model, None)
