"""A model is served only if its declared writers explain its blocks."""

from __future__ import annotations

import dataclasses

import pytest
from torch import nn

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.architecture.loading import build_model
from saber.lm.architecture.verify import verify_writers
from saber.types import UserError
from tests.lm.families import SMALL, tiny


def test_gemma4_is_explained(tiny_gemma4: Adapter) -> None:
    assert verify_writers(tiny_gemma4) < 1e-5


def test_a_missing_writer_is_noticed(tiny_gemma4: Adapter) -> None:
    fewer = tuple(w for w in tiny_gemma4.writers if w.kind != "per_layer")
    with pytest.raises(UserError, match="a writer is not declared"):
        verify_writers(dataclasses.replace(tiny_gemma4, writers=fewer))


def test_an_unknown_family_is_refused_by_name() -> None:
    model = build_model("stablelm", SMALL)
    with pytest.raises(
        UserError,
        match=r"found model_type 'stablelm' .* model.layers \(4 x StableLmDecoderLayer\); declare it in saber/lm",
    ):
        adapt(model, None)


def test_an_expert_that_is_left_out_is_noticed() -> None:
    adapter = tiny("deepseek_v3")
    fewer = tuple(w for w in adapter.writers if "shared_experts" not in w.name)
    with pytest.raises(UserError, match=r"block 1 of deepseek_v3, .*: a writer is not declared"):
        verify_writers(dataclasses.replace(adapter, writers=fewer))


def test_a_multiplier_that_is_left_out_is_noticed() -> None:
    adapter = tiny("granite")
    plain = tuple(dataclasses.replace(w, multiplier=1.0) for w in adapter.writers)
    with pytest.raises(UserError, match="a writer is not declared"):
        verify_writers(dataclasses.replace(adapter, writers=plain))


def test_a_norm_that_is_no_rms_norm_is_refused() -> None:
    model = build_model("olmo2", SMALL)
    model.model.layers[1].post_attention_layernorm = nn.LayerNorm(24)
    with pytest.raises(UserError, match=r"norms after model.layers.1.self_attn.o_proj that are w \* x / rms"):
        adapt(model, None)


def test_a_writer_that_is_not_linear_is_refused() -> None:
    model = build_model("llama", SMALL)
    model.model.layers[2].mlp.down_proj = nn.Identity()
    with pytest.raises(UserError, match=r"expected a linear writer at model.layers.2.mlp.down_proj, found Identity"):
        adapt(model, None)
