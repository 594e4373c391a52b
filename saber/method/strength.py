"""Strength: the heart of SABER. A direction entangled with capability is scaled down more than a pure one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from jaxtyping import Float
from torch import Tensor

from saber.method.entanglement import split_by_capability
from saber.options.strength_options import StrengthOptions
from saber.types import RankedDirection

PART_FLOOR = 1e-3  # a part shorter than this has no direction worth editing


def blended_strength(entanglement: float, *, alpha_base: float, alpha_entangled: float, threshold: float) -> float:
    """Strength of a whole direction from its entanglement rho.

    rho <= threshold (refusal-dominant): (1 - rho) alpha_base + rho alpha_entangled.
    rho > threshold (capability-entangled): alpha_entangled.
    """
    if entanglement > threshold:
        return alpha_entangled
    return (1.0 - entanglement) * alpha_base + entanglement * alpha_entangled


def decomposed_strengths(
    direction: Float[Tensor, " d_model"],
    basis: Float[Tensor, "d_model q"],
    *,
    alpha_base: float,
    alpha_entangled: float,
) -> list[tuple[Float[Tensor, " d_model"], float]]:
    """Split r at the capability subspace into unit parts: outside with alpha_base, inside with alpha_entangled."""
    outside, inside = split_by_capability(direction, basis)
    parts = [(outside, alpha_base), (inside, alpha_entangled)]
    return [(part / part.norm(), alpha) for part, alpha in parts if part.norm() > PART_FLOOR]


def scaled(
    selected: Sequence[RankedDirection],
    capability_bases: Mapping[int, Float[Tensor, "d_model q"]],
    options: StrengthOptions,
    *,
    factor: float,
) -> list[tuple[Float[Tensor, " d_model"], int, float]]:
    """(unit vector, layer, strength) of what is edited: whole directions, or their parts in and out of capability.

    ``uniform`` gives every direction ``alpha_base``, whatever its entanglement. ``factor`` multiplies every strength.
    """
    base, entangled = options.alpha_base * factor, options.alpha_entangled * factor
    placed: list[tuple[Tensor, int, float]] = []
    for ranked in selected:
        layer, vector = ranked.direction.layer, ranked.direction.vector
        if options.strength == "uniform":
            placed.append((vector, layer, base))
        elif options.strength == "blended":
            strength = blended_strength(
                ranked.entanglement,
                alpha_base=base,
                alpha_entangled=entangled,
                threshold=options.entanglement_threshold,
            )
            placed.append((vector, layer, strength))
        elif options.strength == "decomposed":
            parts = decomposed_strengths(vector, capability_bases[layer], alpha_base=base, alpha_entangled=entangled)
            placed += [(part, layer, strength) for part, strength in parts]
        else:
            assert_never(options.strength)
    return placed


def tent(depth: float, *, peak: float, position: float, floor: float, half_width: float) -> float:
    """Strength at a depth in [0, 1]: ``peak`` at ``position``, falling linearly to ``floor``, 0 beyond.

    This is how Heretic shapes its weights over layers.
    """
    distance = abs(depth - position)
    if distance > half_width:
        return 0.0
    return peak + (floor - peak) * distance / half_width
