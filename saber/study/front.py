"""The frontier of a study: its points, which of them are Pareto-optimal, what each is worth, and which to look at."""

from __future__ import annotations

import dataclasses
import shlex
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from saber.config import Config
from saber.keys import with_values
from saber.lm.outcomes import outcomes_of
from saber.lm.planning import rank_with, select
from saber.masking import public, public_values
from saber.scoring.pareto import hypervolume, hypervolume_shares, pareto_mask
from saber.scoring.score import scale_to_unit, score
from saber.study.holdout import BASE, report_scores
from saber.study.judging import judgements
from saber.study.length_check import length_checks
from saber.study.null_curve import null_curve
from saber.study.records import complete_trials, metrics_from_json
from saber.study.responses import stored_responses
from saber.study.storage import artifact_store
from saber.study.workbench import Workbench
from saber.types import (
    DirectionRow,
    Frontier,
    FrontierPoint,
    Metrics,
    Objective,
    Response,
    UserError,
)

ENOUGH_TO_RANK = 10  # with fewer trials an importance says nothing


def read_points(study: optuna.Study, config: Config) -> tuple[FrontierPoint, ...]:
    """Every complete trial as a point, with front, shares, scores and marks worked out.

    Raises:
        UserError: no complete trial, no feasible one, or trials measured under more than one protocol.
    """
    trials = complete_trials(study)
    if not trials:
        raise UserError(f"expected finished trials in study {study.study_name}, found none: run saber.sweep first")
    metrics = [metrics_from_json(trial.user_attrs["metrics"]) for trial in trials]
    protocols = sorted({one.protocol for one in metrics})
    if len(protocols) > 1:
        raise UserError(f"expected one protocol in study {study.study_name}, found {', '.join(protocols)}")
    scores = _scores(metrics)
    points = [
        FrontierPoint(
            number=trial.number,
            name=str(trial.user_attrs["name"]),
            params=dict(trial.params),
            tune=one,
            plan_digest=str(trial.user_attrs["plan"]),
            score=value,
            feasible=bool(trial.user_attrs["feasible"]),
        )
        for trial, one, value in zip(trials, metrics, scores, strict=True)
    ]
    if not any(point.feasible for point in points):
        raise UserError(f"the front is empty: none of {len(points)} trials meets study.constraints; loosen them")
    return mark(place_on_front(points, config.study.objectives), config.study.refusal_cap)


def _scores(metrics: Sequence[Metrics]) -> list[float]:
    """DESIGN's score of each trial, its residual scaled over the study."""
    residual = scale_to_unit(np.array([one["residual_refusal"] for one in metrics]))
    return [
        score(refusal_rate=one["refusal_rate"], kld_nats=one["kld"], residual_scaled=float(scaled))
        for one, scaled in zip(metrics, residual, strict=True)
    ]


def costs(metrics: Sequence[Metrics], objectives: Sequence[Objective]) -> tuple[np.ndarray, np.ndarray]:
    """Objective values and their reference, all turned so that less is better."""
    sign = np.array([1.0 if one.direction == "minimize" else -1.0 for one in objectives])
    values = np.array([[m[one.metric] for one in objectives] for m in metrics])
    return values * sign, np.array([one.reference for one in objectives]) * sign


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


def mark(points: Sequence[FrontierPoint], refusal_cap: float) -> tuple[FrontierPoint, ...]:
    """Mark aggressive (lowest refusal), balanced (best score) and conservative (lowest drift under the cap)."""
    front = [point for point in points if point.on_front]
    chosen = {
        "aggressive": min(front, key=lambda p: (p.tune["refusal_rate"], p.tune["kld"])).number,
        "balanced": min(front, key=lambda p: (p.score, p.number)).number,
    }
    under = [point for point in front if point.tune["refusal_rate"] <= refusal_cap]
    if under:
        chosen["conservative"] = min(under, key=lambda p: (p.tune["kld"], p.number)).number
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


def front_responses(
    study: optuna.Study, config: Config, points: Sequence[FrontierPoint]
) -> dict[int, tuple[Response, ...]]:
    """By trial number, the stored tune responses of each front point."""
    trials, store = {trial.number: trial for trial in complete_trials(study)}, artifact_store(config)
    return {p.number: stored_responses(study, trials[p.number], store) for p in points if p.on_front}


def quick_frontier(study: optuna.Study, config: Config, bench: Workbench) -> Frontier:
    """What the study's own trials say, before anything is scored on held-out prompts."""
    points = read_points(study, config)
    return _from_trials(study, config, bench, points, front_responses(study, config, points))


