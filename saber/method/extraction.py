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

import torch
from jaxtyping import Float
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from saber.types import Activations
from saber.vocabulary import Extraction

NEGLIGIBLE = 1e-6  # a vector shorter than this share of its source is rounding, not a direction


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
    if is_paired and method in ("svd", "whitened_svd") and len(harmful) != len(harmless):
        raise ValueError(f"expected pairs, found {len(harmful)} harmful and {len(harmless)} harmless rows")
    vectors = EXTRACTIONS[method](harmful, harmless, n_directions, is_paired)
    return orient(unit_rows(vectors, scale=float(harmful.norm(dim=1).mean())), harmful, harmless)


def _svd(harmful: Tensor, harmless: Tensor, n_directions: int, is_paired: bool) -> Tensor:
    return top_right_singular(difference(harmful, harmless, is_paired=is_paired), n_directions)


def _dim(harmful: Tensor, harmless: Tensor, _n_directions: int, _is_paired: bool) -> Tensor:
    return (harmful.mean(dim=0) - harmless.mean(dim=0)).unsqueeze(0)


def _lda(harmful: Tensor, harmless: Tensor, n_directions: int, _is_paired: bool) -> Tensor:
    return discriminants(harmful, harmless, n_directions)


def _whitened_svd(harmful: Tensor, harmless: Tensor, n_directions: int, is_paired: bool) -> Tensor:
    within = within_covariance(harmful, harmless)
    return whitened_svd(difference(harmful, harmless, is_paired=is_paired), within, n_directions)


def difference(
    harmful: Float[Tensor, "n_harmful d_model"], harmless: Float[Tensor, "n_harmless d_model"], *, is_paired: bool
) -> Float[Tensor, "n_harmful d_model"]:
    """H - S row by row, or H - mean(S) where rows are no pairs."""
    return harmful - harmless if is_paired else harmful - harmless.mean(dim=0)


def discriminants(
    harmful: Float[Tensor, "n_harmful d_model"],
    harmless: Float[Tensor, "n_harmless d_model"],
    n_directions: int,
) -> Float[Tensor, "k d_model"]:
    """Fisher's discriminant S_w^-1 (mu_H - mu_S), then the best ones orthogonal to those found before.

    The later ones solve the same problem inside the orthogonal complement of the earlier (Foley and Sammon 1975);
    where S_w is a multiple of I the first is the difference in means itself, and there is no second.
    S_w is the pooled within-class covariance, shrunk by Ledoit and Wolf (2004), as n << d.
    """
    within = within_covariance(harmful, harmless)
    gap = harmful.mean(dim=0).double() - harmless.mean(dim=0).double()
    complement = torch.eye(len(gap), dtype=torch.float64, device=gap.device)
    directions: list[Tensor] = []
    for _ in range(min(n_directions, len(gap))):
        left = complement.T @ gap
        if left.norm() <= NEGLIGIBLE * gap.norm():
            break
        step = complement @ torch.linalg.solve(complement.T @ within @ complement, left)
        directions.append(step / step.norm())
        complement = orthogonal_complement(torch.stack(directions, dim=1))
    return torch.stack(directions).to(harmful.dtype) if directions else harmful.new_zeros(0, harmful.shape[1])


def whitened_svd(
    difference: Float[Tensor, "n d_model"], within: Float[Tensor, "d_model d_model"], n_directions: int
) -> Float[Tensor, "k d_model"]:
    """SVD of (H - S) Sigma^-1/2, its vectors carried back by Sigma^1/2 (ZCA with Ledoit-Wolf shrinkage)."""
    values, vectors = torch.linalg.eigh(within)
    whiten = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    colour = vectors @ torch.diag(values.sqrt()) @ vectors.T
    top = top_right_singular(difference.double() @ whiten, n_directions)
    return (top @ colour).to(difference.dtype)


def within_covariance(
    harmful: Float[Tensor, "n_harmful d_model"], harmless: Float[Tensor, "n_harmless d_model"]
) -> Float[Tensor, "d_model d_model"]:
    """Pooled covariance around each class's own mean, float64, with Ledoit-Wolf shrinkage: always invertible."""
    centred = torch.cat([harmful - harmful.mean(dim=0), harmless - harmless.mean(dim=0)])
    shrunk, _ = ledoit_wolf(centred.double().cpu().numpy(), assume_centered=True)
    return torch.from_numpy(shrunk).to(harmful.device)


def top_right_singular(x: Float[Tensor, "n d_model"], k: int) -> Float[Tensor, "k d_model"]:
    """The first k right singular vectors of x by falling singular value, those of negligible value left out."""
    _, values, right = torch.linalg.svd(x, full_matrices=False)
    kept = int((values > NEGLIGIBLE * values[0]).sum()) if len(values) else 0
    return right[: min(k, kept)]


def orthogonal_complement(basis: Float[Tensor, "d_model k"]) -> Float[Tensor, "d_model rest"]:
    """Orthonormal columns spanning everything orthogonal to the columns of ``basis``."""
    full, _ = torch.linalg.qr(basis, mode="complete")
    return full[:, basis.shape[1] :]


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


# Each takes (H, S, how many directions, whether rows are pairs); what it returns need be neither unit nor oriented.
EXTRACTIONS: dict[Extraction, Callable[[Tensor, Tensor, int, bool], Tensor]] = {
    "svd": _svd,
    "dim": _dim,
    "lda": _lda,
    "whitened_svd": _whitened_svd,
}


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
