"""``whitened_svd``: ``svd`` where what varies within the classes is white (ZCA with Ledoit-Wolf shrinkage)."""

from __future__ import annotations

import torch
from torch import Tensor

from saber.method.differences import difference, top_right_singular, within_covariance


def directions(harmful: Tensor, harmless: Tensor, n_directions: int, is_paired: bool) -> Tensor:
    """Right singular vectors of (H - S) Sigma^-1/2, carried back by Sigma^1/2."""
    apart = difference(harmful, harmless, is_paired=is_paired)
    values, vectors = torch.linalg.eigh(within_covariance(harmful, harmless))
    whiten = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    colour = vectors @ torch.diag(values.sqrt()) @ vectors.T
    top = top_right_singular(apart.double() @ whiten, n_directions)
    return (top @ colour).to(apart.dtype)
