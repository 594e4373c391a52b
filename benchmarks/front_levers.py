"""Levers: the default sweep with one thing more, or done another way, to see whether it helps.

Each is the words that are put behind the sweep and what no word can say, as a control is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from control import Control
from torch import Tensor

from saber.lm.steps import Steps, rank_with
from saber.types import Activations

CLIPPED = 0.995  # the quantile of an activation's entries that winsorising keeps, as projected abliteration does
SMALLEST_TENT = "position: {low: 0.0, high: 1.0}, floor: {low: 0.0, high: 1.0}, half_width: {low: 0.1, high: 1.0}"
UNCHANGED = Control()


def unmatched_pairs(_seed: int = 0) -> Steps:
    """Pair each harmful probe with the harmless one of the next pair: the same prompts, no two about one thing."""
    return _seen_as(lambda seen: replace(seen, harmless=seen.harmless.roll(1, dims=1)))


def winsorised(_seed: int = 0) -> Steps:
    """Clip each activation's entries at a quantile of their size before directions are found."""

    def clipped(residuals: Tensor) -> Tensor:
        limit = torch.quantile(residuals.abs(), CLIPPED, dim=-1, keepdim=True)
        return residuals.clamp(-limit, limit)

    return _seen_as(
        lambda seen: replace(
            seen, harmful=clipped(seen.harmful), harmless=clipped(seen.harmless), capability=clipped(seen.capability)
        )
    )


def _seen_as(change: Callable[[Activations], Activations]) -> Steps:
    """What a trial ranks is changed before."""
    return Steps(rank=lambda seen, edit: rank_with(change(seen), edit))


LEVERS: Mapping[str, tuple[tuple[str, ...], Control]] = {
    "cross-validated": (("edit.fdr_folds=4",), UNCHANGED),
    "whitened": (("edit.extraction=whitened_svd",), UNCHANGED),
    "lda": ((), Control(fixed={"edit.extraction": "lda", "edit.n_directions": 1}, idle=("edit.global_top_k",))),
    "subspace": (("+space.edit.purify_rank={low: 1, high: 16}",), Control(fixed={"edit.purify": "subspace"})),
    "unmatched-pairs": ((), Control(steps=unmatched_pairs)),
    "winsorised": ((), Control(steps=winsorised)),
    "tents": (
        tuple(
            f"+space.edit.kernel.{kind}={{peak: {{low: 0.0, high: 1.5}}, {SMALLEST_TENT}}}"
            for kind in ("attention", "mlp", "per_layer")
        ),
        UNCHANGED,
    ),
    "decayed-rounds": (
        ("+space.edit.max_iterations={low: 1, high: 4}", "+space.edit.decay={low: 0.3, high: 1.0}"),
        UNCHANGED,
    ),
}
