"""Before extracting: clip the few entries of the stream that dwarf all others, so that no direction turns to them.

Language models have massive activations: one or two dimensions hundreds of times the median (Sun et al. 2024, arXiv
2402.17762). A difference in means and a singular vector follow whatever varies most, and so those dimensions' noise.
"""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from saber.types import Activations


def winsorised(activations: Activations, quantile: float) -> Activations:
    """The activations with each vector's entries clipped to the ``quantile`` of their own sizes; 1 clips nothing.

    x_i <- max(-c, min(x_i, c)) with c the quantile of |x_1|, ..., |x_d| of that vector.
    """
    if quantile >= 1:
        return activations
    kinds = {name: getattr(activations, name) for name in ("harmful", "harmless", "capability", "borderline")}
    clipped = {name: _clipped(x, quantile) for name, x in kinds.items() if x is not None}
    return dataclasses.replace(activations, **clipped)


def _clipped(x: Float[Tensor, "layer prompt d_model"], quantile: float) -> Float[Tensor, "layer prompt d_model"]:
    limit = torch.quantile(x.abs(), quantile, dim=-1, keepdim=True)
    return x.clamp(-limit, limit)


def largest_shares(x: Float[Tensor, "layer prompt d_model"]) -> Float[Tensor, " layer"]:
    """Of each layer's spread over prompts, the share of the dimension that spreads most: max_i var_i / sum_i var_i."""
    spread = x.var(dim=1)
    total = spread.sum(dim=-1)
    return torch.where(total > 0, spread.amax(dim=-1) / total.clamp_min(torch.finfo(x.dtype).tiny), 0.0)
