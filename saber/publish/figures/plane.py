"""The plane that the front is drawn in: two objectives, drift across and refusal upwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from saber.metrics import DRIFT, REFUSAL
from saber.publish.text.wording import is_drift
from saber.types import Frontier, FrontierPoint, Metrics, Objective

DEFAULTS = (Objective(REFUSAL, "minimize", 1.0), Objective(DRIFT, "minimize", 1.0))


@dataclass(frozen=True)
class Plane:
    """The objectives on the two axes."""

    x: Objective
    y: Objective

    def holds(self, metrics: Metrics | None) -> bool:
        """Whether both metrics were measured and are finite."""
        if metrics is None or not {self.x.metric, self.y.metric} <= set(metrics.estimates):
            return False
        return math.isfinite(metrics[self.x.metric]) and math.isfinite(metrics[self.y.metric])

    def at(self, metrics: Metrics) -> tuple[float, float]:
        """Where a measurement lies."""
        return metrics[self.x.metric], metrics[self.y.metric]

    def drawable(self, points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
        """The points that have a place in the plane."""
        return [point for point in points if self.holds(point.tune)]


def plane_of(frontier: Frontier) -> Plane:
    """The plane of a study's objectives."""
    return plane_of_objectives(frontier.objectives)


def plane_of_objectives(objectives: Sequence[Objective]) -> Plane:
    """The first two objectives, filled up with refusal and drift, the divergence lying across."""
    known = {objective.metric for objective in objectives}
    chosen = [*objectives, *(default for default in DEFAULTS if default.metric not in known)][:2]
    chosen.sort(key=lambda objective: not is_drift(objective.metric))
    return Plane(x=chosen[0], y=chosen[1]) if is_drift(chosen[0].metric) else Plane(x=chosen[1], y=chosen[0])


def step_shape(plane: Plane) -> str:
    """How the attainable region's edge runs between two front points."""
    return "hv" if plane.x.direction == "minimize" else "vh"
