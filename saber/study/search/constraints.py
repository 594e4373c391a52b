"""How far a trial is from feasible: bounds on a metric, on an end of its interval, or on its distance from the base."""

from __future__ import annotations

from collections.abc import Sequence

from saber.config import ConstraintConfig
from saber.types import Estimate, Metrics, UserError


def violations(
    metrics: Metrics, constraints: Sequence[ConstraintConfig], base: Metrics | None = None
) -> dict[str, float]:
    """How far each constraint is violated, in the metric's unit; at most 0 is feasible.

    Raises:
        UserError: a constrained metric was not measured.
    """
    found: dict[str, float] = {}
    for one in constraints:
        name = one.metric if one.bound == "value" else f"{one.metric}.{one.bound}"
        value = _bound(estimate_of(metrics, one.metric), one)
        if one.at_least is not None:
            found[f"{name}>={one.at_least:g}"] = one.at_least - value
        if one.at_most is not None:
            found[f"{name}<={one.at_most:g}"] = value - one.at_most
        if one.within is not None:
            if base is None:
                raise UserError(f"expected the base's {one.metric} for a constraint within it, found none: measure it")
            change = value - _bound(estimate_of(base, one.metric), one)
            away = {"low": -change, "high": change, "value": abs(change)}[one.bound]
            found[f"{name} within {one.within:g} of base"] = away - one.within
    return found


def estimate_of(metrics: Metrics, name: str) -> Estimate:
    """A measured metric by name.

    Raises:
        UserError: it was not measured, with those that were.
    """
    if name not in metrics.estimates:
        raise UserError(f"expected a measured metric, found {name}; measured: {', '.join(sorted(metrics.estimates))}")
    return metrics.estimates[name]


def _bound(estimate: Estimate, constraint: ConstraintConfig) -> float:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}[constraint.bound]
