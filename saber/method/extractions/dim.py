"""``dim``: the difference in means mu_H - mu_S (Arditi et al. 2024)."""

from __future__ import annotations

from torch import Tensor


def directions(harmful: Tensor, harmless: Tensor, _n_directions: int, _is_paired: bool) -> Tensor:
    """The one that there is."""
    return (harmful.mean(dim=0) - harmless.mean(dim=0)).unsqueeze(0)
