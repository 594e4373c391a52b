"""The adapter form: what PEFT makes of it on the base is the edited model, and what it cannot be is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied, bake
from saber.lm.editing.lora import merge_adapter, save_adapter
from saber.types import EditPlan, UserError
from tests.lm.families import CASES, tiny
from tests.lm.plans import TOKENS, everywhere, logits, relative, two_rounds, unit

peft = pytest.importorskip("peft", reason="the adapter is loaded back by PEFT itself, which is not installed")

ROUNDED_TWICE = 2e-5  # W h and B A h are rounded apart before they cancel
MAMBA = {"falcon_h1", "nemotron_h_latent"}
FUSED = {case for case in CASES if any(writer.fused for writer in tiny(case).writers)}
TARGETED = [case for case in CASES if case not in FUSED | MAMBA]


def uneven(adapter: Adapter) -> EditPlan:
    """Another rank at every layer, and none at the last."""
    return EditPlan.from_directions(
        {l: (unit(adapter.d_model, l + 1, l), torch.full((l + 1,), 0.8)) for l in range(adapter.n_layers - 1)}
    )


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
@pytest.mark.parametrize("case", TARGETED)
def test_peft_on_the_base_is_the_edited_model(case: str, tmp_path: Path) -> None:
    adapter = tiny(case)
    for plan in (two_rounds(adapter, 7), uneven(adapter)):
        with applied(adapter, [plan]):
            expected = logits(adapter)
        save_adapter(adapter, plan, tmp_path, "the/base")
        loaded = peft.PeftModel.from_pretrained(tiny(case).model, tmp_path)
        with torch.no_grad():
            from_peft = loaded(input_ids=TOKENS, use_cache=False).logits
        assert relative(from_peft, expected) < ROUNDED_TWICE
        merged = tiny(case)
        merge_adapter(merged, tmp_path)
        assert relative(logits(merged), expected) < ROUNDED_TWICE


@pytest.mark.parametrize("case", sorted(FUSED))
def test_fused_experts_are_refused_with_the_way_out(case: str, tmp_path: Path) -> None:
    adapter = tiny(case)
    with pytest.raises(UserError, match=r"found .*; export the merged form: export\.format=merged"):
        save_adapter(adapter, everywhere(adapter, 1.0), tmp_path, "the/base")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", sorted(MAMBA))
def test_what_peft_refuses_is_refused_before(case: str, tmp_path: Path) -> None:
    adapter = tiny(case)
    with pytest.raises(UserError, match="out_proj, which it refuses in Mamba models"):
        save_adapter(adapter, everywhere(adapter, 1.0), tmp_path, "the/base")


def test_row_norms_have_no_adapter(tmp_path: Path) -> None:
    adapter = tiny("llama")
    with pytest.raises(UserError, match="it is not of low rank; export the merged form"):
        save_adapter(adapter, everywhere(adapter, 1.0, row_norm=True), tmp_path, "the/base")
    with pytest.raises(UserError, match="there is no adapter of it"):
        save_adapter(adapter, EditPlan(()), tmp_path, "the/base")


def test_ranks_that_differ_are_named(tmp_path: Path) -> None:
    adapter = tiny("llama")
    save_adapter(adapter, uneven(adapter), tmp_path, "the/base")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    ranks = {name: config["rank_pattern"].get(name, config["r"]) for name in config["target_modules"]}
    assert ranks == {f"model.layers.{l}.{m}": l + 1 for l in range(3) for m in ("mlp.down_proj", "self_attn.o_proj")}
    assert config["alpha_pattern"] == config["rank_pattern"]
    assert config["lora_alpha"] == config["r"]


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    llama, other = tiny("llama"), tiny("gpt2")
    with pytest.raises(UserError, match="expected an adapter in"):
        merge_adapter(llama, tmp_path)
    save_adapter(llama, everywhere(llama, 1.0), tmp_path, "the/base")
    with pytest.raises(UserError, match="expected an adapter of this model's writers"):
        merge_adapter(other, tmp_path)


def test_an_adapter_in_bf16_is_the_baked_model_to_what_bf16_costs(tmp_path: Path) -> None:
    adapter = tiny("llama", torch.bfloat16)
    plan = everywhere(adapter, 1.0)
    save_adapter(adapter, plan, tmp_path, "the/base")
    merged = tiny("llama", torch.bfloat16)
    merge_adapter(merged, tmp_path)
    bake(adapter, plan)
    assert relative(logits(merged), logits(adapter)) < 0.02
