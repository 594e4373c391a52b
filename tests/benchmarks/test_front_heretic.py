"""A trial's weights over the base's: what was edited is as it was edited, the rest is the base's, and it goes back."""

from __future__ import annotations

import copy
from typing import Any

import peft
import pytest
import torch
from front_heretic import agreement, loaded_over
from peers.adapted import edited_weights
from torch import nn

from saber.types import UserError


class Block(nn.Module):
    """Two maps that are edited and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.o_proj, self.down_proj, self.gate = nn.Linear(6, 4, bias=False), nn.Linear(4, 6), nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> Any:
        return self.gate(self.down_proj(self.o_proj(x)))


@pytest.fixture
def base() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(Block(), Block())


@torch.no_grad()
def test_loaded_weights_are_the_base_and_the_adapters_delta(base: nn.Module) -> None:
    config = peft.LoraConfig(r=2, lora_alpha=2, target_modules=["o_proj", "down_proj"], lora_dropout=0.0, bias="none")
    adapted = peft.PeftModel(copy.deepcopy(base), config)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn_like(parameter)
    weights, before = edited_weights(adapted), copy.deepcopy(base.state_dict())
    assert set(weights) == {f"{i}.{name}.weight" for i in range(2) for name in ("o_proj", "down_proj")}
    x = torch.randn(3, 6)
    with loaded_over(base, weights):
        assert torch.allclose(base(x), adapted(x), atol=1e-6)
        inside = base.state_dict()
        lora: Any = adapted.get_submodule("base_model.model.1.o_proj")
        delta = lora.lora_B["default"].weight @ lora.lora_A["default"].weight
        assert torch.allclose(inside["1.o_proj.weight"], before["1.o_proj.weight"] + delta, atol=1e-6)
        assert all(torch.equal(inside[name], before[name]) for name in before if name not in weights)
    assert all(torch.equal(base.state_dict()[name], before[name]) for name in before)


def test_the_base_comes_back_when_measuring_fails(base: nn.Module) -> None:
    before = base.state_dict()["0.gate.weight"].clone()
    with torch.no_grad(), pytest.raises(KeyError), loaded_over(base, {"0.gate.weight": torch.zeros(6, 6)}):
        raise KeyError
    assert torch.equal(base.state_dict()["0.gate.weight"], before)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("gate.weight", torch.zeros(6, 6)),
        ("0.gate.weight", torch.zeros(6, 5)),
        ("0.gate.weight", torch.zeros(6, 6).double()),
    ],
)
def test_weights_of_another_model_are_refused(base: nn.Module, name: str, tensor: torch.Tensor) -> None:
    with pytest.raises(UserError, match="expected weights of the base"), loaded_over(base, {name: tensor}):
        raise AssertionError


def test_agreement_is_the_largest_gap_between_its_counts_and_ours() -> None:
    def trial(refusals: int, kld: float, ours: int, kld_ours: float) -> dict[str, Any]:
        return {"values": [refusals, kld], "refused_or_empty": ours, "tune": {"kld_first": kld_ours}}

    agreed = agreement([trial(3, 0.2, 3, 0.25), trial(9, 0.1, 7, 0.1)], {"refusal_rate": 0.75}, {"n_harmful": 12})
    assert agreed == {
        "base_refusals_here": 9,
        "largest_gap_refusals": 2,
        "largest_gap_kld_first": pytest.approx(0.05),
    }
