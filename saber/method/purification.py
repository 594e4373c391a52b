"""Purify: take out of the activations what harmless prompts share, before directions are looked for.

A refusal direction that leans on the mean of harmless prompts drags that mean along when it is removed
(Lai 2025, projected abliteration). Both populations are projected, so their difference is too.
"""

from __future__ import annotations

from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from saber.vocabulary import Purification


def shared_basis(
    harmless: Float[Tensor, "n_harmless d_model"],
    capability: Float[Tensor, "n_capability d_model"],
    *,
    purify: Purification,
    rank: int,
) -> Float[Tensor, "d_model q"]:
    """Orthonormal basis Q of what is protected: nothing, the harmless mean, or the top right singular vectors.

    ``subspace``: the first ``rank`` right singular vectors of the uncentred stack [S; C].
    """
    if purify == "none":
        return harmless.new_zeros(harmless.shape[1], 0)
    if purify == "harmless_mean":
        mean = harmless.mean(dim=0)
        unit: Tensor = (mean / mean.norm()).unsqueeze(1)
        return unit
    if purify == "subspace":
        _, _, right = torch.linalg.svd(torch.cat([harmless, capability]), full_matrices=False)
        basis: Tensor = right[:rank].T.contiguous()
        return basis
    assert_never(purify)


def remove_subspace(
    x: Float[Tensor, "n d_model"], basis: Float[Tensor, "d_model q"], share: float = 1.0
) -> Float[Tensor, "n d_model"]:
    """Take a share of a subspace out of rows: x (I - share Q Q^T), wholly the projection onto its complement."""
    return x - share * (x @ basis) @ basis.T
