"""Each control changes what it says, nothing more, and is gone afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from control import Control
from front_controls import (
    CONTROLS,
    biprojected,
    naive_writers,
    random_directions,
    rank_at_random,
    rank_by_variance,
    shuffled_labels,
)
from front_input_controls import INPUT_CONTROLS, no_capability
from front_methods import METHODS
from saber_worker import composed

from saber.config import EditConfig, KernelConfig, Tent
from saber.lm import input_reading, planning
from saber.lm.editing.low_rank import compile_low_rank
from saber.lm.planning import PlanRequest
from saber.lm.steps import Steps, rank_with, select
from saber.options.reading_options import ReadingOptions
from saber.study.search.space import check_point, parse_space
from saber.types import Activations, EditPlan, LookedAt, PromptKind, Round, TokenRow

N, D, LAYERS = 12, 20, 4
EDIT = EditConfig(purify="harmless_mean", scope="layer", n_directions=3, global_top_k=6, max_iterations=2)
FLAT = Tent(peak=1.0, position=0.5, floor=1.0, half_width=1.0)


@pytest.fixture
def seen() -> Activations:
    """Activations whose classes differ along one direction, more so in later layers."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(3, LAYERS, N, D, generator=generator) + 2 * torch.randn(D, generator=generator)
    drawn[0, :, :, 0] += 3 * torch.arange(1.0, LAYERS + 1).unsqueeze(1)
    return Activations(*drawn)


def first_round(seen: Activations, edit: EditConfig = EDIT, steps: Steps | None = None) -> Round:
    draft = planning._Draft(PlanRequest(edit, (N, N, N)), seen, steps or Steps())
    planning.add_round(draft)
    return draft.rounds[0]


def digest(placed: Round) -> str:
    return EditPlan((placed,)).digest


@pytest.mark.parametrize("control", [random_directions, shuffled_labels, rank_by_variance, rank_at_random])
def test_a_control_changes_the_plan_the_same_way_each_time(control: Any, seen: Activations) -> None:
    first, again = (digest(first_round(seen, steps=control(3))) for _ in range(2))
    assert first == again != digest(first_round(seen))


def test_random_directions_are_unit_vectors_outside_what_is_protected(seen: Activations) -> None:
    real = rank_with(seen, EDIT, everywhere=True)
    drawn, others = (random_directions(seed).rank(seen, EDIT) for seed in (0, 1))
    assert drawn.directions.keys() == others.directions.keys() == {1, 2}  # those in the band of depth
    for layer in drawn.directions:
        assert len(drawn.directions[layer]) == len(real.directions[layer]) == 3
        for direction, other in zip(drawn.directions[layer], others.directions[layer], strict=True):
            vector = direction.direction.vector
            assert vector.norm() == pytest.approx(1.0, abs=1e-5)
            assert vector @ seen.harmless[layer].mean(dim=0) == pytest.approx(0.0, abs=1e-4)
            assert (vector @ other.direction.vector).abs() < 0.95


def test_shuffling_takes_the_difference_away(seen: Activations) -> None:
    shuffled = shuffled_labels(0).rank(seen, EDIT)
    assert shuffled.layer_fdr[-1] < 0.2 * rank_with(seen, EDIT).layer_fdr[-1]


def test_variance_ranks_by_the_share_of_the_differences_that_lies_along_a_direction(seen: Activations) -> None:
    ranked = rank_by_variance().rank(seen, EDIT).directions[2][1]
    gap = (seen.harmful[2] - seen.harmless[2]).double()
    along = gap @ ranked.direction.vector.double()
    assert ranked.fisher_ratio == pytest.approx(float((along**2).sum() / (gap**2).sum()), rel=1e-5)


def test_a_random_rank_is_one_order_for_the_whole_search(seen: Activations) -> None:
    def order(seed: int, of: Activations) -> list[tuple[int, int]]:
        ranking = rank_at_random(seed).rank(of, EDIT)
        ratios = {
            (r.direction.layer, r.direction.index): r.fisher_ratio
            for of_layer in ranking.directions.values()
            for r in of_layer
        }
        return sorted(ratios, key=lambda key: ratios[key])

    fewer = seen.first(8, 8, 8)
    assert order(0, seen) == order(0, fewer) != order(1, seen)


