"""Uncertainty: Wilson intervals of rates, bootstrap intervals of means, how many prompts a claim needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from saber.types import Estimate

CONFIDENCE = 0.95


def wilson_interval(successes: int, n: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson score interval of a rate, inside [0, 1] and around successes / n.

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), z the two-sided normal quantile.
    No success gives exactly 0 as its lower end, no failure exactly 1 as its upper (Wilson 1927).

    Raises:
        ValueError: ``n`` < 1, ``successes`` outside [0, n], or ``confidence`` outside (0, 1).
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n and n >= 1, found {successes} of {n}")
    z = _normal_quantile(confidence)
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = _wilson_half_width(p, n, z)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def rate(successes: int, n: int) -> Estimate:
    """The rate successes / n with its Wilson 95% interval.

    Raises:
        ValueError: ``n`` < 1, or ``successes`` outside [0, n].
    """
    low, high = wilson_interval(successes, n)
    return Estimate(value=successes / n, n=n, low=low, high=high)


def prompts_for_half_width(half_width: float, *, rate: float = 0.5, confidence: float = CONFIDENCE) -> int:
    """Smallest n whose Wilson interval around ``rate`` is at most ``half_width`` to each side of its centre.

    The half width falls with n and is w at n = z^2 (q + sqrt(q^2 + w^2 (1 - 4q))) / 2w^2 - z^2, q = p(1 - p).

    Raises:
        ValueError: ``half_width`` or ``confidence`` outside (0, 1), or ``rate`` outside [0, 1].
    """
    if not 0 < half_width < 1 or not 0 <= rate <= 1:
        raise ValueError(f"expected a half width in (0, 1) and a rate in [0, 1], found {half_width} and {rate}")
    z = _normal_quantile(confidence)
    q = rate * (1 - rate)
    root = z**2 * (q + math.sqrt(q**2 + half_width**2 * (1 - 4 * q))) / (2 * half_width**2) - z**2
    n = max(1, math.floor(root))
    while _wilson_half_width(rate, n, z) > half_width:  # at most once or twice: the root is exact but for rounding
        n += 1
    return n


def bootstrap_mean(
    values: Float[np.ndarray, " n"], *, n_resamples: int, seed: int, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean of ``values`` with its percentile bootstrap interval (Efron 1979), the same for the same seed.

    The ends are means of actual resamples (no interpolation), so an infinite value gives an infinite mean and
    never NaN. One value, or equal ones, give an interval of no width.

    Raises:
        ValueError: there is no value, a value is NaN or -inf, ``n_resamples`` < 1, or ``confidence`` outside
            (0, 1).
    """
    if len(values) == 0 or not bool((values > -math.inf).all()):
        raise ValueError(f"expected at least one value and none NaN or -inf, found {values.tolist()}")
    if n_resamples < 1 or not 0 < confidence < 1:
        raise ValueError(f"expected n_resamples >= 1 and a confidence in (0, 1), found {n_resamples}, {confidence}")
    n = len(values)
    if bool((values == values[0]).all()):
        same = float(values[0])
        return Estimate(value=same, n=n, low=same, high=same)
    drawn = np.random.default_rng(seed).integers(n, size=(n_resamples, n))
    means = np.sort(values[drawn].mean(axis=1))
    rank = round((1 - confidence) / 2 * (n_resamples - 1))
    return Estimate(value=float(values.mean()), n=n, low=float(means[rank]), high=float(means[-1 - rank]))


def paired_bootstrap_difference(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    *,
    n_resamples: int,
    seed: int,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The mean of a - b with its bootstrap interval, pairs resampled together: what two models share cancels.

    Raises:
        ValueError: the lengths differ, a value is not finite, or what ``bootstrap_mean`` refuses.
    """
    if len(a) != len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"expected pairs of finite values, found {len(a)} and {len(b)} values")
    return bootstrap_mean(a - b, n_resamples=n_resamples, seed=seed, confidence=confidence)


def _normal_quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence in (0, 1), found {confidence}")
    return float(ndtri((1 + confidence) / 2))


def _wilson_half_width(p: float, n: int, z: float) -> float:
    return z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))


def cohens_kappa(a: Sequence[bool], b: Sequence[bool]) -> float | None:
    """How far two labellers agree beyond chance: (p_o - p_e) / (1 - p_e); 1 is full agreement, 0 chance.

    p_o is the share of agreement and p_e that by chance (Cohen 1960). ``None`` where both give every response the same
    label: then there is nothing that chance could explain.

    Raises:
        ValueError: the two label different numbers of responses, or none.
    """
    if len(a) != len(b) or not a:
        raise ValueError(f"expected two labels for each of some responses, found {len(a)} and {len(b)}")
    if len({*a, *b}) == 1:
        return None
    agreed = sum(map(bool.__eq__, map(bool, a), map(bool, b))) / len(a)
    share_a, share_b = sum(a) / len(a), sum(b) / len(b)
    by_chance = share_a * share_b + (1 - share_a) * (1 - share_b)
    return (agreed - by_chance) / (1 - by_chance)
