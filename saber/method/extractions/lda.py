"""``lda``: Fisher's discriminant, and the next best ones orthogonal to it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from saber.method.differences import NEGLIGIBLE, within_covariance


def directions(
    harmful: Float[Tensor, "n_harmful d_model"],
    harmless: Float[Tensor, "n_harmless d_model"],
    n_directions: int,
    _is_paired: bool,
) -> Float[Tensor, "k d_model"]:
    """Fisher's discriminant S_w^-1 (mu_H - mu_S), then the best ones orthogonal to those found before.

    The later ones solve the same problem inside the orthogonal complement of the earlier (Foley and Sammon 1975);
    where S_w is a multiple of I the first is the difference in means itself, and there is no second.
    S_w is the pooled within-class covariance, shrunk by Ledoit and Wolf (2004), as n << d.
    """
    within = within_covariance(harmful, harmless)
    gap = harmful.mean(dim=0).double() - harmless.mean(dim=0).double()
    complement = torch.eye(len(gap), dtype=torch.float64, device=gap.device)
    vectors: list[Tensor] = []
    for _ in range(min(n_directions, len(gap))):
        left = complement.T @ gap
        if left.norm() <= NEGLIGIBLE * gap.norm():
            break
        step = complement @ torch.linalg.solve(complement.T @ within @ complement, left)
        vectors.append(step / step.norm())
        complement = orthogonal_complement(torch.stack(vectors, dim=1))
    return torch.stack(vectors).to(harmful.dtype) if vectors else harmful.new_zeros(0, harmful.shape[1])


def orthogonal_complement(basis: Float[Tensor, "d_model k"]) -> Float[Tensor, "d_model rest"]:
    """Orthonormal columns spanning everything orthogonal to the columns of ``basis``."""
    full, _ = torch.linalg.qr(basis, mode="complete")
    return full[:, basis.shape[1] :]
