"""Edits that read inputs are the same virtual, baked, on disk and as an adapter, in every family, beside others too."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied, bake
from saber.lm.editing.lora import merge_adapter, save_adapter
from saber.lm.editing.low_rank import compile_low_rank
from saber.lm.editing.plan_file import load_plan, save_plan
from saber.lm.editing.shards import bake_checkpoint
from saber.types import EditPlan, Round, UserError
from tests.lm.architecture.test_quantised import Packed, with_writers
from tests.lm.editing.test_lora import TARGETED
from tests.lm.families import CASES, tiny
from tests.lm.plans import TOKENS, everywhere, logits, oblique, reading_inputs, relative

every_family = pytest.mark.parametrize("case", CASES)


def virtual(adapter: Adapter, plan: EditPlan) -> torch.Tensor:
    with applied(adapter, [plan]):
        return logits(adapter)


@every_family
def test_virtual_and_baked_agree_in_memory_and_on_disk(case: str, tmp_path: Path) -> None:
    adapter = tiny(case)
    plan, before = reading_inputs(adapter, 7), logits(adapter)
    expected = virtual(adapter, plan)
    assert relative(expected, before) > 0.01
    assert torch.equal(logits(adapter), before)
    adapter.model.save_pretrained(tmp_path / "base", max_shard_size="30KB")
    bake_checkpoint(tmp_path / "base", tmp_path / "baked", plan)
    bake(adapter, plan)
    assert relative(logits(adapter), expected) < 1e-5
    adapter.model.save_pretrained(tmp_path / "expected", max_shard_size="30KB")
    for file in (tmp_path / "expected").glob("*.safetensors"):
        baked = load_file(tmp_path / "baked" / file.name)
        for name, tensor in load_file(file).items():
            torch.testing.assert_close(baked[name], tensor, rtol=1e-5, atol=1e-6)


@every_family
def test_trials_that_read_inputs_and_outputs_share_a_batch(case: str) -> None:
    adapter = tiny(case)
    plans = [reading_inputs(adapter, 1), oblique(adapter, 2), EditPlan(()), reading_inputs(adapter, 3)]
    with applied(adapter, plans):
        together = logits(adapter, TOKENS.repeat(4, 1)).unflatten(0, (4, -1))
    for plan, group in zip(plans, together, strict=True):
        assert relative(group, virtual(adapter, plan)) < 2e-5


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
@pytest.mark.parametrize("case", TARGETED)
def test_an_adapter_is_exact_and_leaves_biases_alone(case: str, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    adapter = tiny(case)
    plan = reading_inputs(adapter, 5)
    save_adapter(adapter, plan, tmp_path, "the/base")
    assert not any(name.endswith("bias") for name in load_file(tmp_path / "adapter_model.safetensors"))
    merged = tiny(case)
    merge_adapter(merged, tmp_path)
    loaded = peft.PeftModel.from_pretrained(tiny(case).model, tmp_path)
    with torch.no_grad():
        from_peft = loaded(input_ids=TOKENS, use_cache=False).logits
    assert max(relative(from_peft, virtual(adapter, plan)), relative(logits(merged), virtual(adapter, plan))) < 2e-5


@pytest.mark.parametrize("case", ["llama", "gpt2", "gemma4_text", "granite"])
def test_row_norms_are_kept(case: str) -> None:
    adapter = tiny(case)
    plan = reading_inputs(adapter, 4, row_norm=True)
    before = [writer.columns()[0].norm(dim=1).clone() for writer in adapter.writers]
    expected = virtual(adapter, plan)
    bake(adapter, plan)
    assert relative(logits(adapter), expected) < 1e-5
    for writer, norms in zip(adapter.writers, before, strict=True):
        torch.testing.assert_close(writer.columns()[0].norm(dim=1), norms, rtol=1e-4, atol=1e-5)


def test_unit_rows_are_refused() -> None:
    adapter = tiny("llama")
    plan = dataclasses.replace(reading_inputs(adapter, 4, row_norm=True), unit_rows=True)
    with pytest.raises(UserError, match=r"norm_preserve=none or row with edit\.reader=inputs, found unit_row"):
        bake(adapter, plan)


def test_of_packed_weights_nothing_is_read() -> None:
    adapter, packed = tiny("gemma4_text"), with_writers(tiny("gemma4_text"), Packed)
    plan = reading_inputs(adapter, 2)
    assert relative(virtual(packed, plan), virtual(adapter, plan)) < 0.1
    assert relative(virtual(packed, plan), logits(packed)) > 0.02


def test_a_bias_is_not_touched_where_inputs_are_read() -> None:
    adapter = tiny("llama")
    before = [writer.bias.clone() for writer in adapter.writers if writer.bias is not None]
    bake(adapter, reading_inputs(adapter, 2))
    after = [writer.bias for writer in adapter.writers if writer.bias is not None]
    assert before
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_a_file_and_a_pickle_carry_the_readers(tmp_path: Path) -> None:
    plan = reading_inputs(tiny("gemma4_text"), 2)
    save_plan(plan, tmp_path / "plan.safetensors")
    for again in (load_plan(tmp_path / "plan.safetensors"), pickle.loads(pickle.dumps(plan))):
        assert again.digest == plan.digest
        assert [list(edit_round.tensors) for edit_round in again.rounds] == [
            list(edit_round.tensors) for edit_round in plan.rounds
        ]


def test_whose_reader_it_is_makes_another_plan() -> None:
    plan = reading_inputs(tiny("llama"), 2)
    (edit_round, _), readers = plan.rounds, dict(plan.rounds[0].input_readers or {})
    swapped = {**readers, "0.mlp.down_proj": readers["1.mlp.down_proj"], "1.mlp.down_proj": readers["0.mlp.down_proj"]}
    variants = [dataclasses.replace(edit_round, input_readers=read) for read in (readers, swapped, None)]
    assert len({EditPlan((variant,)).digest for variant in variants}) == 3


def test_a_plan_of_another_model_is_refused() -> None:
    adapter = tiny("llama")
    (edit_round, _) = reading_inputs(adapter, 2).rounds
    readers = {**(edit_round.input_readers or {}), "1.mlp.down_proj": torch.zeros(3, 7)}
    with pytest.raises(ValueError, match=r"a reader of \(3, 40\) at .*down_proj, found one of \(3, 7\)"):
        virtual(adapter, EditPlan((Round(edit_round.directions, edit_round.strengths, input_readers=readers),)))
    readers = {place: k for place, k in readers.items() if place != "1.mlp.down_proj"}
    with pytest.raises(ValueError, match="found none: a plan of another model"):
        virtual(adapter, EditPlan((Round(edit_round.directions, edit_round.strengths, input_readers=readers),)))


def test_rounds_that_read_inputs_and_outputs_are_no_one_edit() -> None:
    adapter = tiny("llama")
    mixed = EditPlan((reading_inputs(adapter, 1).rounds[0], everywhere(adapter, 1.0).rounds[0]))
    with pytest.raises(ValueError, match="all read inputs or all outputs"):
        virtual(adapter, mixed)


@pytest.mark.parametrize("case", ["mixtral", "gpt_oss", "llama4_text", "gemma4_moe"])
def test_fused_experts_are_read_by_their_outputs(case: str) -> None:
    adapter = tiny(case)
    plan = reading_inputs(adapter, 1)
    edits = [(writer, compile_low_rank(plan, writer)) for writer in adapter.writers]
    assert any(writer.fused for writer, _ in edits)
    assert all(edit is not None and edit.reads_input != writer.fused for writer, edit in edits)


class ByKeyword(nn.Linear):
    """A writer that is called with its input by keyword."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(hidden_states, self.weight, self.bias)


def test_an_input_given_by_keyword_is_read() -> None:
    adapter = tiny("llama")
    writer = adapter.writers[0]
    by_keyword = ByKeyword(writer.d_in, adapter.d_model)
    plan = EditPlan.from_directions({0: (torch.eye(adapter.d_model, 1), torch.ones(1))})
    readers = {w.place: torch.ones(1, w.d_in) for w in adapter.writers if w.layer == 0}
    plan = EditPlan((dataclasses.replace(plan.rounds[0], input_readers=readers),))
    x = torch.randn(2, 3, writer.d_in)
    stood = dataclasses.replace(adapter, writers=(dataclasses.replace(writer, module=by_keyword), *adapter.writers[1:]))
    with torch.no_grad():
        plain = by_keyword(hidden_states=x)
        with applied(stood, [plan]):
            edited = by_keyword(hidden_states=x)
    expected = plain.clone()
    expected[..., 0] -= x.sum(dim=-1)
    torch.testing.assert_close(edited, expected)
