"""A model is served only if its declared writers explain its blocks."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from saber.lm.architecture.adapter import Adapter, adapt, adapt_as
from saber.lm.architecture.verify import verify_writers
from saber.lm.architecture.writer_rows import Family, WriterRow
from saber.lm.loading.load import build_model
from saber.types import UserError
from tests.lm.families import SMALL, tiny
from tests.lm.tiny_types import TYPES, build_type, tiny_of_type


def test_gemma4_is_explained(tiny_gemma4: Adapter) -> None:
    error = verify_writers(tiny_gemma4)
    assert error is not None
    assert error < 1e-5


def test_a_missing_writer_is_noticed(tiny_gemma4: Adapter) -> None:
    fewer = tuple(w for w in tiny_gemma4.writers if w.kind != "per_layer")
    with pytest.raises(UserError, match="a writer is not declared"):
        verify_writers(dataclasses.replace(tiny_gemma4, writers=fewer))


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


def test_a_writer_between_blocks_is_noticed() -> None:
    adapter = tiny("llama")
    hook = adapter.blocks[2].register_forward_pre_hook(lambda _, args: (args[0] + 0.1, *args[1:]))
    with pytest.raises(UserError, match=r"found the stream changed between 1 and 2: a writer outside the blocks"):
        verify_writers(adapter)
    hook.remove()
    assert verify_writers(adapter) is not None


def test_blocks_that_run_twice_are_noticed() -> None:
    adapter = tiny("llama")
    first = adapter.blocks[0]
    adapter.model.model.layers[1] = first
    with pytest.raises(UserError, match=r"to run once each, found block 0 run 2 times"):
        verify_writers(adapter)


class PassesOn(nn.Module):
    """Experts of which one passes its input on, as identity experts do."""

    def __init__(self, experts: nn.Module) -> None:
        super().__init__()
        self.down_proj, self.experts = experts.down_proj, experts

    def forward(self, hidden: torch.Tensor, *routing: torch.Tensor) -> torch.Tensor:
        return self.experts(hidden, *routing) + 0.3 * hidden


def test_experts_that_pass_their_input_on_are_noticed_and_the_weights_left_as_they_were() -> None:
    model = tiny("mixtral").model
    model.model.layers[1].mlp.experts = PassesOn(model.model.layers[1].mlp.experts)
    adapter = adapt(model, None)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=r"what model.layers.1.mlp.experts puts out to be linear in its weight"):
        verify_writers(adapter)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_longcat_is_served_without_identity_experts_and_refused_with_them() -> None:
    assert verify_writers(adapt(tiny_of_type("longcat_flash"), None)) is not None
    model = build_type("longcat_flash", {**TYPES["longcat_flash"], "zero_expert_num": 3})
    with pytest.raises(UserError, match="linear in its weight"):
        verify_writers(adapt(model, None))


def test_a_norm_without_weights_has_a_gain_of_one() -> None:
    model = build_model("olmo2", SMALL)
    for block in model.model.layers:
        block.post_attention_layernorm = nn.RMSNorm(24, elementwise_affine=False)
        block.post_feedforward_layernorm = nn.Identity()
    adapter = adapt(model, None)
    gain = adapter.writers[0].gain
    assert gain is not None
    assert torch.allclose(gain, torch.ones(24), atol=1e-3)
    assert (adapter.writers[1].gain, adapter.writers[1].norms) == (None, ())
    error = verify_writers(adapter)
    assert error is not None
    assert error < 1e-6


def test_several_streams_are_refused_in_words() -> None:
    rows = WriterRow("attention", "self_attn.o_b_proj"), WriterRow("mlp", "mlp.experts", "eoi")
    adapter = adapt_as(Family(rows), build_type("deepseek_v4", {}), None)
    with pytest.raises(UserError, match=r"found \(1, 12, \d+, 32\) into block 0 .* mixes several streams"):
        verify_writers(adapter)


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
