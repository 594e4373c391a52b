"""Which neighbours on the front can be told apart: on the same prompts where these are kept, else by intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from saber.metrics import REFUSAL
from saber.publish.text.wording import is_rate, label, listed
from saber.scoring.paired import PairedDifference, paired_difference, probability_of_dominance
from saber.types import Frontier, FrontierPoint, Objective

N_RESAMPLES = 2000
MOST_NAMED = 3  # pairs: beyond it their long names would be a page of text


@dataclass(frozen=True)
class Neighbours:
    """Two front points side by side: differences first - second by metric, and how likely each dominates the other.

    ``wins`` is ``None`` where an objective is not made of prompts, or its prompts' outcomes were not kept.
    """

    first: FrontierPoint
    second: FrontierPoint
    differences: dict[str, PairedDifference]
    wins: tuple[float, float] | None

    def is_distinct(self, metric: str) -> bool:
        """Whether the two can be told apart by a metric; intervals decide where prompts can't."""
        if metric in self.differences:
            return self.differences[metric].is_distinct
        a, b = self.first.tune.estimates.get(metric), self.second.tune.estimates.get(metric)
        return a is None or b is None or a.low > b.high or b.low > a.high


def neighbours(front: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> list[Neighbours]:
    """Each two neighbours of the front, compared on their own prompts."""
    return [_compared(a, b, objectives) for a, b in pairwise(front)]


def indistinct_pairs(front: Sequence[FrontierPoint]) -> list[tuple[FrontierPoint, FrontierPoint]]:
    """Neighbouring front points that can't be told apart by their refusal rate."""
    return [
        (neighbour.first, neighbour.second) for neighbour in neighbours(front, ()) if not neighbour.is_distinct(REFUSAL)
    ]


def tell_apart(frontier: Frontier) -> str:
    """Which neighbours on the front the refusal rate, or else the first objective, can't tell apart, in a sentence."""
    metric = headline(frontier)
    front, apart = frontier.front, neighbours(frontier.front, frontier.objectives)
    if len(front) < 2:
        return ""
    by, how = f"by their {label(metric)}", _how(apart, metric)
    pairs = [(pair.first, pair.second) for pair in apart if not pair.is_distinct(metric)]
    if not pairs:
        return f"All neighbouring front points can be told apart {by}: {how}."
    if len(pairs) == len(front) - 1 > 3:
        return (
            f"No two neighbours among the {len(front)} front points can be told apart {by}: {how}."
            " Read the front as a band, and compare points that lie further apart."
        )
    if len(pairs) > MOST_NAMED and all(pair.differences for pair in apart):
        return (
            f"{len(pairs)} of the {len(front) - 1} pairs of neighbouring front points can't be told apart {by} ({how});"
            " the report's table of neighbours says which."
        )
    named = listed([f"{a.name} and {b.name}" if len(pairs) == 1 else f"{a.name} / {b.name}" for a, b in pairs])
    return f"These neighbours can't be told apart {by} ({how}): {named}."


def headline(frontier: Frontier) -> str:
    """The metric that points are told apart by: the refusal rate where it is an objective, else the first one."""
    metrics = [objective.metric for objective in frontier.objectives]
    return REFUSAL if REFUSAL in metrics else metrics[0]


def neighbour_header(frontier: Frontier) -> list[str]:
    """The columns of `neighbour_rows`."""
    differences = [f"{label(objective.metric)}, first − second" for objective in frontier.objectives]
    return ["first", "second", *differences, "first dominates", "second dominates", "not told apart by"]


def neighbour_rows(frontier: Frontier) -> list[list[str]]:
    """The neighbours that were compared on the same prompts, by every objective."""
    metrics = [objective.metric for objective in frontier.objectives]
    rows: list[list[str]] = []
    for neighbour in neighbours(frontier.front, frontier.objectives):
        if not neighbour.differences:
            continue
        cells = [_difference_text(metric, neighbour.differences.get(metric)) for metric in metrics]
        wins = ["—", "—"] if neighbour.wins is None else [f"{share:.2f}" for share in neighbour.wins]
        same = [
            label(metric) for metric in metrics if metric in neighbour.differences and not neighbour.is_distinct(metric)
        ]
        rows.append([neighbour.first.name, neighbour.second.name, *cells, *wins, listed(same) if same else "nothing"])
    return rows


def _compared(a: FrontierPoint, b: FrontierPoint, objectives: Sequence[Objective]) -> Neighbours:
    differences = {
        metric: paired_difference(*_pair(a, b, metric), n_resamples=N_RESAMPLES, seed=0)
        for metric in dict.fromkeys([REFUSAL, *(sought.metric for sought in objectives)])
        if _has_pair(a, b, metric)
    }
    if not objectives or not all(_has_pair(a, b, objective.metric) for objective in objectives):
        return Neighbours(a, b, differences, None)
    ours, theirs = zip(*(_pair(a, b, objective.metric) for objective in objectives), strict=True)
    goals = [objective.direction for objective in objectives]
    wins = (
        probability_of_dominance(ours, theirs, goals, n_resamples=N_RESAMPLES, seed=0),
        probability_of_dominance(theirs, ours, goals, n_resamples=N_RESAMPLES, seed=0),
    )
    return Neighbours(a, b, differences, wins)


def _has_pair(a: FrontierPoint, b: FrontierPoint, metric: str) -> bool:
    same = a.tune.protocol == b.tune.protocol
    return same and len(a.outcomes.get(metric, ())) == len(b.outcomes.get(metric, ())) > 0


def _pair(a: FrontierPoint, b: FrontierPoint, metric: str) -> tuple[np.ndarray, np.ndarray]:
    return np.array(a.outcomes[metric]), np.array(b.outcomes[metric])


def _how(pairs: Sequence[Neighbours], metric: str) -> str:
    """By which test the metric was compared."""
    paired = [metric in pair.differences for pair in pairs]
    exact = all(pair.differences[metric].p_exact is not None for pair in pairs if metric in pair.differences)
    test = "exact sign test" if exact else "paired bootstrap"
    if all(paired):
        return f"{test} on the same prompts, 5%"
    return "95% intervals, as outcomes by prompt are missing" if not any(paired) else f"{test} where outcomes are kept"


def _difference_text(metric: str, difference: PairedDifference | None) -> str:
    if difference is None:
        return "—"
    estimate = difference.estimate
    scale, unit, digits = (100, " points", 1) if is_rate(metric) else (1, "", 4)
    low, value, high = (f"{scale * v:+.{digits}f}" for v in (estimate.low, estimate.value, estimate.high))
    exact = "" if difference.p_exact is None else f", p = {difference.p_exact:.2g}"
    return f"{value}{unit} [{low}, {high}]{exact}"
