"""Readers: the directions are removed all the same, and ordinary prompts are left more alone."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from saber.method.readers import least_drift
from saber.method.reading import readers_of
from saber.options.reading_options import ReadingOptions
from saber.types import Round


def draw(seed: int, n: int, d: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator) * torch.linspace(0.3, 3.0, d) + 1.0


def unit_rows(seed: int, k: int, d: int) -> torch.Tensor:
    return torch.linalg.qr(draw(seed, d, k))[0].T


def dual(directions: torch.Tensor, readers: torch.Tensor) -> torch.Tensor:
    """P (k, d) with P R^T = I."""
    return torch.linalg.solve(readers.double() @ directions.double().T, readers.double())


def disturbance(p: torch.Tensor, harmless: torch.Tensor, capability: torch.Tensor, ridge: float) -> float:
    """E|P^T x|^2 + ridge m |P|^2, spelled out."""
    half = [(x.double() @ p.double().T).square().sum(1).mean() / 2 for x in (harmless, capability)]
    m = sum(x.double().square().sum() / len(x) / 2 for x in (harmless, capability)) / harmless.shape[1]
    return float(half[0] + half[1] + ridge * m * p.double().square().sum())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), n=st.sampled_from([3, 40]), ridge=st.sampled_from([0.1, 1.0, 10.0]))
def test_no_other_reader_of_the_same_directions_disturbs_less(seed: int, n: int, ridge: float) -> None:
    d, k = 7, 2
    harmless, capability, r = draw(seed, n, d), draw(seed + 1, n + 1, d), unit_rows(seed + 2, k, d)
    best = dual(r, least_drift.readers(r, [harmless, capability], ReadingOptions(reader_ridge=ridge)))
    null = torch.linalg.svd(r.double())[2][k:]  # any other dual differs by rows in the null space of R

    def cost(x: list[float]) -> float:
        return disturbance(r.double() + torch.tensor(x).view(k, d - k) @ null, harmless, capability, ridge)

    numeric = minimize(cost, torch.zeros(k * (d - k)).tolist(), method="BFGS")
    assert disturbance(best, harmless, capability, ridge) <= float(numeric.fun) * (1 + 1e-4)


def test_a_large_ridge_reads_a_direction_with_itself() -> None:
    r = unit_rows(0, 3, 8)
    readers = least_drift.readers(r, [draw(1, 20, 8), draw(2, 20, 8)], ReadingOptions(reader_ridge=1e9))
    torch.testing.assert_close(readers, r, atol=1e-5, rtol=0)


def test_few_and_many_prompts_give_the_same_formula() -> None:
    r, few = unit_rows(0, 2, 8), draw(1, 3, 8)
    many = few.repeat(4, 1)  # the same second moments by the other branch
    args = (draw(2, 2, 8), draw(2, 2, 8).repeat(4, 1))
    of_few = least_drift.readers(r, [few, args[0]], ReadingOptions(reader_ridge=0.5))
    of_many = least_drift.readers(r, [many, args[1]], ReadingOptions(reader_ridge=0.5))
    torch.testing.assert_close(of_few, of_many, atol=1e-5, rtol=1e-4)


def test_prompts_that_are_nowhere_leave_a_direction_as_it_is() -> None:
    r, nothing = unit_rows(0, 2, 6), torch.zeros(4, 6)
    assert torch.equal(least_drift.readers(r, [nothing, nothing], ReadingOptions(reader_ridge=1.0)), r)


def test_a_round_is_read_where_it_acts_and_nowhere_else() -> None:
    strengths = torch.zeros(2, 3, 3)
    strengths[0, 1, 2] = 0.5
    strengths[1, 1:, 0] = 0.5
    edit_round = Round(unit_rows(0, 2, 6), strengths)
    harmless, capability = draw(1, 30, 6).view(3, 10, 6), draw(2, 30, 6).view(3, 10, 6)
    readers = readers_of(edit_round, [harmless, capability], ReadingOptions(reader="least_drift"), found_at=[0, 0])
    alone = least_drift.readers(
        edit_round.directions[1:], [harmless[2], capability[2]], ReadingOptions(reader_ridge=1.0)
    )
    torch.testing.assert_close(readers[1, 2], alone[0])
    assert float(readers[:, 0].abs().sum()) == float(readers[0, 2].abs().sum()) == 0.0


def test_read_at_its_own_layer_a_direction_is_read_alike_wherever_it_acts() -> None:
    strengths = torch.zeros(2, 3, 3)
    strengths[0, 1:, 2] = 0.5
    strengths[1, :2, 0] = -0.5
    edit_round = Round(unit_rows(0, 2, 6), strengths)
    harmless, capability = draw(1, 30, 6).view(3, 10, 6), draw(2, 30, 6).view(3, 10, 6)
    readers = readers_of(
        edit_round, [harmless, capability], ReadingOptions(reader="least_drift", reader_layer="own"), found_at=[2, 0]
    )
    for i, own in ((0, 2), (1, 0)):
        alone = least_drift.readers(
            edit_round.directions[i : i + 1], [harmless[own], capability[own]], ReadingOptions(reader_ridge=1.0)
        )[0]
        for layer in range(3):
            wanted = alone if strengths[i, layer].abs().sum() else torch.zeros(6)
            torch.testing.assert_close(readers[i, layer], wanted)
