"""Rank: how well a direction, or a whole layer, tells refused prompts from answered ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Extractor = Callable[[Tensor, Tensor], Float[Tensor, "k d_model"]]


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
        found = extractor(harmful[fold_h != fold], harmless[fold_s != fold])[:n_directions]
        total[: len(found)] += fisher_ratios(harmful[fold_h == fold], harmless[fold_s == fold], found)
    return total / folds


def safe_ratio(gap: Tensor, spread: Tensor) -> Tensor:
    """Gap / spread with 0/0 = 0, as identical points are not separable; gap/0 is inf."""
    return torch.where(gap == 0, torch.zeros_like(gap), gap / spread)
