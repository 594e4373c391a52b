"""The trials of a study as points: which are Pareto-optimal, what each is worth, and which to look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import optuna

from saber.config import Config
from saber.metrics import DRIFT, REFUSAL, RESIDUAL, UNPROTECTED_REFUSAL
from saber.scoring.pareto import hypervolume_shares, pareto_mask, scale_to_unit, score
from saber.study.store.records import complete_trials, metrics_from_json
from saber.types import FrontierPoint, Metrics, Objective, UserError


def read_points(study: optuna.Study, config: Config) -> tuple[FrontierPoint, ...]:
    """Every complete trial as a point, with front, shares, scores and marks worked out.

    Raises:
        UserError: no complete trial, no feasible one, or trials measured under more than one protocol.
    """
    trials = complete_trials(study)
    if not trials:
        raise UserError(f"expected finished trials in study {study.study_name}, found none: run saber.sweep first")
    metrics = [metrics_from_json(trial.user_attrs["metrics"]) for trial in trials]
    protocols = sorted({measured.protocol for measured in metrics})
    if len(protocols) > 1:
        raise UserError(f"expected one protocol in study {study.study_name}, found {', '.join(protocols)}")
    refusal = refusal_asked_for(config.study.objectives)
    scores = _scores(metrics, refusal)
    points = [
        FrontierPoint(
            number=trial.number,
            name=str(trial.user_attrs["name"]),
            params=dict(trial.params),
            tune=measured,
            plan_digest=str(trial.user_attrs["plan"]),
            score=value,
            feasible=bool(trial.user_attrs["feasible"]),
        )
        for trial, measured, value in zip(trials, metrics, scores, strict=True)
    ]
    if not any(point.feasible for point in points):
        raise UserError(f"the front is empty: none of {len(points)} trials meets study.constraints; loosen them")
    return mark(place_on_front(points, config.study.objectives), config.study.refusal_cap, refusal)


def refusal_asked_for(objectives: Sequence[Objective]) -> str:
    """The refusal rate that points are chosen by: of unprotected prompts where that is sought, else of all."""
    return UNPROTECTED_REFUSAL if any(objective.metric == UNPROTECTED_REFUSAL for objective in objectives) else REFUSAL


def _scores(metrics: Sequence[Metrics], refusal: str) -> list[float]:
    """DESIGN's score of each trial, its residual scaled over the study."""
    residual = scale_to_unit(np.array([measured[RESIDUAL] for measured in metrics]))
    return [
        score(refusal_rate=measured[refusal], kld_nats=measured[DRIFT], residual_scaled=float(scaled))
        for measured, scaled in zip(metrics, residual, strict=True)
    ]


def costs(metrics: Sequence[Metrics], objectives: Sequence[Objective]) -> tuple[np.ndarray, np.ndarray]:
    """Objective values and their reference, all turned so that less is better."""
    sign = np.array([1.0 if objective.direction == "minimize" else -1.0 for objective in objectives])
    values = np.array([[m[objective.metric] for objective in objectives] for m in metrics])
    return values * sign, np.array([objective.reference for objective in objectives]) * sign


def place_on_front(points: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> list[FrontierPoint]:
    """Say of each point whether it is on the front of the feasible ones, and its share of the hypervolume."""
    feasible = [i for i, point in enumerate(points) if point.feasible]
    values, reference = costs([points[i].tune for i in feasible], objectives)
    on_front = pareto_mask(values, ["minimize"] * len(objectives))
    shares = hypervolume_shares(values, reference)
    placed = list(points)
    for i, on, share in zip(feasible, on_front, shares, strict=True):
        placed[i] = dataclasses.replace(points[i], on_front=bool(on), hypervolume_share=float(share))
    return placed


def mark(points: Sequence[FrontierPoint], refusal_cap: float, refusal: str = REFUSAL) -> tuple[FrontierPoint, ...]:
    """Mark aggressive (lowest refusal), balanced (best score) and conservative (lowest drift under the cap).

    They are of the front, and so feasible; ``refusal`` is the rate that is meant.
    """
    front = [point for point in points if point.on_front]
    chosen = {
        "aggressive": min(front, key=lambda p: (p.tune[refusal], p.tune[DRIFT])).number,
        "balanced": min(front, key=lambda p: (p.score, p.number)).number,
    }
    under = [point for point in front if point.tune[refusal] <= refusal_cap]
    if under:
        chosen["conservative"] = min(under, key=lambda p: (p.tune[DRIFT], p.number)).number
    return tuple(
        dataclasses.replace(point, marks=tuple(m for m, number in chosen.items() if number == point.number))
        for point in points
    )


def find_point(points: Sequence[FrontierPoint], wanted: str) -> FrontierPoint:
    """A point by its mark, its name or its trial number.

    Raises:
        UserError: there is none, with those that there are.
    """
    for point in points:
        if wanted in point.marks or wanted == point.name or wanted == str(point.number):
            return point
    front = [point.name for point in points if point.on_front]
    raise UserError(
        f"expected a point of the study, found point={wanted!r}; there are aggressive, balanced, conservative"
        f" (under study.refusal_cap), any trial number, and {', '.join(front)}"
    )
