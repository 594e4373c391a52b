"""The frontier: which points no other point beats, how much space they cover, and one score for each trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

Goal = Literal["minimize", "maximize"]
DRIFT_WEIGHT = 0.12
MISMATCH_WEIGHT = 0.08


def pareto_mask(values: Float[np.ndarray, "n m"], directions: Sequence[Goal]) -> Bool[np.ndarray, " n"]:
    """Which points are not dominated: no other is as good in every objective and better in one.

    Exact duplicates do not dominate each other, so all copies of a non-dominated point are kept.

    Raises:
        ValueError: a value is NaN, or there is not one direction, minimize or maximize, per objective.
    """
    if len(directions) != values.shape[1] or not set(directions) <= {"minimize", "maximize"}:
        raise ValueError(f"expected {values.shape[1]} of minimize or maximize, found {list(directions)}")
    if np.isnan(values).any():
        raise ValueError("expected objectives without NaN")
    costs = values * np.array([1.0 if direction == "minimize" else -1.0 for direction in directions])
    kept = np.ones(len(costs), dtype=bool)
    for i in np.lexsort(costs.T[::-1]):  # what dominates a point comes before it, so one look a front point is enough
        if kept[i]:
            kept &= ~((costs >= costs[i]).all(axis=1) & (costs > costs[i]).any(axis=1))
    return kept


def is_beaten(cost: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """Whether another is as good in every objective and better in one, all minimised, as in `pareto_mask`."""
    return any(
        all(a <= b for a, b in zip(other, cost, strict=True)) and any(a < b for a, b in zip(other, cost, strict=True))
        for other in others
    )


def hypervolume(values: Float[np.ndarray, "n m"], reference: Float[np.ndarray, " m"]) -> float:
    """Exact volume between the points and the reference, all objectives minimised, m = 2 or 3.

    Points at the reference or beyond it in any objective add nothing. Three objectives are swept along the
    last: it is a sum of slices, each the area of the points met so far times the distance to the next.

    Raises:
        ValueError: m is neither 2 nor 3 or differs between the two, a value is NaN or -inf, or the reference
            is not finite.
    """
    m = values.shape[1]
    if m not in (2, 3) or reference.shape != (m,):
        raise ValueError(f"expected 2 or 3 objectives and a reference, found {values.shape}, {reference.shape}")
    if not (np.isfinite(reference).all() and (values > -np.inf).all()):
        raise ValueError("expected a finite reference and values that are neither NaN nor -inf")
    inside = values[(values < reference).all(axis=1)]
    if m == 2:
        return _area(inside, reference)
    inside = inside[np.argsort(inside[:, 2])]
    depths = np.diff(inside[:, 2], append=reference[2])
    return float(sum(depth * _area(inside[: i + 1, :2], reference[:2]) for i, depth in enumerate(depths)))


def hypervolume_shares(values: Float[np.ndarray, "n m"], reference: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """What the front's hypervolume would lose without each point, as a share of it, in [0, 1].

    Dominated points are no part of the front: their share is 0, and they do not step in for a missing one.
    Exact duplicates have share 0, as without one of them nothing is lost. All are 0 where the volume is 0.

    Raises:
        ValueError: as ``hypervolume``.
    """
    shares = np.zeros(len(values))
    total = hypervolume(values, reference)
    if total == 0.0:
        return shares
    front = np.flatnonzero(pareto_mask(values, ["minimize"] * values.shape[1]))
    points, first, copies = np.unique(values[front], axis=0, return_index=True, return_counts=True)
    for i in np.flatnonzero(copies == 1):
        loss = total - hypervolume(np.delete(points, i, axis=0), reference)
        shares[front[first[i]]] = max(0.0, loss / total)  # only rounding can make it negative
    return shares


def _area(inside: Float[np.ndarray, "n 2"], reference: Float[np.ndarray, " 2"]) -> float:
    """Area under the staircase of points that are all inside the reference."""
    x, y = inside[np.argsort(inside[:, 0])].T
    widths = np.diff(x, append=reference[0])
    return float((widths * (reference[1] - np.minimum.accumulate(y))).sum())


def score(*, refusal_rate: float, kld_nats: float, residual_scaled: float) -> float:
    """refusal_rate + 0.12 ln(1 + kld) + 0.08 max(0, refusal_rate - (1 - residual_scaled)), lower is better.

    ``refusal_rate`` and ``residual_scaled`` are in [0, 1], ``kld_nats`` >= 0. The last term bites only where
    refusals and residual are both high. The seed's aggressive point, no refusal at a divergence published as
    0.4327, has score 0.0432: right for 0.43274, which rounds to 0.4327 (at 0.4327 itself it is 0.04315).

    Raises:
        ValueError: an argument is outside its range, or NaN.
    """
    if not (0 <= refusal_rate <= 1 and 0 <= residual_scaled <= 1 and kld_nats >= 0):
        given = f"{refusal_rate}, {residual_scaled} and {kld_nats}"
        raise ValueError(f"expected refusal rate and scaled residual in [0, 1] and KL >= 0, found {given}")
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
