"""Refine: when to stop adding rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from saber.options.refinement_options import RefinementOptions

StopReason = Literal["max_iterations", "tolerance", "stable", "patience"]


@dataclass(frozen=True, eq=False)
class RoundOutcome:
    """A finished round: its leading direction, and the residual proxy of the model edited so far."""

    leading: Float[Tensor, " d_model"]
    residual: float


def stop_reason(outcomes: Sequence[RoundOutcome], options: RefinementOptions) -> StopReason | None:
    """Say why refinement ends after these rounds, or ``None`` to go on.

    ``tolerance``: the residual proxy is under it. ``stable``: the last two leading directions have
    |cos| > stable_cosine, so another round would find what this one left.
    ``patience``: the residual's best is that many rounds old.
    """
    if not outcomes:
        return None
    residuals = [outcome.residual for outcome in outcomes]
    if residuals[-1] < options.tolerance:
        return "tolerance"
    if len(outcomes) >= options.max_iterations:
        return "max_iterations"
    if len(outcomes) > 1:
        cosine = float((outcomes[-1].leading @ outcomes[-2].leading).abs())
        if cosine > options.stable_cosine:
            return "stable"
    if len(outcomes) - 1 - residuals.index(min(residuals)) >= options.patience:
        return "patience"
    return None
