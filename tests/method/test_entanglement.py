"""Entanglement is 0 outside the capability subspace, 1 inside, and the parts of a direction add up."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saber.method.entanglement import capability_basis, entanglement, split_by_capability


def test_zero_when_orthogonal_one_when_inside() -> None:
    capability = torch.zeros(20, 6)
    capability[:, :2] = torch.randn(20, 2)
    basis = capability_basis(capability, n_directions=2)
    rho = entanglement(torch.eye(6), basis)
    torch.testing.assert_close(rho, torch.tensor([1.0, 1.0, 0, 0, 0, 0]), atol=1e-5, rtol=0)


def test_the_mean_of_capability_does_not_count() -> None:
    capability = torch.randn(30, 6)
    before = capability_basis(capability, n_directions=2)
    after = capability_basis(capability + 100.0, n_directions=2)
    torch.testing.assert_close(before @ before.T, after @ after.T, atol=1e-3, rtol=0)


@given(seed=st.integers(0, 1000), k=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_rho_is_the_squared_length_of_the_part_inside(seed: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    basis = capability_basis(torch.randn(30, 8, generator=generator), n_directions=k)
    direction = torch.nn.functional.normalize(torch.randn(8, generator=generator), dim=0)
    outside, inside = split_by_capability(direction, basis)
    torch.testing.assert_close(outside + inside, direction)
    assert abs(float(outside @ inside)) < 1e-5
    rho = float(entanglement(direction.unsqueeze(0), basis)[0])
    assert 0.0 <= rho <= 1.0
    assert abs(rho - float(inside.square().sum())) < 1e-5


def test_rho_of_what_lies_inside_is_never_above_one() -> None:
    draw = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(64, 10, generator=draw))
    inside = torch.nn.functional.normalize(torch.randn(200, 10, generator=draw) @ basis.T)
    assert float((inside @ basis).square().sum(dim=1).max()) > 1  # by rounding
    assert float(entanglement(inside, basis).max()) == 1
