"""From activations to ranked directions: extract at a layer, measure separability and entanglement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from saber.method.contrast import contrasted, without_part
from saber.method.entanglement import capability_basis, entanglement
from saber.method.extraction import extract, winsorised
from saber.method.purification import remove_subspace, shared_basis
from saber.options.ranking_options import RankingOptions
from saber.types import Activations, Direction, RankedDirection

Extractor = Callable[[Tensor, Tensor], Float[Tensor, "k d_model"]]


@dataclass(frozen=True, eq=False)
class Ranking:
    """What activations say of layers: every layer's ratio; of those ranked the directions in extraction order and the
    capability basis.
    """

    layer_fdr: Float[Tensor, " layer"]
    directions: Mapping[int, tuple[RankedDirection, ...]]
    capability_bases: Mapping[int, Float[Tensor, "d_model q"]]

    def of_layers(self, layers: Sequence[int]) -> tuple[RankedDirection, ...]:
        """All directions of some layers."""
        return tuple(direction for layer in layers for direction in self.directions[layer])


def rank(
    activations: Activations,
    options: RankingOptions,
    *,
    layers: Callable[[Float[Tensor, " layer"]], Sequence[int]] | None = None,
) -> Ranking:
    """Rank the directions of every layer, or of those that ``layers`` gives for the layers' Fisher ratios."""
    activations = winsorised(activations, options.winsorise)
    between = contrasted(activations, options.contrast)
    extractor = partial(
        extract, method=options.extraction, n_directions=options.n_directions, is_paired=between.is_paired
    )
    layer_fdr = layer_fisher_ratio(between.refused, between.answered)
    directions: dict[int, tuple[RankedDirection, ...]] = {}
    bases: dict[int, Tensor] = {}
    for layer in range(activations.n_layers) if layers is None else layers(layer_fdr):
        harmless, capability = activations.harmless[layer], activations.capability[layer]
        shared = shared_basis(harmless, capability, purify=options.purify, rank=options.purify_rank)
        clean_r, clean_a = (remove_subspace(x[layer], shared) for x in (between.refused, between.answered))
        if options.contrast == "false_refusal":
            apart = activations.harmful[layer].mean(dim=0) - harmless.mean(dim=0)
            (true,) = remove_subspace(apart.unsqueeze(0), shared)
            clean_r, clean_a = (without_part(x, true, options.outside_refusal) for x in (clean_r, clean_a))
        vectors = extractor(clean_r, clean_a)
        if options.fdr_folds > 1:
            ratios = cross_validated_fisher_ratios(
                clean_r, clean_a, extractor=extractor, n_directions=len(vectors), folds=options.fdr_folds
            )
        else:
            ratios = fisher_ratios(clean_r, clean_a, vectors)
        bases[layer] = capability_basis(capability, n_directions=options.n_capability_directions)
        rho = entanglement(vectors, bases[layer])
        directions[layer] = tuple(
            RankedDirection(Direction(layer, i, vector), float(ratios[i]), float(rho[i]))
            for i, vector in enumerate(vectors)
        )
    return Ranking(layer_fdr, directions, bases)


def layers_around(position: float, n_layers: int) -> tuple[int, int, float]:
    """The layers below and above ``position``, a share of depth, and the share of the way from one to the other."""
    exact = position * (n_layers - 1)
    lower = int(exact)
    return lower, min(lower + 1, n_layers - 1), exact - lower


def interpolate_layers(ranking: Ranking, position: float) -> tuple[RankedDirection, ...]:
    """Directions between the two layers around ``position`` (a share of depth), index by index.

    r = (1 - t) r_a + t r_b, scaled to length 1; ratio and entanglement alike. This is Heretic's ``global`` scope.
    """
    lower, upper, t = layers_around(position, len(ranking.layer_fdr))
    between: list[RankedDirection] = []
    for a, b in zip(ranking.directions[lower], ranking.directions[upper], strict=False):
        mixed = torch.lerp(a.direction.vector, b.direction.vector, t)
        between.append(
            RankedDirection(
                Direction(round(lower + t), a.direction.index, mixed / mixed.norm()),
                (1 - t) * a.fisher_ratio + t * b.fisher_ratio,
                (1 - t) * a.entanglement + t * b.entanglement,
            )
        )
    return tuple(between)


def fisher_ratios(
    harmful: Float[Tensor, "n_harmful d_model"],
    harmless: Float[Tensor, "n_harmless d_model"],
    directions: Float[Tensor, "k d_model"],
) -> Float[Tensor, " k"]:
    """Fisher discriminant ratio (mean(Hr) - mean(Sr))^2 / (var(Hr) + var(Sr)), sample variances.

    Where nothing varies, a gap is infinitely separable and no gap is not separable at all.
    """
    projected_h, projected_s = harmful @ directions.T, harmless @ directions.T
    gap = (projected_h.mean(dim=0) - projected_s.mean(dim=0)).square()
    return safe_ratio(gap, projected_h.var(dim=0) + projected_s.var(dim=0))


def layer_fisher_ratio(
    harmful: Float[Tensor, "*layer n_harmful d_model"], harmless: Float[Tensor, "*layer n_harmless d_model"]
) -> Float[Tensor, "*layer"]:
    """The same ratio in d dimensions: |mu_H - mu_S|^2 / (tr Sigma_H + tr Sigma_S)."""
    gap = (harmful.mean(dim=-2) - harmless.mean(dim=-2)).square().sum(dim=-1)
    return safe_ratio(gap, harmful.var(dim=-2).sum(dim=-1) + harmless.var(dim=-2).sum(dim=-1))


def residual_refusal(
    harmful: Float[Tensor, "layer n_harmful d_model"],
    harmless: Float[Tensor, "layer n_harmless d_model"],
    edited: Sequence[int],
) -> float:
    """The seed's residual proxy: mean layer Fisher ratio over the edited layers, or over all, after the edit."""
    layers = list(edited) or list(range(len(harmful)))
    return float(layer_fisher_ratio(harmful[layers], harmless[layers]).mean())


def cross_validated_fisher_ratios(
    harmful: Float[Tensor, "n_harmful d_model"],
    harmless: Float[Tensor, "n_harmless d_model"],
    *,
    extractor: Extractor,
    n_directions: int,
    folds: int,
) -> Float[Tensor, " n_directions"]:
    """Mean over folds of the held-out ratio of the i-th direction extracted from the other folds.

    A direction that a fold does not have scores 0 there. Row i belongs to fold ``i % folds``, so twins stay together.

    Raises:
        ValueError: a fold would hold fewer than two prompts of a class.
    """
    if min(len(harmful), len(harmless)) < 2 * folds:
        raise ValueError(f"expected at least {2 * folds} prompts a class for {folds} folds")
    total = harmful.new_zeros(n_directions)
    fold_h = torch.arange(len(harmful), device=harmful.device) % folds
    fold_s = torch.arange(len(harmless), device=harmful.device) % folds
    for fold in range(folds):
        vectors = extractor(harmful[fold_h != fold], harmless[fold_s != fold])[:n_directions]
        total[: len(vectors)] += fisher_ratios(harmful[fold_h == fold], harmless[fold_s == fold], vectors)
    return total / folds


def safe_ratio(gap: Tensor, spread: Tensor) -> Tensor:
    """Gap / spread with 0/0 = 0, as identical points are not separable; gap/0 is inf."""
    return torch.where(gap == 0, torch.zeros_like(gap), gap / spread)
