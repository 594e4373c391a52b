"""Two models on the same prompts: what sets them apart, and how likely one is to beat the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest

from saber.scoring.pareto import Goal
from saber.scoring.statistics import CONFIDENCE, paired_bootstrap_difference
from saber.types import Estimate


@dataclass(frozen=True)
class PairedDifference:
    """The mean of a - b with its paired bootstrap interval, and for 0/1 outcomes the exact sign test's p."""

    estimate: Estimate
    p_exact: float | None

    @property
    def is_distinct(self) -> bool:
        """Whether the two can be told apart: by the sign test where there is one, else by an interval without 0."""
        if self.p_exact is not None:
            return self.p_exact < 1 - CONFIDENCE
        return self.estimate.low > 0 or self.estimate.high < 0


def paired_difference(
    a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"], *, n_resamples: int, seed: int
) -> PairedDifference:
    """The difference of two models' outcomes on the same prompts, in the outcomes' unit.

    Outcomes that are all 0 or 1 are judged by the exact sign test on the prompts where the two differ (McNemar 1947):
    with few of those, a bootstrap interval leaves out 0 too easily.

    Raises:
        ValueError: what ``paired_bootstrap_difference`` refuses.
    """
    difference = paired_bootstrap_difference(a, b, n_resamples=n_resamples, seed=seed)
    is_binary = _is_binary(a) and _is_binary(b)
    return PairedDifference(difference, sign_test(a, b) if is_binary else None)


def sign_test(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Two-sided p of as uneven a split of the prompts where two models' 0/1 outcomes differ; 1 where they never do.

    Raises:
        ValueError: they are not of equally many prompts, or not all 0 or 1.
    """
    if len(a) != len(b) or not (_is_binary(a) and _is_binary(b)):
        raise ValueError(f"expected outcomes of 0 or 1 on the same prompts, found {len(a)} and {len(b)} of them")
    n_more, n_less = int((a > b).sum()), int((a < b).sum())
    return float(binomtest(n_more, n_more + n_less).pvalue) if n_more + n_less else 1.0


def _is_binary(outcomes: Float[np.ndarray, " n"]) -> bool:
    return bool(np.isin(outcomes, (0, 1)).all())


def probability_of_dominance(
    a: Sequence[Float[np.ndarray, " _"]],
    b: Sequence[Float[np.ndarray, " _"]],
    goals: Sequence[Goal],
    *,
    n_resamples: int,
    seed: int,
) -> float:
    """Share of resamples of the prompts in which ``a`` is as good as ``b`` in every objective and better in one.

    ``a[k]`` and ``b[k]`` are outcomes on the same prompts, whose means are objective k; they are resampled together,
    objective by objective.

    Raises:
        ValueError: the two have not the same objectives on the same numbers of prompts, or a value is not finite.
    """
    sizes = [len(values) for values in a], [len(values) for values in b]
    if sizes[0] != sizes[1] or len(goals) != len(a) or 0 in sizes[0] or not sizes[0]:
        raise ValueError(f"expected pairs of outcomes for {len(goals)} objectives, found {sizes[0]} and {sizes[1]}")
    if not all(np.isfinite(values).all() for values in (*a, *b)):
        raise ValueError("expected finite outcomes")
    rng = np.random.default_rng(seed)
    gains = np.empty((len(goals), n_resamples))
    for k, (ours, theirs, goal) in enumerate(zip(a, b, goals, strict=True)):
        gain = theirs - ours if goal == "minimize" else ours - theirs
        gains[k] = gain[rng.integers(len(gain), size=(n_resamples, len(gain)))].mean(axis=1)
    return float(((gains >= 0).all(axis=0) & (gains > 0).any(axis=0)).mean())
