"""Plans for any model, and what tests look at: logits, and the share of a write along a direction."""

from __future__ import annotations

import dataclasses

import torch

from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.capture import capture
from saber.types import EditPlan, Round

TOKENS = torch.tensor([[5, 9, 3, 20, 7, 33, 8], [11, 4, 60, 2, 19, 21, 6]])


def unit(d: int, k: int, seed: int) -> torch.Tensor:
    """Orthonormal columns."""
    return torch.linalg.qr(torch.randn(d, k, generator=torch.Generator().manual_seed(seed)))[0]


def everywhere(adapter: Adapter, alpha: float, k: int = 2, seed: int = 0, row_norm: bool = False) -> EditPlan:
    """The same k directions at every writer of every layer."""
    r = unit(adapter.d_model, k, seed)
    layers = range(adapter.n_layers)
    return EditPlan.from_directions({l: (r, torch.full((k,), alpha)) for l in layers}, row_norm=row_norm)


def two_rounds(adapter: Adapter, seed: int) -> EditPlan:
    """Two rounds of three directions with a strength of its own for every layer and kind."""
    generator = torch.Generator().manual_seed(seed)
    rounds = tuple(
        Round(unit(adapter.d_model, 3, seed + i).T, torch.rand(3, adapter.n_layers, 3, generator=generator))
        for i in range(2)
    )
    return EditPlan(rounds)


def oblique(adapter: Adapter, seed: int, row_norm: bool = False) -> EditPlan:
    """Two rounds whose directions are read with other vectors than themselves."""
    generator = torch.Generator().manual_seed(seed)
    rounds = tuple(
        Round(
            edit_round.directions,
            edit_round.strengths,
            edit_round.directions.unsqueeze(1)
            + 0.1 * torch.randn(3, adapter.n_layers, adapter.d_model, generator=generator),
        )
        for edit_round in two_rounds(adapter, seed).rounds
    )
    return EditPlan(rounds, row_norm)


def reading_inputs(adapter: Adapter, seed: int, row_norm: bool = False) -> EditPlan:
    """Two rounds whose directions are read of what goes into the writers."""
    draw = torch.Generator().manual_seed(seed)
    widths = {w.place: adapter.d_model if w.fused else w.d_in for w in adapter.writers}
    rounds = tuple(
        dataclasses.replace(
            edit_round,
            input_readers={place: 0.5 * torch.randn(3, d, generator=draw) / d**0.5 for place, d in widths.items()},
        )
        for edit_round in two_rounds(adapter, seed).rounds
    )
    return EditPlan(rounds, row_norm)


def logits(adapter: Adapter, tokens: torch.Tensor = TOKENS) -> torch.Tensor:
    """The logits of every position."""
    with torch.no_grad():
        return adapter.model(input_ids=tokens, use_cache=False).logits


def relative(measured: torch.Tensor, expected: torch.Tensor) -> float:
    """How far two tensors are apart, relative to the second's norm."""
    return float((measured.float() - expected.float()).norm() / expected.float().norm())


def median_error(measured: torch.Tensor, expected: torch.Tensor) -> float:
    """The median over tokens of how far two sets of logits are apart, relative to the second's norm."""
    apart = (measured.float() - expected.float()).norm(dim=-1)
    return float((apart / expected.float().norm(dim=-1)).median())


def share_along(adapter: Adapter, direction: torch.Tensor) -> float:
    """The largest share of any write, any layer, any token, along a direction."""
    modules = {(writer.layer, id(writer.write)): writer.write for writer in adapter.writers}
    with capture(modules, copy=True) as seen:
        logits(adapter)
    writes = [y.flatten(0, -2).float() for y in seen.values()]
    return max(float(((y @ direction).abs() / y.norm(dim=-1).clamp(min=1e-12)).max()) for y in writes)
