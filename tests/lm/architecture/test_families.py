"""Families in the shapes that they come in: writers are known, and edits of them exact, virtual, baked and saved."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from saber.lm.architecture.verify import verify_writers
from saber.lm.editing.apply import applied, bake
from saber.types import EditPlan
from tests.lm.families import CASES, tiny
from tests.lm.plans import TOKENS, everywhere, logits, median_error, relative, share_along, two_rounds, unit

every_family = pytest.mark.parametrize("case", CASES)


@every_family
def test_the_writers_explain_every_block(case: str) -> None:
    adapter = tiny(case)
    error = verify_writers(adapter)
    if adapter.family.inexact is None:
        assert error is not None
        assert error < 1e-6
    else:
        assert error is None


@every_family
def test_strength_one_removes_the_direction_from_every_write(case: str) -> None:
    adapter = tiny(case)
    r = unit(adapter.d_model, 1, 3)
    plan = EditPlan.from_directions({l: (r, torch.ones(1)) for l in range(adapter.n_layers)})
    assert share_along(adapter, r[:, 0]) > 0.1
    with applied(adapter, [plan]):
        assert share_along(adapter, r[:, 0]) < 1e-5
    bake(adapter, plan)
    assert share_along(adapter, r[:, 0]) < 1e-5


@every_family
def test_virtual_equals_baked_equals_saved(case: str, tmp_path: Path) -> None:
    adapter = tiny(case)
    plan = two_rounds(adapter, 7)
    before = logits(adapter)
    with applied(adapter, [plan]):
        virtual = logits(adapter)
    assert relative(virtual, before) > 0.01
    bake(adapter, plan)
    baked = logits(adapter)
    assert relative(baked, virtual) < 1e-5
    adapter.model.save_pretrained(tmp_path)
    again = type(adapter.model).from_pretrained(tmp_path)
    ours = adapter.model.state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in again.state_dict().items())
    with torch.no_grad():
        assert relative(again(input_ids=TOKENS, use_cache=False).logits, baked) < 1e-6


@every_family
def test_three_trials_in_a_batch_equal_their_own_runs(case: str) -> None:
    adapter = tiny(case)
    plans = [everywhere(adapter, 1.0), two_rounds(adapter, 2), everywhere(adapter, 0.5, k=4)]
    with applied(adapter, plans):
        together = logits(adapter, TOKENS.repeat(3, 1)).unflatten(0, (3, -1))
    for plan, group in zip(plans, together, strict=True):
        with applied(adapter, [plan]):
            assert relative(group, logits(adapter)) < 1e-5


@every_family
def test_strength_zero_is_bit_identical_and_hooks_go(case: str) -> None:
    adapter = tiny(case)
    before, doubled = logits(adapter), logits(adapter, TOKENS.repeat(2, 1))
    nothing, edit = everywhere(adapter, 0.0), everywhere(adapter, 1.0)
    with applied(adapter, [nothing]):
        assert torch.equal(logits(adapter), before)
    with applied(adapter, [nothing, edit]):
        beside = logits(adapter, TOKENS.repeat(2, 1))[:2]
    # The kernels of fused experts round a row by how many rows of the batch share its expert.
    routed = any(writer.fused for writer in adapter.writers)
    assert relative(beside, doubled[:2]) < 1e-6 if routed else torch.equal(beside, doubled[:2])
    with pytest.raises(RuntimeError, match="inside"), applied(adapter, [edit]):
        raise RuntimeError("inside")
    assert torch.equal(logits(adapter), before)
    assert not any(module._forward_hooks for module in adapter.model.modules())


@every_family
def test_bf16_virtual_and_baked_agree_to_what_bf16_itself_costs(case: str) -> None:
    exact, adapter = tiny(case), tiny(case, torch.bfloat16)
    plan = everywhere(exact, 1.0)
    with applied(exact, [plan]):
        wanted = logits(exact)
    with applied(adapter, [plan]):
        virtual = logits(adapter)
    bake(adapter, plan)
    # By the median over tokens: rounding sends a few tokens to other experts, which is another computation.
    assert median_error(logits(adapter), virtual) < 1.5 * median_error(virtual, wanted) < 0.15
    assert share_along(adapter, unit(adapter.d_model, 2, 0)[:, 0]) < 5e-3


def test_a_tied_embedding_is_not_touched() -> None:
    adapter = tiny("llama")
    before = copy.deepcopy(adapter.model.get_input_embeddings().weight)
    assert adapter.model.lm_head.weight is adapter.model.get_input_embeddings().weight
    bake(adapter, everywhere(adapter, 1.0))
    assert torch.equal(adapter.model.lm_head.weight, before)
