"""Entanglement: how much of a direction lies where capability prompts vary.

rho = |P_C r|^2 in [0, 1], with P_C the projector on the top right singular vectors of centred C. Purity is 1 - rho.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from saber.method.differences import top_right_singular


def capability_basis(
    capability: Float[Tensor, "n_capability d_model"], *, n_directions: int
) -> Float[Tensor, "d_model k"]:
    """Orthonormal columns spanning the top ``n_directions`` directions of variation of capability prompts."""
    return top_right_singular(capability - capability.mean(dim=0), n_directions).T.contiguous()


def entanglement(directions: Float[Tensor, "k d_model"], basis: Float[Tensor, "d_model q"]) -> Float[Tensor, " k"]:
    """Rho = |P_C r|^2 of unit directions: 0 orthogonal to capability, 1 inside its subspace."""
    return (directions @ basis).square().sum(dim=1).clamp(0.0, 1.0)


def split_by_capability(
    direction: Float[Tensor, " d_model"], basis: Float[Tensor, "d_model q"]
) -> tuple[Float[Tensor, " d_model"], Float[Tensor, " d_model"]]:
    """Split r into its parts (outside, inside) the capability subspace; they are orthogonal and sum to r."""
    inside = basis @ (basis.T @ direction)
    return direction - inside, inside
