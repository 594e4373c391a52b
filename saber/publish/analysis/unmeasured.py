"""What was not measured of trials that an earlier one beat, said where a page shows all trials."""

from __future__ import annotations

from collections.abc import Mapping

from saber.metrics import METRICS
from saber.publish.text.wording import counted, label, listed
from saber.types import Frontier, FrontierPoint

KEY = "evaluate.beaten_trials"


def unmeasured(frontier: Frontier) -> Mapping[str, int]:
    """How many trials lack a metric that all front points have, by metric, in the order of the card."""
    shared = set.intersection(*(set(point.tune.estimates) for point in frontier.front)) if frontier.front else set()
    lacking = {
        metric.name: sum(metric.name not in point.tune.estimates for point in frontier.points)
        for metric in METRICS
        if metric.name in shared
    }
    return {name: n for name, n in lacking.items() if n}


def unmeasured_text(frontier: Frontier) -> str:
    """One line: what beaten trials were not measured for, how many they are, and the key that measures it of all."""
    lacking = unmeasured(frontier)
    if not lacking:
        return ""
    trials = f"{max(lacking.values())} of {counted(len(frontier.points), 'trial')}"
    names = listed([label(name) for name in lacking])
    return (
        f"{trials} were beaten, or not feasible, when they were measured, so that of them only what the search asks for"
        f" is known; not their {names}. {KEY}=all measures every trial."
    )


def lacks_text(frontier: Frontier, point: FrontierPoint) -> str:
    """The same of one point, nothing where it has all that front points have."""
    lacking = [name for name in unmeasured(frontier) if name not in point.tune.estimates]
    if not lacking:
        return ""
    names = listed([label(name) for name in lacking])
    return f"Its trial was beaten when it was measured, so that its {names} were not measured then ({KEY})."
