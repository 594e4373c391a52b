"""Numbers as the documents write them."""

from __future__ import annotations

import math
from collections.abc import Callable

from front_intervals import FEWEST

from saber.types import Estimate


def short(value: float, digits: int) -> str:
    """A number without the zero before its point: .0971, -.0045; what rounds to nothing has no sign."""
    text = f"{round(value, digits) + 0.0:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def share(value: float) -> str:
    """A rate or a difference of rates in per cent."""
    return f"{round(100 * value, 1) + 0.0:.1f}%"


def nats(value: float) -> str:
    """A KLD, or a hypervolume of one."""
    return short(value, 4)


def interval(estimate: Estimate, as_text: Callable[[float], str]) -> str:
    """A mean with the interval over organisms, where they are enough for one."""
    if estimate.n < FEWEST:
        return as_text(estimate.value)
    return f"{as_text(estimate.value)} ({as_text(estimate.low)} to {as_text(estimate.high)})"


def times(ratio: tuple[float, float, float] | None, digits: int = 2) -> str:
    """A ratio with its interval; without one where organisms are too few."""
    if ratio is None:
        return "-"
    value, low, high = ratio
    return short(value, digits) + ("" if math.isnan(low) else f" ({short(low, digits)}-{short(high, digits)})")