def _from_trials(
    study: optuna.Study,
    config: Config,
    bench: Workbench,
    points: Sequence[FrontierPoint],
    responses: Mapping[int, Sequence[Response]],
) -> Frontier:
    """The frontier of the trials' own numbers, each front point with the outcomes of its prompts."""
    outcomes = {number: outcomes_of(some) for number, some in responses.items()}
    points = tuple(dataclasses.replace(point, outcomes=outcomes.get(point.number, {})) for point in points)
    objectives = config.study.objectives
    values, reference = costs([p.tune for p in points if p.feasible], objectives)
    protected = sorted({prompt.category for prompt in bench.splits["tune"].prompts if prompt.protected})
    return Frontier(
        study=study.study_name,
        base_model=public(config.model.path),
        objectives=objectives,
        points=points,
        base_tune=bench.base_tune.metrics,
        base_outcomes=outcomes_of(bench.base_tune.responses),
        base_report=None,
        hypervolume=hypervolume(values, reference),
        published=config.published,
        settings=public_values(dataclasses.asdict(config))
        | {"protected": protected, "words": spoken_overrides(config)},
    )


def frontier_of(study: optuna.Study, config: Config, bench: Workbench) -> Frontier:
    """Everything there is to say of a study, with the front scored on the held-out report split."""
    trials = read_points(study, config)
    responses = front_responses(study, config, trials)
    frontier = _from_trials(study, config, bench, trials, responses)
    held_out = report_scores(bench, frontier.front)
    base_report, base_report_outcomes = held_out[BASE]
    longer = length_checks(bench, frontier.front, responses)
    judged = judgements(responses, config.judge, bench.folder)
    points = tuple(
        dataclasses.replace(
            point,
            report=held_out[point.plan_digest][0],
            report_outcomes=held_out[point.plan_digest][1],
            longer=longer[point.plan_digest],
            judgement=judged.get(point.number),
        )
        if point.on_front
        else point
        for point in frontier.points
    )
    layer_fdr, directions = landscape(bench, config, points)
    return dataclasses.replace(
        frontier,
        points=points,
        base_report=base_report,
        base_report_outcomes=base_report_outcomes,
        curve=null_curve(bench),
        importances=importances(study, frontier.objectives),
        layer_fdr=layer_fdr,
        directions=directions,
    )


def spoken_overrides(config: Config, *without: str) -> str:
    """The command line's overrides less those that name one task or begin with ``without``; no passwords, no homes."""
    own = ("study.n_trials=", "point=", "checkpoint=", "against=", "splits=", "judge", "to=", "to_dir=", *without)
    words = [public(word.removeprefix("++")) for word in config.overrides]
    return shlex.join(word for word in words if not word.startswith(own))


def landscape(
    bench: Workbench, config: Config, points: Sequence[FrontierPoint]
) -> tuple[tuple[float, ...], tuple[DirectionRow, ...]]:
    """Layer ratios and all directions of the unedited model, as the balanced point sees and selects them."""
    balanced = find_point(points, "balanced")
    trial = with_values(config, balanced.params)
    ranking = rank_with(bench.activations.first(*trial.data.probe_sizes), trial.edit, everywhere=True)
    selected = {(one.direction.layer, one.direction.index) for one in select(ranking, trial.edit)}
    rows = tuple(
        DirectionRow(
            one.direction.layer,
            one.direction.index,
            one.fisher_ratio,
            one.entanglement,
            (one.direction.layer, one.direction.index) in selected,
        )
        for layer in ranking.directions.values()
        for one in layer
    )
    return tuple(ranking.layer_fdr.tolist()), rows


def importances(study: optuna.Study, objectives: Sequence[Objective]) -> Mapping[str, Mapping[str, float]]:
    """Share of each searched key in each objective's variation (PED-ANOVA); empty where there is too little to say."""
    if len(complete_trials(study)) < ENOUGH_TO_RANK:
        return {}
    found: dict[str, dict[str, float]] = {}
    for i, objective in enumerate(objectives):
        sign = 1.0 if objective.direction == "minimize" else -1.0

        def value(trial: FrozenTrial, index: int = i, sign: float = sign) -> float:
            return sign * float(trial.values[index])

        with warnings.catch_warnings():  # it only says that low targets are the good ones, as here they are
            warnings.simplefilter("ignore", UserWarning)
            found[objective.metric] = get_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator(), target=value
            )
    return found
