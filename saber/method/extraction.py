"""Extract: the directions of one layer along which refused and answered prompts differ.

H (n_h, d) harmful and S (n_s, d) harmless activations give up to ``n_directions`` unit vectors r, each with the sign
that makes mean(H r) > mean(S r).

Language models have massive activations: one or two dimensions hundreds of times the median (Sun et al. 2024, arXiv
2402.17762). A difference in means and a singular vector follow whatever varies most, and so those dimensions' noise;
`winsorised` clips them first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib import import_module

import torch
from jaxtyping import Float
from torch import Tensor

from saber.method.differences import NEGLIGIBLE
from saber.types import Activations
from saber.vocabulary import Extraction

# Takes (H, S, how many directions, whether rows are pairs); what it gives need be neither of unit length nor oriented.
Directions = Callable[[Tensor, Tensor, int, bool], Tensor]


def extraction(method: Extraction) -> Directions:
    """The function of an extraction: ``directions`` of the file of its name."""
    directions: Directions = import_module(f"saber.method.extractions.{method}").directions
    return directions


def extract(
    harmful: Float[Tensor, "n_harmful d_model"],
    harmless: Float[Tensor, "n_harmless d_model"],
    *,
    method: Extraction,
    n_directions: int,
    is_paired: bool = True,
) -> Float[Tensor, "k d_model"]:
    """Return k <= ``n_directions`` unit directions: ``dim`` has only one to give, and equal populations none.

    ``svd`` and ``whitened_svd`` compare row i of H with row i of S; where these are no pairs, with the mean of S.

    Raises:
        ValueError: pairs are compared, and there are not as many harmful as harmless rows.
    """
    vectors = extraction(method)(harmful, harmless, n_directions, is_paired)
    return orient(unit_rows(vectors, scale=float(harmful.norm(dim=1).mean())), harmful, harmless)


def unit_rows(x: Float[Tensor, "k d_model"], *, scale: float) -> Float[Tensor, "kept d_model"]:
    """Scale rows to length 1, dropping those negligible beside ``scale``: a zero vector has no direction."""
    length = x.norm(dim=1, keepdim=True)
    kept = length.squeeze(1) > NEGLIGIBLE * scale
    return x[kept] / length[kept]


def orient(
    directions: Float[Tensor, "k d_model"],
    harmful: Float[Tensor, "n_harmful d_model"],
    harmless: Float[Tensor, "n_harmless d_model"],
) -> Float[Tensor, "k d_model"]:
    """Flip the directions whose harmful mean projection is the smaller: a singular vector's sign is arbitrary."""
    gap = directions @ (harmful.mean(dim=0) - harmless.mean(dim=0))
    return torch.where((gap < 0).unsqueeze(1), -directions, directions)


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
