"""Each of the four stopping rules stops, and none stops early."""

from __future__ import annotations

import torch

from saber.method.refinement import RoundOutcome, stop_reason
from saber.options.refinement_options import RefinementOptions

OPTIONS = RefinementOptions(max_iterations=4, tolerance=0.1, stable_cosine=0.98, patience=2)


def stops(outcomes: list[RoundOutcome]) -> str | None:
    return stop_reason(outcomes, OPTIONS)


def outcomes(*residuals: float, stable: bool = False) -> list[RoundOutcome]:
    axes = torch.eye(8)
    return [RoundOutcome(axes[0] if stable else axes[i], residual) for i, residual in enumerate(residuals)]


def test_it_goes_on_while_it_improves() -> None:
    assert stops([]) is None
    assert stops(outcomes(3.0)) is None
    assert stops(outcomes(3.0, 2.0)) is None


def test_it_stops_at_the_last_round() -> None:
    assert stops(outcomes(4.0, 3.0, 2.0, 1.0)) == "max_iterations"


def test_it_stops_when_little_is_left() -> None:
    assert stops(outcomes(3.0, 0.05)) == "tolerance"


def test_it_stops_when_the_leading_direction_stays() -> None:
    assert stops(outcomes(3.0, 2.0, stable=True)) == "stable"


def test_it_stops_when_nothing_improved_for_some_rounds() -> None:
    assert stops(outcomes(3.0, 3.5)) is None
    assert stops(outcomes(3.0, 3.5, 3.2)) == "patience"


def test_a_bound_that_is_met_exactly_does_not_stop_it() -> None:
    assert stops(outcomes(3.0, 0.1)) is None
    axis = torch.eye(2)[0]
    met = [RoundOutcome(axis, 3.0), RoundOutcome(0.5 * axis, 2.0)]
    assert stop_reason(met, RefinementOptions(4, tolerance=0.1, stable_cosine=0.5, patience=2)) is None
