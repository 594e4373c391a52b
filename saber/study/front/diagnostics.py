"""What lies behind a front: the base's layers and directions, and what each searched key moves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import optuna
import torch
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from saber.keys import with_values
from saber.lm.steps import rank_with, select
from saber.method.extraction import largest_shares
from saber.study.context import Workbench
from saber.study.front.points import find_point
from saber.study.store.records import complete_trials
from saber.types import DirectionRow, FrontierPoint, Objective

MAJORITY = 0.5  # of the spread: then a direction of most variation is that dimension, whatever the prompts are about
ENOUGH_TO_RANK = 10  # with fewer trials an importance says nothing


def landscape(bench: Workbench, points: Sequence[FrontierPoint]) -> tuple[tuple[float, ...], tuple[DirectionRow, ...]]:
    """Layer ratios and all directions of the unedited model, as the balanced point sees and selects them."""
    balanced = find_point(points, "balanced")
    trial = with_values(bench.config, balanced.params)
    activations = bench.read_at(trial.edit.position)[1].activations
    ranking = rank_with(activations.first(*trial.data.probe_sizes), trial.edit, everywhere=True)
    selected = {(ranked.direction.layer, ranked.direction.index) for ranked in select(ranking, trial.edit)}
    rows = tuple(
        DirectionRow(
            ranked.direction.layer,
            ranked.direction.index,
            ranked.fisher_ratio,
            ranked.entanglement,
            (ranked.direction.layer, ranked.direction.index) in selected,
        )
        for layer in ranking.directions.values()
        for ranked in layer
    )
    return tuple(ranking.layer_fdr.tolist()), rows


def massive_dimension(bench: Workbench) -> tuple[int, float] | None:
    """The layer where one dimension holds most of the spread, and its share; none where it is no majority anywhere."""
    seen = bench.activations
    shares = largest_shares(torch.cat([seen.harmful, seen.harmless], dim=1))
    layer = int(shares.argmax())
    return (layer, float(shares[layer])) if shares[layer] > MAJORITY else None


def importances(study: optuna.Study, objectives: Sequence[Objective]) -> Mapping[str, Mapping[str, float]]:
    """Share of each searched key in each objective's variation (PED-ANOVA); empty where there is too little to say."""
    if len(complete_trials(study)) < ENOUGH_TO_RANK:
        return {}
    by_metric: dict[str, dict[str, float]] = {}
    for i, objective in enumerate(objectives):
        sign = 1.0 if objective.direction == "minimize" else -1.0

        def value(trial: FrozenTrial, index: int = i, sign: float = sign) -> float:
            return sign * float(trial.values[index])

        with warnings.catch_warnings():  # it only says that low targets are the good ones, as here they are
            warnings.simplefilter("ignore", UserWarning)
            by_metric[objective.metric] = get_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator(), target=value
            )
    return by_metric