def test_a_naive_writer_is_edited_as_if_it_had_no_gain() -> None:
    gain = torch.linspace(0.2, 2.0, D)
    writer: Any = SimpleNamespace(layer=0, kind="attention", gain=gain, device=torch.device("cpu"), fused=False)
    plain: Any = SimpleNamespace(**{**vars(writer), "gain": None})
    plan = EditPlan.from_directions({0: (torch.eye(D)[:, :2] @ torch.tensor([[0.6, 0.8], [0.8, -0.6]]), torch.ones(2))})
    exact, wanted = compile_low_rank(plan, writer), compile_low_rank(plan, plain)
    with naive_writers():
        naive = compile_low_rank(plan, writer)
    again = compile_low_rank(plan, writer)
    assert exact is not None
    assert wanted is not None
    assert naive is not None
    assert again is not None
    assert torch.equal(naive.u, wanted.u)
    assert torch.equal(naive.v, wanted.v)
    assert not torch.allclose(exact.v, wanted.v)
    assert torch.equal(again.v, exact.v)


def test_biprojection_keeps_each_layers_own_harmless_mean(seen: Activations) -> None:
    kernel = KernelConfig(FLAT, FLAT, FLAT, direction="global", direction_position=0.5)
    edit = replace(
        EDIT, scope="kernel", extraction="dim", kernel=kernel, global_top_k=1, alpha_base=0.9, strength="uniform"
    )
    assert len(select(rank_with(seen, edit), edit)) == 1
    placed = first_round(seen, edit, biprojected())
    assert placed.directions.shape == (LAYERS, D)
    for layer in range(LAYERS):
        assert placed.directions[layer] @ seen.harmless[layer].mean(dim=0) == pytest.approx(0.0, abs=1e-4)
        assert torch.nonzero(placed.strengths[layer].sum(dim=1)).flatten().tolist() == [layer]
        assert placed.strengths[layer, layer].tolist() == pytest.approx([0.9] * 3)
    assert len(first_round(seen, edit).directions) == 1


@pytest.mark.parametrize("nested", [True, False])
def test_a_fixed_key_is_neither_searched_nor_in_a_known_point(nested: bool) -> None:
    config = composed(["+sweep=organism_outputs"])
    if not nested:
        dotted = {"edit.purify": {"choices": ["none", "subspace"]}, "edit.purify_rank": {"low": 2, "high": 9}}
        config = composed(
            ["+sweep=organism_outputs", "~space", "study.enqueue=[{edit.purify_rank: 3, edit.purify: subspace}]"]
        )
        config = replace(config, space={**dotted, "edit.alpha_base": {"low": 0.2, "high": 1.0}})
    control = Control(fixed={"edit.purify": "none"}, idle=("edit.purify_rank", "edit.global_top_k"))
    changed = control.applied_to(config)
    keys = [knob.key for knob in parse_space(changed)]
    assert changed.edit.purify == "none"
    assert "edit.alpha_base" in keys
    assert not {"edit.purify", "edit.purify_rank", "edit.global_top_k"} & set(keys)
    assert not any("edit.global_top_k" in point or "edit.purify" in point for point in changed.study.enqueue)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_searched_and_its_known_points_lie_in_its_space(name: str) -> None:
    method = METHODS[name]
    config = method.control.applied_to(composed([f"+sweep={method.sweep}", *method.words]))
    knobs = parse_space(config)
    for point in config.study.enqueue:
        check_point(point, knobs)


@pytest.mark.parametrize(("sweep", "controls"), [("organism_outputs", CONTROLS), ("organism", INPUT_CONTROLS)])
def test_a_control_searches_what_the_default_searches_less_what_it_fixes(
    sweep: str, controls: Mapping[str, Control]
) -> None:
    default = {knob.key for knob in parse_space(composed([f"+sweep={sweep}"]))}
    assert controls
    for control in controls.values():
        keys = {knob.key for knob in parse_space(control.applied_to(composed([f"+sweep={sweep}"])))}
        assert keys == default - set(control.fixed) - set(control.idle)


def spared_sizes(rows: LookedAt) -> tuple[int, ...]:
    """How many inputs are left alone of two pairs and two capability prompts, by population, where trials ask."""
    where_trials_ask: Any = input_reading
    return tuple(
        len(part)
        for part in where_trials_ask.populations(
            rows,
            sizes=(2, 2, 0),
            contrast="refusal",
            options=ReadingOptions(reader="inputs", protects="none"),
            is_protected=torch.zeros(2, dtype=torch.bool),
            is_refused=torch.zeros(0, dtype=torch.bool),
        ).spared
    )


def test_without_capability_only_harmless_prompts_and_replies_to_them_are_left_alone() -> None:
    kinds: tuple[PromptKind, ...] = ("harmful", "harmless", "capability")
    ends = [TokenRow(kind, prompt, (1, 2), (1,)) for kind in kinds for prompt in range(2)]
    replies = [TokenRow(kind, 0, (1, 2, 3), (2,), is_reply=True) for kind in kinds[1:]]
    rows = LookedAt((*ends, *replies))
    assert spared_sizes(rows) == (2, 2, 2)
    with no_capability():
        assert spared_sizes(rows) == (2, 1)
    assert spared_sizes(rows) == (2, 2, 2)
