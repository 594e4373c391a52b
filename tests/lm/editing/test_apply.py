"""The editing kernel: exact where it claims to be, the same virtual and baked, T trials at once, gone afterwards."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.editing.apply import DenseEdit, LowRankEdit, TrialEdits, applied, bake, edit_of_output, edits_by_writer
from saber.lm.editing.low_rank import WriterEdit, compile_low_rank, orthonormalise
from saber.lm.loading.load import build_model
from saber.types import EditPlan, Round, UserError
from tests.conftest import TINY_GEMMA4, randomise
from tests.lm.families import tiny
from tests.lm.plans import TOKENS, everywhere, logits, oblique, relative, two_rounds, unit


@pytest.fixture(params=["gemma4", "llama"])
def adapter(request: pytest.FixtureRequest, tiny_gemma4: Adapter) -> Adapter:
    return tiny_gemma4 if request.param == "gemma4" else tiny("llama")


PLANS: list[Callable[[Adapter], EditPlan]] = [
    lambda a: everywhere(a, 1.0),
    lambda a: everywhere(a, 0.6, k=3, seed=4),
    lambda a: everywhere(a, -0.7, k=3, seed=2),  # a negative strength amplifies
    lambda a: everywhere(a, 0.9, row_norm=True),
    lambda a: two_rounds(a, 7),
    lambda a: EditPlan(two_rounds(a, 9).rounds, row_norm=True),
    lambda a: oblique(a, 5),
    lambda a: oblique(a, 6, row_norm=True),
    lambda a: EditPlan(two_rounds(a, 9).rounds, row_norm=True, unit_rows=True),
    lambda a: EditPlan(oblique(a, 6).rounds, row_norm=True, unit_rows=True),
]


@pytest.mark.parametrize("plan_of", PLANS)
def test_virtual_and_baked_agree(adapter: Adapter, plan_of: Callable[[Adapter], EditPlan]) -> None:
    plan = plan_of(adapter)
    before = logits(adapter)
    with applied(adapter, [plan]):
        virtual = logits(adapter)
    assert float((virtual - before).abs().max()) > 0.05
    bake(adapter, plan)
    error = (logits(adapter) - virtual).norm() / virtual.norm()
    assert float(error) < 1e-5


def test_each_of_three_trials_in_a_batch_equals_its_own_run(adapter: Adapter) -> None:
    plans = [everywhere(adapter, 1.0), two_rounds(adapter, 2), everywhere(adapter, 0.5, k=4, row_norm=True)]
    with applied(adapter, plans):
        together = logits(adapter, TOKENS.repeat(3, 1)).unflatten(0, (3, -1))
    for plan, group in zip(plans, together, strict=True):
        with applied(adapter, [plan]):
            # One trial alone is summed in another order; this model turns rounding of 1e-7 at a writer into some 1e-5.
            assert relative(group, logits(adapter)) < 2e-5


@pytest.mark.parametrize("k", [1, 5, 11, 12, 24])
@pytest.mark.parametrize("row_norm", [False, True])
def test_one_trial_alone_is_edited_as_it_is_among_others(adapter: Adapter, k: int, row_norm: bool) -> None:
    plan = everywhere(adapter, 0.8, k=k, row_norm=row_norm)
    for writer, edits in edits_by_writer(adapter, [plan]):
        alone = edit_of_output(edits, writer, adapter.d_model)
        assert isinstance(alone, DenseEdit if k >= 12 else LowRankEdit)
        y = torch.randn(3, 5, adapter.d_model, generator=torch.Generator().manual_seed(k))
        among = TrialEdits([*edits, None], writer, adapter.d_model)(y.repeat(2, 1, 1))[:3]
        exact = exactly(edits[0], y)
        assert relative(among, exact) < 1e-3
        assert relative(alone(y), exact) < max(1e-6, 2 * relative(among, exact))


def exactly(edit: WriterEdit | None, y: torch.Tensor) -> torch.Tensor:
    """The same edit in float64."""
    assert edit is not None
    u, a, v, rows = edit.u.double(), edit.a.double(), edit.v.double(), y.double()
    edited = rows - ((rows @ v) * a) @ u.T
    return edited if edit.scale is None else edited * edit.scale.double()


def test_a_direction_is_taken_out_whatever_it_is_read_with(adapter: Adapter) -> None:
    (first, _) = oblique(adapter, 3).rounds
    full = torch.ones_like(first.strengths)
    plan, orthogonal = (
        EditPlan((Round(first.directions, full, first.readers),)),
        EditPlan((Round(first.directions, full),)),
    )
    for writer in adapter.writers:
        edit, usual = compile_low_rank(plan, writer), compile_low_rank(orthogonal, writer)
        assert edit is not None
        assert usual is not None
        assert float((edit.v.T @ edit.u - torch.eye(3)).abs().max()) < 1e-4
        assert float((edit.v - usual.v).norm()) > 0.1
        if writer.gain is None:
            assert float(edit.on_columns(first.directions.T).abs().max()) < 1e-5


def test_strength_zero_is_bit_identical_alone_and_beside_others(adapter: Adapter) -> None:
    before = logits(adapter)
    nothing = everywhere(adapter, 0.0)
    with applied(adapter, [nothing]):
        assert torch.equal(logits(adapter), before)
    doubled = logits(adapter, TOKENS.repeat(2, 1))
    with applied(adapter, [nothing, everywhere(adapter, 1.0)]):
        assert torch.equal(logits(adapter, TOKENS.repeat(2, 1))[:2], doubled[:2])


def test_hooks_are_gone_after_an_exception(adapter: Adapter) -> None:
    before = logits(adapter)
    with pytest.raises(RuntimeError, match="inside"), applied(adapter, [everywhere(adapter, 1.0)]):
        raise RuntimeError("inside")
    assert torch.equal(logits(adapter), before)
    assert all(not writer.module._forward_hooks for writer in adapter.writers)


def test_a_failing_plan_leaves_no_hook_behind(adapter: Adapter) -> None:
    good, other = everywhere(adapter, 1.0), EditPlan.from_directions({99: (unit(24, 1, 0), torch.ones(1))})
    with pytest.raises(ValueError, match="expected a plan for"), applied(adapter, [good, other]):
        pass
    assert all(not writer.module._forward_hooks for writer in adapter.writers)


def test_a_batch_that_does_not_divide_is_refused(adapter: Adapter) -> None:
    plans = [everywhere(adapter, 1.0)] * 3
    with pytest.raises(ValueError, match="divisible by 3"), applied(adapter, plans):
        logits(adapter)


def test_row_norms_are_kept(adapter: Adapter) -> None:
    before = {w.name: w.weight.norm(dim=1).clone() for w in adapter.writers}
    bake(adapter, everywhere(adapter, 1.0, row_norm=True))
    for writer in adapter.writers:
        torch.testing.assert_close(writer.weight.norm(dim=1), before[writer.name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.4, 1.0, 1.3])
def test_out_of_unit_rows_a_direction_is_taken_as_heretic_takes_it(alpha: float) -> None:
    """Heretic 1.4.0, model.py: W becomes |W_i| normalise(normalise(W) - alpha v (v^T normalise(W))), less its SVD."""
    adapter = tiny("llama")
    plan = everywhere(adapter, alpha, k=1, row_norm=True)
    v = plan.rounds[0].directions[0].double().unsqueeze(1)
    expected = {}
    for writer in adapter.writers:
        weight = writer.weight.double()
        rows = normalize(weight, dim=1)
        expected[writer.name] = normalize(rows - alpha * v @ (v.T @ rows), dim=1) * weight.norm(dim=1, keepdim=True)
    bake(adapter, dataclasses.replace(plan, unit_rows=True))
    for writer in adapter.writers:
        torch.testing.assert_close(writer.weight.double(), expected[writer.name], rtol=1e-4, atol=1e-6)


def test_a_row_of_zeros_stays_so_out_of_unit_rows() -> None:
    adapter = tiny("llama")
    for writer in adapter.writers:
        writer.weight.data[3] = 0.0
    plan = dataclasses.replace(everywhere(adapter, 1.0, row_norm=True), unit_rows=True)
    with applied(adapter, [plan]):
        virtual = logits(adapter)
    bake(adapter, plan)
    assert all(not writer.weight.data[3].any() for writer in adapter.writers)
    assert relative(logits(adapter), virtual) < 1e-5


def test_unit_rows_without_row_norms_are_refused() -> None:
    with pytest.raises(ValueError, match="expected row norms to be kept"):
        EditPlan((), unit_rows=True)


@pytest.mark.parametrize("case", ["gpt_oss", "mixtral", "llama4_text"])
def test_row_norms_of_fused_experts_are_refused(case: str) -> None:
    adapter = tiny(case)
    plan = everywhere(adapter, 1.0, row_norm=True)
    with pytest.raises(UserError, match=r"expected no row norms to keep at .*experts"), applied(adapter, [plan]):
        pass
    with pytest.raises(UserError, match=r"fused experts: set edit\.norm_preserve=none"):
        bake(adapter, plan)


@pytest.mark.parametrize("case", ["gpt2", "falcon_h1", "glm4", "granite"])
def test_row_norms_virtual_and_baked_agree(case: str) -> None:
    adapter = tiny(case)
    plan = everywhere(adapter, 0.9, row_norm=True)
    with applied(adapter, [plan]):
        virtual = logits(adapter)
    bake(adapter, plan)
    assert float((logits(adapter) - virtual).norm() / virtual.norm()) < 1e-5


def test_component_kinds_can_be_left_alone(tiny_gemma4: Adapter) -> None:
    strengths = torch.zeros(1, tiny_gemma4.n_layers, 3)
    strengths[:, :, 1] = 1.0
    plan = EditPlan((Round(unit(24, 1, 0).T, strengths),))
    edited = {w.kind for w in tiny_gemma4.writers if compile_low_rank(plan, w) is not None}
    assert edited == {"mlp"}
    assert {w.kind for w in tiny_gemma4.writers} == {"attention", "mlp", "per_layer"}


def test_a_direction_given_twice_is_subtracted_once(adapter: Adapter) -> None:
    r = unit(adapter.d_model, 1, 0)
    once = EditPlan.from_directions({1: (r, torch.tensor([0.7]))})
    twice = EditPlan.from_directions({1: (r.repeat(1, 2), torch.tensor([0.7, 0.7]))})
    with applied(adapter, [once]):
        expected = logits(adapter)
    with applied(adapter, [twice]):
        torch.testing.assert_close(logits(adapter), expected, atol=1e-5, rtol=1e-5)


@given(seed=st.integers(0, 1000), k=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_orthonormal_columns_span_the_directions_in_order(seed: int, k: int) -> None:
    directions = torch.nn.functional.normalize(torch.randn(k, 9, generator=torch.Generator().manual_seed(seed)))
    q, kept = orthonormalise(directions)
    torch.testing.assert_close(q.T @ q, torch.eye(len(kept)), atol=1e-5, rtol=0)
    torch.testing.assert_close(q[:, 0], directions[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(q @ (q.T @ directions.T), directions.T, atol=1e-4, rtol=0)


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_composing_edits_equals_applying_them_in_turn(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    first, second = (
        WriterEdit(torch.randn(8, k, generator=g), torch.rand(k, generator=g), torch.randn(8, k, generator=g))
        for k in (2, 3)
    )
    w = torch.randn(8, 5, generator=g)
    in_turn = second.on_columns(first.on_columns(w))
    torch.testing.assert_close(first.then(second).on_columns(w), in_turn, atol=1e-3, rtol=1e-3)


def test_bf16_virtual_and_baked_agree_to_what_bf16_itself_costs() -> None:
    model = build_model("gemma4_text", TINY_GEMMA4)
    randomise(model)
    exact = adapt(model, None)
    plan = everywhere(exact, 1.0)
    plain = logits(exact)
    adapter = adapt(copy.deepcopy(model).to(torch.bfloat16), None)
    cost = float((logits(adapter).float() - plain).norm() / plain.norm())
    with applied(adapter, [plan]):
        virtual = logits(adapter).float()
    bake(adapter, plan)
    error = (logits(adapter).float() - virtual).norm() / virtual.norm()
    assert float(error) < 2 * cost
