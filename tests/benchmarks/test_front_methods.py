"""The peers' recipes are theirs, whatever the default sweep comes to be: their plans, from formulas of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from front_methods import METHODS
from saber_worker import composed
from torch import Tensor

from saber.keys import with_values
from saber.lm import planning
from saber.lm.planning import PlanRequest
from saber.types import Activations, EditPlan

N, D, LAYERS = 12, 20, 4
CHOSEN = {"edit.alpha_base": 0.7, "edit.kernel.direction_position": 0.5}  # half-way between layers 1 and 2


@pytest.fixture
def seen() -> Activations:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(3, LAYERS, N, D, generator=generator) + torch.randn(D, generator=generator)
    drawn[0, :, :, 0] += 3.0
    return Activations(*drawn)


@contextmanager
def planned(name: str, seen: Activations, **values: float) -> Iterator[EditPlan]:
    """The plan of a method with some values of its space."""
    method = METHODS[name]
    config = with_values(method.control.applied_to(composed([f"+sweep={method.sweep}", *method.words])), values)
    assert config.edit.max_iterations == 1
    draft = planning._Draft(PlanRequest(config.edit, (N, N, N)), seen, method.control.steps(0))
    with method.control.patch(0):
        planning.add_round(draft)
        yield planning._plan(draft)


def unit(x: Tensor) -> Tensor:
    return x / x.norm()


def outside(x: Tensor, *protected: Tensor) -> Tensor:
    basis, _ = torch.linalg.qr(torch.stack(protected, dim=1))
    return x - basis @ (basis.T @ x)


def gap(seen: Activations, layer: int) -> Tensor:
    return seen.harmful[layer].mean(dim=0) - seen.harmless[layer].mean(dim=0)


def halfway(below: Tensor, other: Tensor) -> Tensor:
    return unit(unit(below) + unit(other))


def is_one_direction_everywhere(plan: EditPlan, wanted: Tensor, strength: float) -> None:
    (placed,) = plan.rounds
    assert torch.allclose(placed.directions, wanted.unsqueeze(0), atol=1e-5)
    assert torch.allclose(placed.strengths, torch.full((1, LAYERS, 3), strength))


def test_arditi_is_one_difference_in_means_removed_everywhere_alike(seen: Activations) -> None:
    with planned("arditi", seen, **CHOSEN) as plan:
        is_one_direction_everywhere(plan, halfway(gap(seen, 1), gap(seen, 2)), 0.7)
        assert not plan.row_norm


def test_projected_leaves_out_the_harmless_mean_and_keeps_row_norms(seen: Activations) -> None:
    clean = [outside(gap(seen, layer), seen.harmless[layer].mean(dim=0)) for layer in (1, 2)]
    with planned("projected", seen, **CHOSEN) as plan:
        is_one_direction_everywhere(plan, halfway(*clean), 0.7)
        assert plan.row_norm


def test_biprojected_leaves_out_each_edited_layers_harmless_mean_too(seen: Activations) -> None:
    clean = [outside(gap(seen, layer), seen.harmless[layer].mean(dim=0)) for layer in (1, 2)]
    with planned("biprojected", seen, **CHOSEN) as plan:
        (placed,) = plan.rounds
        assert plan.row_norm
    for layer in range(LAYERS):
        wanted = unit(outside(halfway(*clean), seen.harmless[layer].mean(dim=0)))
        assert torch.allclose(placed.directions[layer], wanted, atol=1e-5)
        strengths = torch.zeros(LAYERS, 3)
        strengths[layer] = 0.7
        assert torch.allclose(placed.strengths[layer], strengths)


def test_surgical_leaves_out_what_harmless_and_capability_prompts_use(seen: Activations) -> None:
    clean = []
    for layer in (1, 2):
        _, _, right = torch.linalg.svd(torch.cat([seen.harmless[layer], seen.capability[layer]]))
        clean.append(outside(gap(seen, layer), *right[:5]))
    with planned("surgical", seen, **CHOSEN, **{"edit.purify_rank": 5}) as plan:
        is_one_direction_everywhere(plan, halfway(*clean), 0.7)
        assert not plan.row_norm


def test_kernel_is_heretics_tents_on_attention_and_mlp(seen: Activations) -> None:
    tent = {"peak": 1.2, "position": 1.0, "floor": 0.3, "half_width": 0.5}
    values: dict[str, Any] = {f"edit.kernel.mlp.{name}": value for name, value in tent.items()}
    with planned("kernel", seen, **values | {"edit.kernel.direction": "per_layer"}) as plan:
        (placed,) = plan.rounds
        assert plan.row_norm
    wanted = {unit_of: 1.2 + (0.3 - 1.2) * (1 - unit_of / 3) / 0.5 for unit_of in (2, 3)} | {0: 0.0, 1: 0.0}
    assert len(placed.directions) == LAYERS
    for i, direction in enumerate(placed.directions):
        along = [
            abs(float(unit(outside(gap(seen, layer), seen.harmless[layer].mean(dim=0))) @ direction))
            for layer in range(LAYERS)
        ]
        layer = along.index(max(along))
        assert along[layer] == pytest.approx(1.0, abs=1e-5)
        assert placed.strengths[i, layer, 1] == pytest.approx(wanted[layer], abs=1e-6)
        assert placed.strengths[i, :, 2].sum() == 0.0
        assert placed.strengths[i].sum() == pytest.approx(float(placed.strengths[i, layer].sum()))
