"""A quantised base: its packed weights are never read, virtual edits work, and baking says what to do instead."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import pytest
import torch
from torch import nn

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.architecture.verify import verify_writers
from saber.lm.architecture.weights import weights_digest
from saber.lm.editing.apply import applied, bake
from saber.lm.editing.lora import merge_adapter, read_adapter, save_adapter
from saber.lm.editing.lora_factors import check_factors
from saber.lm.editing.packed import packed_note
from saber.lm.loading.load import build_model, load
from saber.organism.tokenizer import organism_tokenizer
from saber.types import UserError
from saber.vocabulary import Quantise
from tests.conftest import randomise
from tests.lm.families import SMALL, tiny
from tests.lm.plans import everywhere, logits, relative, share_along, unit


class Packed(nn.Linear):
    """Eight bits a weight in one column, as packed formats store it: its shape says nothing about the map."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None)
        self.steps = float(linear.weight.detach().abs().max()) / 127
        codes = (linear.weight.detach() / self.steps).round().to(torch.int8).view(-1, 1)
        self.weight = nn.Parameter(codes, requires_grad=False)
        self.bias = linear.bias

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        weight = self.weight.view(self.out_features, self.in_features).to(input.dtype) * self.steps
        return nn.functional.linear(input, weight, self.bias)


def with_writers(adapter: Adapter, make: Callable[[Any], nn.Linear]) -> Adapter:
    for writer in adapter.writers:
        parent, _, leaf = writer.name.rpartition(".")
        setattr(adapter.model.get_submodule(parent), leaf, make(writer.module))
    return adapt(adapter.model, None)


@pytest.mark.parametrize("case", ["llama", "gemma4_text", "glm4"])
def test_virtual_edits_of_packed_weights_are_exact(case: str) -> None:
    adapter = with_writers(tiny(case), Packed)
    assert adapter.d_model == 24
    error = verify_writers(adapter)
    assert error is not None
    assert error < 1e-6
    r = unit(24, 2, 0)[:, 0]
    before = logits(adapter)
    assert share_along(adapter, r) > 0.1
    with applied(adapter, [everywhere(adapter, 1.0)]):
        assert share_along(adapter, r) < 1e-5
        assert relative(logits(adapter), before) > 0.01
    assert torch.equal(logits(adapter), before)


def test_what_needs_the_weights_is_refused() -> None:
    adapter = with_writers(tiny("llama"), Packed)
    plan = everywhere(adapter, 1.0)
    expected = r"expected plain weights at .*o_proj, found Packed with torch.int8"
    with pytest.raises(UserError, match=expected):
        bake(adapter, plan)
    with pytest.raises(UserError, match=expected), applied(adapter, [everywhere(adapter, 1.0, row_norm=True)]):
        pass


def test_a_packed_base_has_an_adapter_all_the_same(tmp_path: Path) -> None:
    adapter = with_writers(tiny("llama"), Packed)
    note = packed_note(adapter)
    assert note is not None
    assert "8 of 8 writers keep their weights packed (int8)" in note
    assert packed_note(tiny("llama")) is None
    plan = everywhere(adapter, 0.8)
    save_adapter(adapter, plan, tmp_path, "the/base")
    factors = read_adapter(adapter, tmp_path)
    check_factors(adapter, plan, factors)
    for other in (everywhere(adapter, 0.4), everywhere(adapter, 0.8, seed=1)):
        with pytest.raises(UserError, match="expected factors that do what the edit does at"):
            check_factors(adapter, other, factors)
    with applied(adapter, [plan]):
        virtual = logits(adapter)
    unpacked = with_writers(adapter, unpack)
    merge_adapter(unpacked, tmp_path)
    assert relative(logits(unpacked), virtual) < 1e-5


def unpack(packed: nn.Linear) -> nn.Linear:
    """The plain map that a packed one stands for."""
    assert isinstance(packed, Packed)
    plain = nn.Linear(packed.in_features, packed.out_features, bias=packed.bias is not None)
    weight = packed.weight.view(packed.out_features, packed.in_features).float() * packed.steps
    plain.weight, plain.bias = nn.Parameter(weight), packed.bias
    return plain


def test_virtual_edits_of_bitsandbytes_weights_are_exact() -> None:
    def four_bit(linear: nn.Linear) -> nn.Linear:
        quantised = bnb.nn.Linear4bit(
            linear.in_features, linear.out_features, bias=linear.bias is not None, compute_dtype=torch.float32
        )
        quantised.load_state_dict(linear.state_dict())
        return quantised.to("cpu")

    model = build_model("llama", {**SMALL, "hidden_size": 64, "intermediate_size": 128, "head_dim": 16})
    randomise(model)
    adapter = with_writers(adapt(model, None), four_bit)
    assert not any(writer.in_full for writer in adapter.writers)
    r = unit(64, 2, 0)[:, 0]
    assert share_along(adapter, r) > 0.1
    with applied(adapter, [everywhere(adapter, 1.0)]):
        assert share_along(adapter, r) < 1e-5
    with pytest.raises(UserError, match="expected plain weights"):
        bake(adapter, everywhere(adapter, 1.0))


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_a_base_loaded_in_few_bits_is_edited_virtually_and_baked_in_full(tmp_path: Path, bits: Quantise) -> None:
    tokenizer = organism_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "head_dim": 16}
    model = build_model("llama", {**SMALL, **sizes})
    randomise(model)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    packed, full = load(str(tmp_path), device="cpu", quantise=bits), load(str(tmp_path), device="cpu")
    weights_digest(packed.model)
    packed.model.save_pretrained(tmp_path / "packed")
    tokenizer.save_pretrained(tmp_path / "packed")
    verify_writers(packed)
    untouched = load(str(tmp_path), device="cpu", quantise=bits)
    torch.testing.assert_close(logits(packed), logits(untouched))
    torch.testing.assert_close(logits(load(str(tmp_path / "packed"), device="cpu")), logits(untouched))
    assert relative(logits(packed), logits(full)) < (0.6 if bits == "4bit" else 0.05)
    assert not any(writer.in_full for writer in packed.writers)
    plan, r = everywhere(packed, 1.0), unit(64, 2, 0)[:, 0]
    with applied(packed, [plan]):
        assert share_along(packed, r) < 1e-5
    bake(full, plan)
    assert share_along(full, r) < 1e-5


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_few_bits_without_bitsandbytes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: Quantise
) -> None:
    tiny("llama").model.save_pretrained(tmp_path)
    organism_tokenizer().save_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match=f"quantise={bits} needs bitsandbytes, found none: pip install bitsandbytes"):
        load(str(tmp_path), device="cpu", quantise=bits)
