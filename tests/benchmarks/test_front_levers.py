"""Levers change the default's plan, the same way each time, and are undone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from front_levers import CLIPPED, LEVERS, unmatched_pairs, winsorised
from front_methods import METHODS
from saber_worker import composed

from saber.keys import with_values
from saber.lm import planning
from saber.lm.planning import PlanRequest
from saber.lm.steps import Steps, rank_with
from saber.method.ranking import Ranking
from saber.study.search.space import parse_space
from saber.types import Activations, EditPlan

N, D, LAYERS = 12, 20, 4


@pytest.fixture
def seen() -> Activations:
    """Activations whose pairs share most of what they are, and whose classes differ along one direction."""
    generator = torch.Generator().manual_seed(0)
    shared = 3 * torch.randn(LAYERS, N, D, generator=generator)
    kinds = torch.randn(3, LAYERS, N, D, generator=generator)
    kinds[:2] += shared
    kinds[0, :, :, 0] += 8.0
    return Activations(*kinds)


def planned(name: str, seen: Activations, **values: Any) -> str:
    """The digest of a method's plan, with some values of its space."""
    method = METHODS[name]
    config = method.control.applied_to(composed([f"+sweep={method.sweep}", "model.path=x", *method.words]))
    config = with_values(config, {"edit.reader": "direction", **values})
    draft = planning._Draft(PlanRequest(config.edit, (N, N, N)), seen, method.control.steps(0))
    planning.add_round(draft)
    return EditPlan(tuple(draft.rounds)).digest


VALUES: dict[str, dict[str, Any]] = {
    "subspace": {"edit.purify_rank": 3},
    "tents": {"edit.kernel.mlp.peak": 0.5},
    "decayed-rounds": {"edit.decay": 0.5},
}


@pytest.mark.parametrize("name", sorted(set(LEVERS) - {"cross-validated", "decayed-rounds"}))
def test_a_lever_changes_the_plan_and_leaves_nothing_behind(name: str, seen: Activations) -> None:
    before = planned("saber", seen)
    values = VALUES.get(name, {})
    assert planned(name, seen, **values) == planned(name, seen, **values) != before
    assert planned("saber", seen) == before


def test_cross_validation_changes_what_directions_are_ranked_by(seen: Activations) -> None:
    edits = [composed([f"+sweep={METHODS[name].sweep}", "model.path=x", *METHODS[name].words]).edit
             for name in ("saber", "cross-validated")]  # fmt: skip
    plain, checked = (rank_with(seen, edit, everywhere=True) for edit in edits)
    assert [direction.fisher_ratio for direction in plain.directions[1]] != [
        direction.fisher_ratio for direction in checked.directions[1]
    ]


@pytest.mark.parametrize("name", LEVERS)
def test_what_a_lever_searches_is_in_its_space(name: str) -> None:
    method = METHODS[name]
    config = method.control.applied_to(composed([f"+sweep={method.sweep}", "model.path=x", *method.words]))
    keys = {knob.key for knob in parse_space(config)}
    assert set(VALUES.get(name, {})) <= keys
    assert not keys & {*method.control.fixed, *method.control.idle}


def both_ways(steps: Steps, seen: Activations) -> tuple[Ranking, Ranking]:
    """What is ranked by the method's own steps and by others: the leading direction of pairs, nothing purified."""
    edit = with_values(composed(["+sweep=organism_outputs", "model.path=x"]), {"edit.purify": "none"}).edit
    return rank_with(seen, edit), steps.rank(seen, edit)


def test_unmatched_pairs_lose_the_direction_that_matched_ones_show(seen: Activations) -> None:
    matched, unmatched = both_ways(unmatched_pairs(), seen)
    for layer in matched.directions:
        leading, other = (
            abs(float(ranking.directions[layer][0].direction.vector[0])) for ranking in (matched, unmatched)
        )
        assert leading > 0.9
        assert other < leading
    assert torch.equal(matched.layer_fdr, unmatched.layer_fdr)  # it looks at no pair


def test_winsorising_takes_an_outlying_entry_out_of_the_direction(seen: Activations) -> None:
    seen.harmful[:, 0, 5] = 1000.0
    plain, clipped = both_ways(winsorised(), seen)
    for layer in plain.directions:
        outlier, kept = (abs(float(ranking.directions[layer][0].direction.vector[5])) for ranking in (plain, clipped))
        assert outlier > 0.99
        assert kept < outlier
    assert 0.9 < CLIPPED < 1.0
