"""Select: first the candidate layers by their separability, then the best directions of all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from saber.options.selection_options import SelectionOptions
from saber.types import RankedDirection
from saber.vocabulary import LayerStrategy


def layers_in_band(n_layers: int, low: float, high: float) -> list[int]:
    """Layers whose depth l / (n_layers - 1) lies in [low, high]; the nearest one if the band is too narrow."""
    last = max(n_layers - 1, 1)
    inside = [layer for layer in range(n_layers) if low <= layer / last <= high]
    return inside or [round((low + high) / 2 * last)]


def candidate_layers(layer_fdr: Float[Tensor, " layer"], options: SelectionOptions) -> list[int]:
    """Layers of the depth band kept by their Fisher ratio, ascending; never none: the best one stays."""
    band = layers_in_band(len(layer_fdr), options.depth_band.low, options.depth_band.high)
    inside = layer_fdr[band].cpu()
    by_ratio = [band[i] for i in torch.argsort(inside, descending=True, stable=True).tolist()]
    kept = SELECTIONS[options.layer_strategy](inside, options)
    return sorted(by_ratio[: max(kept, 1)])


# How many of the best layers of a band are kept, for their Fisher ratios.
SELECTIONS: dict[LayerStrategy, Callable[[Tensor, SelectionOptions], int]] = {
    "all": lambda ratios, _: len(ratios),
    "top_k": lambda _, options: options.layer_top_k,
    "threshold": lambda ratios, options: int((ratios >= options.layer_threshold).sum()),
    "percentile": lambda ratios, options: int(
        (ratios >= torch.quantile(ratios, options.layer_percentile / 100.0)).sum()
    ),
    "elbow": lambda ratios, _: elbow(sorted(ratios.tolist(), reverse=True)),
}


def elbow(falling: Sequence[float]) -> int:
    """How many values stand before the point farthest below the chord of a falling curve; all if it has no bend."""
    if len(falling) < 3 or falling[0] == falling[-1]:
        return len(falling)
    slope = (falling[-1] - falling[0]) / (len(falling) - 1)
    below = [falling[0] + slope * i - value for i, value in enumerate(falling)]
    return below.index(max(below)) or len(falling)


def best_directions(ranked: Sequence[RankedDirection], k: int) -> tuple[RankedDirection, ...]:
    """The ``k`` best by Fisher ratio x purity, best first; ties by layer, then index."""
    order = sorted(
        ranked,
        key=lambda row: (-_finite(row.score), row.direction.layer, row.direction.index),
    )
    return tuple(order[:k])


def _finite(score: float) -> float:
    """An infinite ratio of zero purity is NaN: it ranks last, since nothing of it is pure."""
    return -math.inf if math.isnan(score) else score
