"""One number per trial, as the seed's local sweep ranked them: refusals, then drift, then mismatch."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

DRIFT_WEIGHT = 0.12
MISMATCH_WEIGHT = 0.08


def score(*, refusal_rate: float, kld_nats: float, residual_scaled: float) -> float:
    """refusal_rate + 0.12 ln(1 + kld) + 0.08 max(0, refusal_rate - (1 - residual_scaled)), lower is better.

    ``refusal_rate`` and ``residual_scaled`` are in [0, 1], ``kld_nats`` >= 0. The last term bites only where
    refusals and residual are both high. The seed's aggressive point, no refusal at a divergence published as
    0.4327, has score 0.0432: right for 0.43274, which rounds to 0.4327 (at 0.4327 itself it is 0.04315).

    Raises:
        ValueError: an argument is outside its range, or NaN.
    """
    if not (0 <= refusal_rate <= 1 and 0 <= residual_scaled <= 1 and kld_nats >= 0):
        found = f"{refusal_rate}, {residual_scaled} and {kld_nats}"
        raise ValueError(f"expected refusal rate and scaled residual in [0, 1] and KL >= 0, found {found}")
    mismatch = max(0.0, refusal_rate - (1.0 - residual_scaled))
    return refusal_rate + DRIFT_WEIGHT * math.log1p(kld_nats) + MISMATCH_WEIGHT * mismatch


def scale_to_unit(values: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
    """(v - min) / (max - min) over the first axis, in [0, 1]; 0 where all values are equal.

    Raises:
        ValueError: a value is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite values to scale, found {values.tolist()}")
    if len(values) == 0:
        return values.copy()
    lowest = values.min(axis=0)
    span = values.max(axis=0) - lowest
    scaled: Float[np.ndarray, "n ..."] = (values - lowest) / np.where(span > 0, span, 1.0)
    return scaled
