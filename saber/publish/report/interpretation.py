"""The result in plain language: what the front says, and what it cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from saber.metrics import DRIFT, OVER_REFUSAL, PROTECTED_REFUSAL, REFUSAL, WORST_SHARE
from saber.publish.analysis.chat_words import thoughts_text
from saber.publish.analysis.harmless_refusals import harmless_text
from saber.publish.analysis.label_checks import hedging_text, judge_text, length_text
from saber.publish.analysis.neighbours import tell_apart
from saber.publish.analysis.unmeasured import unmeasured_text
from saber.publish.text.wording import (
    MISSING,
    counted,
    estimate_text,
    interval_text,
    label,
    listed,
    metric_text,
    number_text,
)
from saber.scoring.statistics import wilson_interval
from saber.types import CurvePoint, Frontier, FrontierPoint, Metrics

NOUNS = {REFUSAL: "refusal rate", DRIFT: "KLD"}
N_UNDER_ONE_PER_CENT = 381  # the fewest prompts without a refusal whose Wilson interval ends under 1%
MARKS = ("aggressive", "balanced", "conservative")


@dataclass(frozen=True)
class Statement:
    """A few words that say what it is about, and the sentences."""

    lead: str
    text: str


def read_result(frontier: Frontier) -> list[Statement]:
    """Everything that a reader should know before looking at a figure."""
    paragraphs = [_overview(frontier)]
    paragraphs += [_of_point(frontier, point) for point in marked_points(frontier)]
    paragraphs += [
        _against_single_direction(frontier),
        Statement("Ordinary prompts refused.", harmless_text(frontier)),
        Statement("Telling points apart.", tell_apart(frontier)),
        held_out(frontier),
        Statement("Beaten trials.", unmeasured_text(frontier)),
        Statement("Thinking.", thoughts_text(frontier)),
        Statement("Twice the length.", length_text(frontier)),
        Statement("Neither refused nor answered.", hedging_text(frontier)),
        Statement("A judge beside the labels.", judge_text(frontier)),
    ]
    return [paragraph for paragraph in paragraphs if paragraph.text]


def marked_points(frontier: Frontier) -> list[FrontierPoint]:
    """The points that carry a mark, each once, aggressive first."""
    marked: list[FrontierPoint] = []
    for mark in MARKS:
        point = frontier.marked(mark)
        if point is not None and point not in marked:
            marked.append(point)
    return marked


def held_out(frontier: Frontier) -> Statement:
    """How the front fares on prompts that the search never saw (the winner's curse)."""
    sought = [objective.metric for objective in frontier.objectives]
    both = [p for p in frontier.front if p.report is not None and sought[0] in p.report.estimates]
    if not both:
        return Statement("Held-out prompts.", "The front has not been scored on the report split yet.")
    parts: list[str] = []
    for metric in sought:
        pairs = [
            (p.tune[metric], p.report[metric])
            for p in both
            if p.report is not None and metric in p.report.estimates and metric in p.tune.estimates
        ]
        if pairs:
            tune, report = (number_text(metric, mean(column)) for column in zip(*pairs, strict=True))
            parts.append(f"{NOUNS.get(metric, label(metric))} is {tune} on tune and {report} on report")
    return Statement(
        "Held-out prompts.",
        f"Averaged over {counted(len(both), 'front point')}, {listed(parts)}. The best of many trials looks better"
        " than it is; the report split was scored once, after the search, and is the number to quote.",
    )


def counting(frontier: Frontier) -> str:
    """What no refusal among the study's own prompts, held out where it has such, would still allow."""
    refusal = (frontier.base_report or frontier.base_tune).estimates.get(REFUSAL)
    if refusal is None:
        return ""
    _, allowed = wilson_interval(0, refusal.n)
    return (
        f"No refusal among {counted(refusal.n, 'prompt')} still allows a rate of {number_text(REFUSAL, allowed)};"
        f" showing that a rate is under 1% takes {N_UNDER_ONE_PER_CENT} prompts without a refusal."
    )


def _overview(frontier: Frontier) -> Statement:
    n_feasible = sum(point.feasible for point in frontier.points)
    over = metric_text(frontier.base_tune, OVER_REFUSAL)
    return Statement(
        "The study.",
        f"The base model refuses {metric_text(frontier.base_tune, REFUSAL)} of the harmful tune prompts"
        f"{'' if over == MISSING else f' and {over} of the borderline ones'}."
        f" {counted(len(frontier.points), 'trial')} finished, {n_feasible} of them feasible and"
        f" {len(frontier.front)} Pareto-optimal (hypervolume {frontier.hypervolume:.4f}).",
    )


def _of_point(frontier: Frontier, point: FrontierPoint) -> Statement:
    text = f"{point.name} refuses {metric_text(point.tune, REFUSAL)} at {_drift_text(point.tune)}"
    if point.report is not None:
        text += f"; held out, {metric_text(point.report, REFUSAL)} at {_drift_text(point.report)}"
    text += "."
    for metric, noun in ((OVER_REFUSAL, "Over-refusal"), (PROTECTED_REFUSAL, "Protected refusals")):
        before, after = frontier.base_tune.estimates.get(metric), point.tune.estimates.get(metric)
        if before is not None and after is not None:
            text += f" {noun}: {number_text(metric, before.value)} before, {number_text(metric, after.value)} after"
            held = point.report.estimates.get(metric) if point.report is not None else None
            text += "." if held is None else f", {number_text(metric, held.value)} held out."
    return Statement(f"{listed(list(point.marks)).capitalize()}.", text + _worst_text(point.tune))


def _worst_text(metrics: Metrics) -> str:
    """Which prompt drifted most, and how much of the drift is its own."""
    share = metrics.estimates.get(WORST_SHARE)
    if not metrics.worst_drift or share is None:
        return ""
    return f" {number_text(WORST_SHARE, share.value)} of its drift is that of {metrics.worst_drift}."


def _drift_text(metrics: Metrics) -> str:
    drift = metrics.estimates.get(DRIFT)
    return f"KLD {MISSING}" if drift is None else f"KLD {number_text(DRIFT, drift.value)} {interval_text(DRIFT, drift)}"


def _against_single_direction(frontier: Frontier) -> Statement:
    """The same drift spent on one plain direction: does the search buy anything?"""
    lead = "Against one plain direction."
    point = frontier.marked("balanced")
    sought = {objective.metric for objective in frontier.objectives}
    if point is None or not frontier.curve or DRIFT not in point.tune.estimates or REFUSAL not in sought:
        return Statement(lead, "")  # a study that does not seek fewer refusals has the curve of selective shaping
    best = _best_within(frontier.curve, point.tune[DRIFT])
    if best is None:
        return Statement(lead, "At every strength tried it drifts more than the balanced point does.")
    return Statement(
        lead,
        f"With no more drift than the balanced point, the plain single direction at its best strength"
        f" ({best.strength:.3g}) still refuses {estimate_text(REFUSAL, best.tune.estimates[REFUSAL])};"
        f" the balanced point refuses {metric_text(point.tune, REFUSAL)}.",
    )


def _best_within(curve: Sequence[CurvePoint], drift_nats: float) -> CurvePoint | None:
    within = [
        curve_point
        for curve_point in curve
        if {REFUSAL, DRIFT} <= set(curve_point.tune.estimates) and curve_point.tune[DRIFT] <= drift_nats
    ]
    return min(within, key=lambda point: point.tune[REFUSAL], default=None)
