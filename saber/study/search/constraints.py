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
    amounts: dict[str, float] = {}
    for constraint in constraints:
        name = constraint.metric if constraint.bound == "value" else f"{constraint.metric}.{constraint.bound}"
        value = _bound(estimate_of(metrics, constraint.metric), constraint)
        if constraint.at_least is not None:
            amounts[f"{name}>={constraint.at_least:g}"] = constraint.at_least - value
        if constraint.at_most is not None:
            amounts[f"{name}<={constraint.at_most:g}"] = value - constraint.at_most
        if constraint.within is not None:
            if base is None:
                raise UserError(
                    f"expected the base's {constraint.metric} for a constraint within it, found none: measure it"
                )
            change = value - _bound(estimate_of(base, constraint.metric), constraint)
            away = {"low": -change, "high": change, "value": abs(change)}[constraint.bound]
            amounts[f"{name} within {constraint.within:g} of base"] = away - constraint.within
    return amounts


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
