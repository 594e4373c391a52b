"""``svd``: the right singular vectors of the paired difference H - S."""

from __future__ import annotations

from torch import Tensor

from saber.method.differences import difference, top_right_singular


def directions(harmful: Tensor, harmless: Tensor, n_directions: int, is_paired: bool) -> Tensor:
    """The ``n_directions`` along which the differences vary most."""
    return top_right_singular(difference(harmful, harmless, is_paired=is_paired), n_directions)
