"""From activations to ranked directions: extract in every layer, measure separability and entanglement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from saber.method.contrast import Contrast, contrasted, without_part
from saber.method.entanglement import capability_basis, entanglement
from saber.method.extraction import Extraction, extract
from saber.method.purification import Purification, remove_subspace, shared_basis
from saber.method.separability import (
    cross_validated_fisher_ratios,
    fisher_ratios,
    layer_fisher_ratio,
)
from saber.types import Activations, Direction, RankedDirection


@dataclass(frozen=True, eq=False)
class Ranking:
    """What activations say of each layer: its ratio, its directions in extraction order, its capability basis."""

    layer_fdr: Float[Tensor, " layer"]
    directions: tuple[tuple[RankedDirection, ...], ...]
    capability_bases: tuple[Float[Tensor, "d_model q"], ...]

    def of_layers(self, layers: list[int]) -> tuple[RankedDirection, ...]:
        """All directions of some layers."""
        return tuple(one for layer in layers for one in self.directions[layer])


def rank(
    activations: Activations,
    *,
    contrast: Contrast,
    outside_refusal: float,
    extraction: Extraction,
    n_directions: int,
    purify: Purification,
    purify_rank: int,
    folds: int,
    n_capability_directions: int,
) -> Ranking:
    """Rank every layer's directions; layer ``l`` of the activations is layer ``l`` of the result.

    ``outside_refusal`` is the share of the layer's true refusal direction taken out of both sides of a false refusal.
    """
    between = contrasted(activations, contrast)
    extractor = partial(extract, method=extraction, n_directions=n_directions, is_paired=between.is_paired)
    directions: list[tuple[RankedDirection, ...]] = []
    bases: list[Tensor] = []
    for layer in range(activations.n_layers):
        harmless, capability = activations.harmless[layer], activations.capability[layer]
        shared = shared_basis(harmless, capability, purify=purify, rank=purify_rank)
        clean_r, clean_a = (remove_subspace(x[layer], shared) for x in (between.refused, between.answered))
        if contrast == "false_refusal":
            apart = activations.harmful[layer].mean(dim=0) - harmless.mean(dim=0)
            (true,) = remove_subspace(apart.unsqueeze(0), shared)
            clean_r, clean_a = (without_part(x, true, outside_refusal) for x in (clean_r, clean_a))
        found = extractor(clean_r, clean_a)
        if folds > 1:
            ratios = cross_validated_fisher_ratios(
                clean_r, clean_a, extractor=extractor, n_directions=len(found), folds=folds
            )
        else:
            ratios = fisher_ratios(clean_r, clean_a, found)
        basis = capability_basis(capability, n_directions=n_capability_directions)
        rho = entanglement(found, basis)
        directions.append(
            tuple(
                RankedDirection(Direction(layer, i, vector), float(ratios[i]), float(rho[i]))
                for i, vector in enumerate(found)
            )
        )
        bases.append(basis)
    layer_fdr = layer_fisher_ratio(between.refused, between.answered)
    return Ranking(layer_fdr, tuple(directions), tuple(bases))


def interpolate_layers(ranking: Ranking, position: float) -> tuple[RankedDirection, ...]:
    """Directions between the two layers around ``position`` (a share of depth), index by index.

    r = (1 - t) r_a + t r_b, scaled to length 1; ratio and entanglement alike. This is Heretic's ``global`` scope.
    """
    exact = position * (len(ranking.directions) - 1)
    lower = int(exact)
    upper = min(lower + 1, len(ranking.directions) - 1)
    t = exact - lower
    between: list[RankedDirection] = []
    for a, b in zip(ranking.directions[lower], ranking.directions[upper], strict=False):
        mixed = torch.lerp(a.direction.vector, b.direction.vector, t)
        between.append(
            RankedDirection(
                Direction(round(exact), a.direction.index, mixed / mixed.norm()),
                (1 - t) * a.fisher_ratio + t * b.fisher_ratio,
                (1 - t) * a.entanglement + t * b.entanglement,
            )
        )
    return tuple(between)
