"""Differential strength: formula, limits, and the two parts of a decomposed direction."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saber.method.entanglement import capability_basis
from saber.method.strength import blended_strength, decomposed_strengths, scaled, tent
from saber.options.strength_options import StrengthOptions
from saber.types import Direction, RankedDirection


@pytest.mark.parametrize(
    ("rho", "expected"),
    [(0.0, 0.8), (0.5, 0.5 * 0.8 + 0.5 * 0.1), (0.55, 0.45 * 0.8 + 0.55 * 0.1), (0.56, 0.1), (1.0, 0.1)],
)
def test_blended(rho: float, expected: float) -> None:
    blended = blended_strength(rho, alpha_base=0.8, alpha_entangled=0.1, threshold=0.55)
    assert blended == pytest.approx(expected)


def test_decomposed_parts_are_units_that_span_the_direction() -> None:
    basis = capability_basis(torch.randn(20, 6), n_directions=2)
    direction = torch.nn.functional.normalize(torch.randn(6), dim=0)
    (outside, a), (inside, b) = decomposed_strengths(direction, basis, alpha_base=0.9, alpha_entangled=0.2)
    assert (a, b) == (0.9, 0.2)
    torch.testing.assert_close(basis.T @ outside, torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close((direction @ outside) * outside + (direction @ inside) * inside, direction)


def test_a_pure_direction_has_one_part() -> None:
    basis = torch.eye(4)[:, :1]
    parts = decomposed_strengths(torch.eye(4)[1], basis, alpha_base=0.9, alpha_entangled=0.2)
    assert [alpha for _, alpha in parts] == [0.9]


@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        ("uniform", [(3, 0.4), (5, 0.4)]),
        ("blended", [(3, 0.5 * (0.75 * 0.8 + 0.25 * 0.2)), (5, 0.1)]),
        ("decomposed", [(3, 0.4), (3, 0.1), (5, 0.1)]),
    ],
)
def test_directions_are_scaled_as_the_strength_says_whole_or_in_parts(
    strength: Any, expected: list[tuple[int, float]]
) -> None:
    axes = torch.eye(4)
    between, inside = (axes[0] + axes[1]) / 2**0.5, axes[0]
    selected = [
        RankedDirection(Direction(3, 0, between), 2.0, 0.25),
        RankedDirection(Direction(5, 1, inside), 1.0, 0.9),
    ]
    options = StrengthOptions(strength=strength, alpha_base=0.8, alpha_entangled=0.2, entanglement_threshold=0.5)
    placed = scaled(selected, {3: axes[:, :1], 5: axes[:, :1]}, options, factor=0.5)
    assert [layer for _, layer, _ in placed] == [layer for layer, _ in expected]
    assert [alpha for _, _, alpha in placed] == pytest.approx([alpha for _, alpha in expected])
    if strength == "decomposed":
        outside, within, last = (vector for vector, _, _ in placed)
        torch.testing.assert_close(torch.stack([outside, within, last]), axes[[1, 0, 0]])
    else:
        torch.testing.assert_close(torch.stack([vector for vector, _, _ in placed]), torch.stack([between, inside]))


def test_the_tent() -> None:
    shape = {"peak": 1.0, "position": 0.5, "floor": 0.2, "half_width": 0.25}
    assert tent(0.5, **shape) == 1.0
    assert tent(0.75, **shape) == pytest.approx(0.2)
    assert tent(0.625, **shape) == pytest.approx(0.6)
    assert tent(0.76, **shape) == 0.0
