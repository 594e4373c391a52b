"""What extractions are made of: differences of two populations, and the main axes of what varies."""

from __future__ import annotations

import torch
from jaxtyping import Float
from sklearn.covariance import ledoit_wolf
from torch import Tensor

NEGLIGIBLE = 1e-6  # a vector shorter than this share of its source is rounding, not a direction


def difference(
    harmful: Float[Tensor, "n_harmful d_model"], harmless: Float[Tensor, "n_harmless d_model"], *, is_paired: bool
) -> Float[Tensor, "n_harmful d_model"]:
    """H - S row by row, or H - mean(S) where rows are no pairs.

    Raises:
        ValueError: pairs are compared, and there are not as many harmful as harmless rows.
    """
    if is_paired and len(harmful) != len(harmless):
        raise ValueError(f"expected pairs, found {len(harmful)} harmful and {len(harmless)} harmless rows")
    return harmful - harmless if is_paired else harmful - harmless.mean(dim=0)


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
