"""Whether any front point is selective: off what one plain direction does at any strength, on the same prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saber.metrics import DRIFT, OVER_REFUSAL, PROTECTED_REFUSAL
from saber.publish.analysis.neighbours import N_RESAMPLES
from saber.publish.text.wording import MISSING, counted, interval_text, listed, metric_text, number_text
from saber.scoring.selectivity import OffCurve, Shaping, off_curve
from saber.types import Estimate, Frontier, FrontierPoint, Metrics, Outcomes, SplitName

OVER, KEPT = OVER_REFUSAL, PROTECTED_REFUSAL
SELECTIVE_HEADER = (
    "point", "over-refusal", "protected refusals", "nearest strength", "over-refusal, point − strength",
    "protected, point − strength", "KLD of point, of strength", "off the curve",
)  # fmt: skip
UNEDITED = 0.0  # the strength at which the curve begins


@dataclass(frozen=True)
class Standing:
    """A front point, its metrics on the split that decides, how it stands to the curve, and the nearest strength's."""

    point: FrontierPoint
    metrics: Metrics
    shaping: OffCurve
    strength: float
    plain: Metrics | None


def deciding_split(frontier: Frontier) -> SplitName:
    """Held-out prompts where the curve was drawn on them, else the tune split, which flatters what was chosen on it."""
    return "report" if any(curve_point.report_outcomes for curve_point in frontier.curve) else "tune"


def standings(frontier: Frontier) -> list[Standing]:
    """How each front point stands to the curve; empty where outcomes by prompt were not kept."""
    held_out = deciding_split(frontier) == "report"
    drawn = _curve(frontier, held_out=held_out)
    standing: list[Standing] = []
    for point in frontier.front:
        metrics = point.report if held_out else point.tune
        shaping = _shaping(point.report_outcomes if held_out else point.outcomes)
        if metrics is None or shaping is None or len(drawn) < 2:
            continue
        stands = off_curve(shaping, [curve_shaping for _, _, curve_shaping in drawn], n_resamples=N_RESAMPLES, seed=0)
        strength, plain, _ = drawn[stands.nearest]
        standing.append(Standing(point, metrics, stands, strength, plain))
    return standing


def selective_text(frontier: Frontier) -> str:
    """Whether any front point lies off the curve, in a few sentences."""
    shaped = standings(frontier)
    if not shaped:
        return ""
    off = [stands for stands in shaped if stands.shaping.is_off]
    where = "held-out prompts" if deciding_split(frontier) == "report" else "the tune prompts, which chose the front"
    if not off:
        return (
            f"On {where}, none of {counted(len(shaped), 'front point')} is shown to lie off the curve of one plain"
            " direction: for each, some strength (or the unedited model) over-refuses as little and keeps as many"
            " protected refusals, as far as these prompts can tell (exact sign test over both kinds together, 5%)."
        )
    best = max(off, key=lambda standing: standing.shaping.kept.estimate.value)
    return (
        f"On {where}, {len(off)} of {counted(len(shaped), 'front point')} lie off the curve of one plain direction:"
        " every strength over-refuses more or keeps fewer protected refusals (exact sign test over both kinds of"
        " prompts together, 5%)."
        f" {best.point.name} over-refuses {metric_text(best.metrics, OVER)} and keeps"
        f" {metric_text(best.metrics, KEPT)} of the protected refusals; {_nearest_text(best)}."
    )


def selective_rows(frontier: Frontier) -> list[list[str]]:
    """Each front point beside the curve, as rows of a table; `SELECTIVE_HEADER` names the cells."""
    return [
        [
            standing.point.name,
            metric_text(standing.metrics, OVER),
            metric_text(standing.metrics, KEPT),
            _strength_text(standing.strength),
            _points(OVER, standing.shaping.over.estimate),
            _points(KEPT, standing.shaping.kept.estimate),
            f"{_drift_text(standing.metrics)}, {_drift_text(standing.plain)}",
            "yes" if standing.shaping.is_off else "not shown",
        ]
        for standing in standings(frontier)
    ]


def _curve(frontier: Frontier, *, held_out: bool) -> list[tuple[float, Metrics | None, Shaping]]:
    """Strength, metrics and outcomes of the unedited model and of every strength that has them, on one split."""
    if held_out:
        rows = [(UNEDITED, frontier.base_report, frontier.base_report_outcomes)]
        rows += [
            (curve_point.strength, curve_point.report, curve_point.report_outcomes) for curve_point in frontier.curve
        ]
    else:
        rows = [(UNEDITED, frontier.base_tune, frontier.base_outcomes)]
        rows += [(curve_point.strength, curve_point.tune, curve_point.outcomes) for curve_point in frontier.curve]
    return [
        (strength, metrics, shaping) for strength, metrics, o in sorted(rows, key=_first) if (shaping := _shaping(o))
    ]


def _first(row: tuple[float, Metrics | None, Outcomes]) -> float:
    return row[0]


def _shaping(outcomes: Outcomes) -> Shaping | None:
    if not outcomes.get(OVER) or not outcomes.get(KEPT):
        return None
    return Shaping(np.array(outcomes[OVER]), np.array(outcomes[KEPT]))


def _nearest_text(standing: Standing) -> str:
    differences = [
        f"{_points(KEPT, standing.shaping.kept.estimate)} in protected refusals",
        f"{_points(OVER, standing.shaping.over.estimate)} in over-refusal",
    ]
    return f"beside {_strength_text(standing.strength)} that is {listed(differences)}"


def _drift_text(metrics: Metrics | None) -> str:
    drift = None if metrics is None else metrics.estimates.get(DRIFT)
    return MISSING if drift is None else number_text(DRIFT, drift.value)


def _strength_text(strength: float) -> str:
    return "the unedited model" if strength == UNEDITED else f"strength {strength:g}"


def _points(metric: str, difference: Estimate) -> str:
    """A difference of two rates in percentage points with its paired interval."""
    sign = "+" if difference.value > 0 else ""
    text = f"{sign}{number_text(metric, difference.value).removesuffix('%')} points"
    return f"{text} {interval_text(metric, difference)}".strip()
