"""Drift: how far an edited model's next-token distribution is from its base model's, in nats."""

from __future__ import annotations

import math
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor


class DriftProfile(TypedDict):
    """How drift is spread over prompts, in nats; ``worst_share`` is the worst prompt's part of the sum."""

    mean: float
    median: float
    p95: float
    max: float
    worst_index: int
    worst_share: float


def kl_divergence_nats(
    base_logits: Float[Tensor, "*#axes vocab"], edited_logits: Float[Tensor, "*#axes vocab"]
) -> Float[Tensor, "*#axes"]:
    """KL(P_base || P_edited) = sum_v P_base(v) (ln P_base(v) - ln P_edited(v)) in nats, full vocabulary.

    The softmax is taken in fp32 whatever the logits' dtype; log-probabilities will do as logits, and leading
    axes broadcast, so one cached base serves many trials. A token that the base gives no mass in fp32
    (suppressed, padded) adds 0 even where both logits are -inf. A token with mass in the base and none in the
    edited model makes the divergence +inf. NaN logits give NaN, never a small drift.

    Raises:
        ValueError: the vocabularies differ in size.
    """
    if base_logits.shape[-1] != edited_logits.shape[-1]:
        sizes = base_logits.shape[-1], edited_logits.shape[-1]
        raise ValueError(f"expected one vocabulary, found {sizes[0]} base and {sizes[1]} edited logits")
    log_p = base_logits.float().log_softmax(dim=-1)
    log_q = edited_logits.float().log_softmax(dim=-1)
    p = log_p.exp()
    terms = torch.where(p == 0, 0.0, p * (log_p - log_q))
    return terms.sum(dim=-1).clamp(min=0.0)  # only rounding can make it negative


def drift_profile(per_prompt: Float[Tensor, " prompt"]) -> DriftProfile:
    """Mean, median, p95 and max over prompts in nats, and how much of the sum the worst prompt supplies.

    p95 is the smallest drift that at least 95% of the prompts do not exceed. Of equal worst prompts the first
    is named. The share is in [0, 1]: 0 where nothing drifted, 1 where the worst drift is infinite.

    Raises:
        ValueError: there is no prompt, or a drift is negative or NaN.
    """
    if len(per_prompt) == 0 or not bool((per_prompt >= 0).all()):
        raise ValueError(f"expected drifts >= 0 of at least one prompt, found {per_prompt.tolist()}")
    drifts = per_prompt.double()
    ordered = drifts.sort().values.tolist()
    n, total, worst = len(ordered), math.fsum(ordered), ordered[-1]
    return DriftProfile(
        mean=total / n,
        median=(ordered[(n - 1) // 2] + ordered[n // 2]) / 2,
        p95=ordered[-(-95 * n // 100) - 1],
        max=worst,
        worst_index=int(drifts.argmax()),
        worst_share=1.0 if math.isinf(worst) else worst / total if total > 0 else 0.0,
    )
