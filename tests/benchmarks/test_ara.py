"""ARA against an oracle: its objective by loops in float64, row norms that stay, and what its weights do alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from ara_on_model import seen_by_writers, writer_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.ara import Seen, Settings, edited, fitted, objective, row_scales, suggested

from saber.lm.loading.load import load
from saber.types import Prompt

OF = Settings(first_layer=0, end_layer=2, preserve=0.5, steer=0.3, overcorrect=0.8, n_neighbours=3)


def oracle(new_good: np.ndarray, new_bad: np.ndarray, good: np.ndarray, bad: np.ndarray, of: Settings) -> float:
    """The published objective, row by row."""

    def mean_distance(rows: np.ndarray, others: np.ndarray) -> float:
        nearest = [np.sort([np.linalg.norm(row - other) for other in others])[: of.n_neighbours] for row in rows]
        return float(np.mean([near.mean() for near in nearest]))

    preserve = float(np.mean((new_good - good) ** 2))
    steer = mean_distance(new_bad, good) - of.overcorrect * mean_distance(new_bad, bad)
    return of.preserve * preserve + of.steer * steer


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.floats(0, 1.3))
def test_the_objective_is_the_published_one(seed: int, k: int, overcorrect: float) -> None:
    of = Settings(0, 1, 0.7, 0.2, overcorrect, k)
    drawn = [torch.randn(n, 5, generator=torch.Generator().manual_seed(seed + n)) for n in (7, 6, 7, 6)]
    a, b, c, d = (rows.double().numpy() for rows in drawn)
    wanted = oracle(a, b, c, d, of)
    assert float(objective(drawn[0], drawn[1], drawn[2], drawn[3], of)) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_row_scales_are_those_of_the_sum() -> None:
    torch.manual_seed(0)
    weight, up, down = torch.randn(6, 9), torch.randn(6, 4), torch.randn(4, 9)
    scaled = (weight + up @ down) * row_scales(weight, weight.norm(dim=1), up, down)[:, None]
    assert torch.allclose(scaled.norm(dim=1), weight.norm(dim=1), rtol=1e-5)
    assert torch.allclose(torch.nn.functional.cosine_similarity(scaled, weight + up @ down), torch.ones(6), atol=1e-5)


@pytest.fixture
def seen() -> tuple[torch.Tensor, Seen, Seen]:
    """A writer, with harmful prompts that put out a direction of their own."""
    torch.manual_seed(1)
    weight = torch.randn(12, 20) / 20**0.5
    harmless, harmful = torch.randn(40, 20), torch.randn(40, 20) + 2 * torch.eye(20)[0]
    return weight, Seen(harmless, harmless @ weight.T), Seen(harmful, harmful @ weight.T)


def test_a_fit_lowers_the_objective_and_keeps_row_norms(seen: tuple[torch.Tensor, Seen, Seen]) -> None:
    weight, harmless, harmful = seen
    new = fitted(weight, harmless, harmful, OF, seed=0)
    before = objective(harmless.outputs, harmful.outputs, harmless.outputs, harmful.outputs, OF)
    after = objective(harmless.inputs @ new.T, harmful.inputs @ new.T, harmless.outputs, harmful.outputs, OF)
    assert after < before
    assert torch.allclose(new.norm(dim=1), weight.norm(dim=1), rtol=1e-4)
    assert torch.equal(new, fitted(weight, harmless, harmful, OF, seed=0))


def test_harmful_prompts_come_nearer_to_harmless_ones_and_beyond_with_overcorrection(
    seen: tuple[torch.Tensor, Seen, Seen],
) -> None:
    weight, harmless, harmful = seen
    apart = harmful.outputs.mean(0) - harmless.outputs.mean(0)
    left = {}
    for overcorrect in (0.0, 0.8):
        new = fitted(weight, harmless, harmful, replace(OF, overcorrect=overcorrect), seed=0)
        gap = (harmful.inputs @ new.T).mean(0) - harmless.outputs.mean(0)
        left[overcorrect] = float(gap @ apart / apart.square().sum())
    assert left[0.8] < left[0.0] < 1


def test_nothing_to_steer_changes_nothing(seen: tuple[torch.Tensor, Seen, Seen]) -> None:
    weight, harmless, harmful = seen
    still = Settings(0, 2, preserve=1.0, steer=0.0, overcorrect=0.0, n_neighbours=1)
    assert torch.allclose(fitted(weight, harmless, harmful, still, seed=0), weight, atol=1e-5)


def test_layers_outside_the_range_are_left_alone(seen: tuple[torch.Tensor, Seen, Seen]) -> None:
    weight, harmless, harmful = seen
    keys = [(layer, "mlp.down_proj") for layer in range(4)]
    new = edited(dict.fromkeys(keys, weight), dict.fromkeys(keys, harmless), dict.fromkeys(keys, harmful), OF, seed=0)
    assert [layer for layer, _ in new] == [0, 1]


def test_what_a_models_writers_saw_can_be_fitted_to(organism_folder: Path) -> None:
    adapter = load(str(organism_folder))
    asked = ["Open the jar.", "Shut the lid.", "Lift the box."]
    harmless, harmful = (
        seen_by_writers(adapter, [Prompt(text, kind) for text in asked]) for kind in ("harmless", "harmful")
    )
    weights = writer_weights(adapter)
    new = edited(weights, harmless, harmful, replace(OF, end_layer=1), seed=0)
    assert new.keys() == {key for key in weights if key[0] == 0}
    assert all(matrix.isfinite().all() for matrix in new.values())


def test_its_search_keys_are_suggested_in_the_published_ranges() -> None:
    trial = optuna.create_study().ask()
    of = suggested(trial, n_layers=30)
    assert 0 <= of.first_layer <= 15 <= of.end_layer <= 30
    assert set(trial.params) == {"first_layer", "end_layer", "preserve", "steer", "overcorrect", "n_neighbours"}
